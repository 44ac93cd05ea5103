"""Writes the sample dataset that is shipped: one character as a user would have her after tagging, and a
regularisation set of other girls. The drawings come from demo_data.py.
"""

from __future__ import annotations

import argparse
import random
from itertools import count, islice
from pathlib import Path

from tools.demo_data import STYLES, ink, render
from tools.demo_tags import EYES, HAIR, INK_HAIR, SKIN, TRIGGER

# Tags that the trigger word is to absorb: left out of the captions, as one prunes a character's own traits.
BOUND = ("aqua hair", "cat ears", "long hair", "pale skin", "purple eyes")
# (width, height, extension): larger than the crop, smaller than many, not all square.
SHAPES = (
    (64, 64, "png"),
    (128, 128, "png"),
    (96, 96, "jpg"),
    (64, 64, "png"),
    (160, 120, "jpg"),
    (80, 112, "png"),
    (64, 64, "png"),
    (192, 192, "jpg"),
    (112, 80, "png"),
    (96, 128, "jpg"),
    (64, 64, "jpg"),
    (256, 256, "png"),
    (64, 64, "png"),
    (128, 96, "jpg"),
    (72, 72, "png"),
    (64, 96, "png"),
    (64, 64, "png"),
    (100, 90, "jpg"),
    (128, 128, "jpg"),
    (64, 64, "png"),
)
REGULARISATION = 24
LOOKS = {*HAIR, *SKIN, *EYES, *(tag for _, *tags in INK_HAIR.values() for tag in tags)}


def write_pair(folder: Path, stem: str, extension: str, picture, caption: str) -> None:
    """A picture and its caption, `stem`.png|jpg and `stem`.txt."""
    options = {"quality": 92} if extension == "jpg" else {"optimize": True}
    picture.save(folder / f"{stem}.{extension}", **options)
    (folder / f"{stem}.txt").write_text(caption + "\n", encoding="utf-8")


def write_character(folder: Path, seed: int) -> None:
    """The character in every shape of SHAPES; captions begin with the trigger word."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, (width, height, extension) in enumerate(SHAPES, 1):
        drawing = ink(random.Random(f"{seed}:{i}"), character=True, aspect=width / height)
        tags = [t for t in drawing.tags if t not in BOUND]
        picture = render(drawing.svg, width, height)
        write_pair(folder, f"{TRIGGER}-{i:02d}", extension, picture, ", ".join([TRIGGER, *tags]))


def write_regularisation(folder: Path, seed: int) -> None:
    """Other girls of the base's own domain, captioned by class: hair, skin and eyes, all that makes one, unnamed.

    Captions that name the looks would leave open what a prompt without them and without the trigger should show.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawings = (ink(random.Random(f"{seed}:reg:{i}")) for i in count(1))
    girls = islice((d for d in drawings if d.tags[0] == "1girl"), REGULARISATION)
    for i, drawing in enumerate(girls, 1):
        caption = ", ".join(t for t in drawing.tags if t not in LOOKS)
        write_pair(folder, f"reg-{i:02d}", "png", render(drawing.svg), caption)


def write_style(folder: Path, seed: int, number: int = 20) -> None:
    """A set for the style LoRA of the quality bench: pixel faces, captioned with the style's name first."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(1, number + 1):
        drawing = STYLES["pixel"](random.Random(f"{seed}:pixel:{i}"))
        subject, style, *rest = drawing.tags
        write_pair(folder, f"pixel-{i:02d}", "png", render(drawing.svg), ", ".join([style, subject, *rest]))


def main() -> None:
    """Write dataset/ and reg/ under a folder; --style writes the style set instead."""
    parser = argparse.ArgumentParser(description="Write the demo's sample dataset and regularisation set.")
    parser.add_argument("--out", type=Path, default=Path("engine/demo"))
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--style", action="store_true", help="write the pixel-style set into --out instead")
    args = parser.parse_args()
    if args.style:
        write_style(args.out, args.seed)
        return
    write_character(args.out / "dataset", args.seed)
    write_regularisation(args.out / "reg", args.seed)


if __name__ == "__main__":
    main()
