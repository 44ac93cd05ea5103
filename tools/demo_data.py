"""Draws the tagged avatars that the embedded demo is trained on, each a function of (seed, index) alone.

DiceBear supplies the art (CC0 styles), this file the colours, framings, clothes, backgrounds and the tags that
name them. Training is left to train_demo_base.py and train_demo_tagger.py, the shipped sample to demo_sample.py.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import random
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import resvg_py
from dicebear import Avatar, Style
from PIL import Image

from tools.demo_sheet import contact_sheet
from tools.demo_tags import (
    AQUA,
    BACKGROUND,
    BASE_MIX,
    BODY,
    CHARACTER_HAIR,
    CHARACTER_TRAITS,
    CLOTHES,
    EYES,
    GIRL,
    HAIR,
    INK_EYES,
    INK_GLASSES,
    INK_HAIR,
    INK_MOUTH,
    PIXEL_STYLE,
    SKIN,
    TOON_BODY,
    TOON_EYES,
    TOON_MOUTH,
    TOON_TOP,
    VOXEL_BEARD,
    VOXEL_EYES,
    VOXEL_GLASSES,
    VOXEL_HATS,
    VOXEL_MOUTH,
    VOXEL_OUTFIT,
    VOXEL_TOP,
)

SIZE = 64
SUPERSAMPLE = 4


@dataclass(frozen=True)
class Drawing:
    """One avatar: its SVG text and the tags it obeys, subject first."""

    svg: str
    tags: tuple[str, ...]


@cache
def _style(name: str) -> Style:
    return Style(json.loads(files("dicebear_styles").joinpath(f"{name}.json").read_text("utf-8")))


def _avatar(style: str, options: dict) -> str:
    """The drawing elements of a DiceBear avatar, without its frame and metadata."""
    svg = Avatar(_style(style), options).to_string()
    return svg[svg.index("</metadata>") + len("</metadata>") : -len("</svg>")]


def _jitter(rng: random.Random, colour: str, amount: int = 9) -> str:
    """`colour` (#rrggbb) moved by up to `amount` per channel, so that a tag names a range, not one value."""
    channels = [int(colour[i : i + 2], 16) + rng.randint(-amount, amount) for i in (1, 3, 5)]
    return "#" + "".join(f"{min(255, max(0, c)):02x}" for c in channels)


def _shade(colour: str, factor: float) -> str:
    """`colour` mixed towards black (factor < 0) or white (factor > 0)."""
    target = 255 if factor > 0 else 0
    channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(c + (target - c) * abs(factor)):02x}" for c in channels)


def _pick(rng: random.Random, palette: dict[str, str]) -> tuple[str, str]:
    """A (tag, jittered colour) of a palette."""
    tag = rng.choice(list(palette))
    return tag, _jitter(rng, palette[tag])


def _group(rng: random.Random, groups: dict) -> tuple:
    """A (tag, variant) of a table tag → variants: tags equally often, however many variants each has."""
    tag = rng.choice(list(groups))
    return tag, rng.choice(groups[tag])


def _inverted(table: dict) -> dict:
    """variant → tag turned into tag → variants (variants without a tag stay under None)."""
    groups: dict = {}
    for variant, tag in table.items():
        groups.setdefault(tag, []).append(variant)
    return groups


def _background(rng: random.Random, box: tuple[float, float, float, float], plain: float = 0.7) -> tuple[list, str]:
    """(tags, svg) of a background that fills `box` (x, y, width, height)."""
    x, y, w, h = box
    tag, colour = _pick(rng, BACKGROUND)
    rect = f'<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="%s"/>'
    if rng.random() < plain:
        return [tag], rect % colour
    light = _shade(colour, 0.45 if tag != "white background" else -0.15)
    kind = rng.choice(("striped background", "polka dot background", "checkered background", "gradient background"))
    step = w / 6
    if kind == "gradient background":
        stops = f'<stop offset="0" stop-color="{_shade(colour, -0.25)}"/><stop offset="1" stop-color="{light}"/>'
        fill = f'<defs><linearGradient id="bg" x1="0" y1="0" x2="0" y2="1">{stops}</linearGradient></defs>'
        return [tag, kind], fill + rect % "url(#bg)"
    shapes = {
        "striped background": f'<rect width="{step / 2}" height="{step}" fill="{light}"/>',
        "polka dot background": f'<circle cx="{step / 2}" cy="{step / 2}" r="{step / 4}" fill="{light}"/>',
        "checkered background": f'<path d="M0 0h{step / 2}v{step / 2}h-{step / 2}zM{step / 2} {step / 2}'
        f'h{step / 2}v{step / 2}h-{step / 2}z" fill="{light}"/>',
    }
    pattern = f'<pattern id="bg" width="{step}" height="{step}" patternUnits="userSpaceOnUse">{shapes[kind]}</pattern>'
    return [tag, kind], rect % colour + f"<defs>{pattern}</defs>" + rect % "url(#bg)"


def _frame(rng: random.Random, box: tuple[float, float, float, float], content: str, aspect: float = 1.0) -> str:
    """An SVG showing `box` of `content`, mirrored half of the time; `aspect` > 1 widens the view."""
    x, y, w, h = box
    wide, high = w * max(1.0, aspect), h * max(1.0, 1 / aspect)
    x, y = x - (wide - w) / 2, y - (high - h)
    if rng.random() < 0.5:
        content = f'<g transform="translate({2 * x + wide} 0) scale(-1 1)">{content}</g>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{x} {y} {wide} {high}">{content}</svg>'


def _ink_clothes(rng: random.Random) -> tuple[list, str, str]:
    """(tags, svg behind the head, svg before it) of the shoulders' clothes, which lorelei lacks."""
    if rng.random() < 0.08:
        return ["bare shoulders"], "", ""
    tag, colour = _pick(rng, CLOTHES)
    ink = 'stroke="#000" stroke-width="16" stroke-linejoin="round"'
    body = "M70 1100C110 930 220 900 345 868C390 935 575 935 620 868C745 900 880 930 920 1100Z"
    shirt = f'<path d="{body}" fill="{colour}" {ink}/>'
    kind = rng.choice(("shirt", "shirt", "striped shirt", "hoodie", "scarf", "collared shirt"))
    light = _shade(colour, 0.65 if tag not in ("white clothes", "yellow clothes") else -0.45)
    if kind == "striped shirt":
        bars = "".join(f'<rect x="0" y="{y}" width="980" height="26" fill="{light}"/>' for y in (915, 967, 1019))
        shirt += (
            f'<defs><clipPath id="shirt"><path d="{body}"/></clipPath></defs><g clip-path="url(#shirt)">{bars}'
            f'</g><path d="{body}" fill="none" {ink}/>'
        )
    elif kind == "hoodie":
        hood = f'<path d="M235 940C230 800 330 770 480 770S730 800 725 940Z" fill="{_shade(colour, -0.25)}" {ink}/>'
        strings = f'<path d="M425 925V1040M540 925V1040" stroke="{light}" stroke-width="22" fill="none"/>'
        return [tag, kind], hood, shirt + strings
    elif kind == "scarf":
        wrap = (
            "M300 850C380 920 590 920 660 845C700 880 705 930 670 965"
            "C570 1010 390 1010 300 960C265 925 270 880 300 850Z"
        )
        other = _jitter(rng, rng.choice(list(CLOTHES.values())))
        return [tag, kind], "", (f'<path d="{body}" fill="{other}" {ink}/><path d="{wrap}" fill="{colour}" {ink}/>')
    elif kind == "collared shirt":
        points = "M345 868L300 960L420 1000L482 925L545 1000L665 960L620 868L482 925Z"
        shirt += f'<path d="{points}" fill="{light}" {ink}/>'
    return [tag, kind], "", shirt


def _cat_ears(colour: str) -> str:
    ink = 'stroke="#000" stroke-width="16" stroke-linejoin="round"'
    outer = "M200 400L205 92Q300 130 460 230ZM545 215Q660 120 770 92L790 400Z"
    inner = "M240 330L242 150Q300 185 360 235ZM640 225Q690 170 735 150L745 330Z"
    return f'<path d="{outer}" fill="{colour}" {ink}/><path d="{inner}" fill="#ffb4c8"/>'


def ink(rng: random.Random, character: bool = False, aspect: float = 1.0, trait: str = "") -> Drawing:
    """A `lorelei` head in ink style, in colour, with clothes; `character` draws the sample dataset's girl.

    `trait` gives somebody else one of her CHARACTER_TRAITS alone.
    """
    number = CHARACTER_HAIR if character else rng.choice(list(INK_HAIR))
    genders, *hair = (GIRL, "long hair") if character else INK_HAIR[number]
    gender = rng.choice(genders)
    aqua = character or trait == "aqua hair"
    hair_tag, hair_colour = ("aqua hair", _jitter(rng, AQUA, 5)) if aqua else _pick(rng, HAIR)
    skin_tag, skin = ("pale skin", _jitter(rng, SKIN["pale skin"], 4)) if character else _pick(rng, SKIN)
    eyes_tag, eyes = _group(rng, INK_EYES)
    mouth_tag, mouth = _group(rng, INK_MOUTH)
    tags = [gender, "ink style", *hair] + ([hair_tag] if number != 34 else []) + [skin_tag]
    options = {
        "seed": "x",
        "hairVariant": [f"variant{number:02d}"],
        "hairColor": [hair_colour],
        "skinColor": [skin],
        "eyesVariant": [f"variant{eyes:02d}"],
        "mouthVariant": [mouth],
        "eyebrowsVariant": [f"variant{rng.randint(1, 13):02d}"],
        "headVariant": [f"variant{rng.randint(1, 4):02d}"],
        "noseVariant": [f"variant{rng.randint(1, 6):02d}"],
        "outlineColor": ["#000000"],
    }
    for part in ("beard", "glasses", "earrings", "freckles", "hairAccessories"):
        options[f"{part}Probability"] = 0
    if mouth_tag == "lipstick":
        options["mouthColor"] = ["#d02040"]
    tags += [eyes_tag, mouth_tag]
    coloured = character or (eyes_tag in ("open eyes", "wide eyes", "sparkling eyes") and rng.random() < 0.6)
    if coloured:
        tag, colour = ("purple eyes", EYES["purple eyes"]) if character else _pick(rng, EYES)
        options["eyesColor"] = [colour]
        tags.append(tag)
    if rng.random() < 0.3:
        tag, variant = _group(rng, INK_GLASSES)
        options |= {"glassesProbability": 100, "glassesVariant": [f"variant{variant:02d}"]}
        tags += [tag] if tag == "sunglasses" else ["glasses", tag]
        if tag == "sunglasses":  # they hide what would be named
            tags = [t for t in tags if t != eyes_tag and t not in EYES]
    if gender == "1boy" and rng.random() < 0.25:
        options |= {"beardProbability": 100, "beardVariant": [f"variant0{rng.randint(1, 2)}"]}
        tags.append("beard")
        tags.remove(mouth_tag)
    if gender == "1girl" and not character and rng.random() < 0.12:
        options["hairAccessoriesProbability"] = 100
        tags.append("hair flower")
    blush = ""
    if rng.random() < 0.15:
        cheek = '<ellipse cx="%d" cy="640" rx="52" ry="30" fill="#f4506a" opacity=".55"/>'
        blush = cheek % 420 + cheek % 668
        tags.append("blush")
    elif rng.random() < 0.1:
        options["frecklesProbability"] = 100
        tags.append("freckles")
    close = rng.random() < 0.3
    cloth_tags, behind, before = _ink_clothes(rng)
    tags += ["close-up"] if close else ["portrait", *cloth_tags]
    shift = rng.uniform(-18, 18)
    box = (165 + shift, 190 + shift, 660, 660) if close else (20 + shift, 72 + shift, 940, 940)
    back_tags, back = _background(rng, (-600, -600, 2200, 2200) if aspect != 1 else box)
    eared = character or trait == "cat ears"
    ears = _cat_ears(hair_colour) if eared else ""
    tags += (["cat ears"] if eared else []) + back_tags
    content = back + behind + ears + _avatar("lorelei", options) + blush + before
    return Drawing(_frame(rng, box, content, aspect), tuple(tags))


def voxel(rng: random.Random) -> Drawing:
    """A `voxel-art` figure from the waist up."""
    top = rng.choice(list(VOXEL_TOP))
    genders, *hair = VOXEL_TOP[top]
    gender = rng.choice(genders)
    hair_tag, hair_colour = _pick(rng, HAIR)
    skin_tag, skin = _pick(rng, SKIN)
    cloth_tag, cloth = _pick(rng, CLOTHES)
    outfit = rng.choice(list(VOXEL_OUTFIT))
    mouth_tag, mouth = _group(rng, _inverted(VOXEL_MOUTH))
    eyes_tag, eyes = _group(rng, _inverted(VOXEL_EYES))
    hat = _jitter(rng, rng.choice(list(CLOTHES.values())))
    tags = [gender, "voxel style", *hair] + ([hair_tag] if top not in VOXEL_HATS else [])
    tags += [skin_tag, eyes_tag, mouth_tag]
    options = {
        "seed": "x",
        "animationVariant": ["none"],
        "topVariant": [top],
        "topProbability": 100,
        "hairColor": [hair_colour],
        "hatColor": [hat],
        "skinColor": [skin],
        "shirtColor": [cloth],
        "jacketColor": [cloth],
        "pantsColor": ["#40404c"],
        "shoesColor": ["#2c2c30"],
        "outfitVariant": [outfit],
        "mouthVariant": [mouth],
        "eyesVariant": [eyes],
        "glassesProbability": 0,
        "beardProbability": 0,
        "cheeksProbability": 0,
        "eyebrowsProbability": 0,
        "backgroundColor": ["#00000000"],
    }
    if outfit in ("jacket", "suit"):
        options["shirtColor"] = ["#fafafa"]
    if rng.random() < 0.3:
        variant = rng.choice(list(VOXEL_GLASSES))
        options |= {"glassesProbability": 100, "glassesVariant": [variant]}
        tag = VOXEL_GLASSES[variant]
        tags += [tag] if tag in ("sunglasses", "visor") else ["glasses", tag]
        if tag == "sunglasses":
            tags.remove(eyes_tag)
    if gender == "1boy" and rng.random() < 0.35:
        variant = rng.choice(list(VOXEL_BEARD))
        options |= {"beardProbability": 100, "beardVariant": [variant]}
        tags.append(VOXEL_BEARD[variant])
    if rng.random() < 0.15:
        options |= {"cheeksProbability": 100, "cheeksVariant": ["pixel"]}
        tags.append("blush")
    tags += [VOXEL_OUTFIT[outfit], cloth_tag, "upper body"]
    shift = rng.uniform(-2, 2)
    box = (15 + shift, 4 + shift, 96, 96)
    back_tags, back = _background(rng, box)
    return Drawing(_frame(rng, box, back + _avatar("voxel-art", options)), (*tags, *back_tags))


def toon(rng: random.Random) -> Drawing:
    """A `critters` monster in flat toon style."""
    body_tag, colour = _pick(rng, BODY)
    shape_tag, shape = _group(rng, _inverted(TOON_BODY))
    eyes_tag, eyes = _group(rng, _inverted(TOON_EYES))
    mouth_tag, mouth = _group(rng, _inverted(TOON_MOUTH))
    tags = ["monster", "no humans", "toon style", body_tag] + ([shape_tag] if shape_tag else [])
    options = {
        "seed": "x",
        "animationVariant": ["none"],
        "bodyVariant": [shape],
        "bodyColor": [colour],
        "accentColor": [_jitter(rng, rng.choice(list(BODY.values())))],
        "eyesVariant": [eyes],
        "mouthVariant": [mouth],
        "topProbability": 0,
        "patternProbability": 0,
        "cheeksProbability": 0,
        "backgroundColor": ["#00000000"],
    }
    if rng.random() < 0.8:
        tag, top = _group(rng, _inverted(TOON_TOP))
        options |= {"topProbability": 100, "topVariant": [top]}
        tags.append(tag)
    tags += [eyes_tag, mouth_tag]
    shift = rng.uniform(-2, 2)
    box = (2 + shift, 2 + shift, 96, 96)
    back_tags, back = _background(rng, box)
    return Drawing(_frame(rng, box, back + _avatar("critters", options)), (*tags, *back_tags))


def pixel(rng: random.Random) -> Drawing:
    """A `pixel-art` face: the style that the base never sees."""
    hair_tag, hair = _pick(rng, HAIR)
    skin_tag, skin = _pick(rng, SKIN)
    cloth_tag, cloth = _pick(rng, CLOTHES)
    length = rng.choice(("long", "short"))
    variant = f"{length}{rng.randint(1, 21 if length == 'long' else 24):02d}"
    happy = rng.random() < 0.6
    options = {
        "seed": "x",
        "hairVariant": [variant],
        "hairColor": [hair],
        "skinColor": [skin],
        "clothingColor": [cloth],
        "clothesVariant": [f"variant{rng.randint(1, 23):02d}"],
        "eyesVariant": [f"variant{rng.randint(1, 12):02d}"],
        "mouthVariant": [f"happy{rng.randint(1, 13):02d}" if happy else f"sad{rng.randint(1, 10):02d}"],
        "beardProbability": 0,
        "hatProbability": 0,
        "accessoriesProbability": 0,
        "glassesProbability": 0,
    }
    tags = ["1girl" if length == "long" else "1boy", PIXEL_STYLE, f"{length} hair", hair_tag, skin_tag]
    tags += ["smile" if happy else "frown", cloth_tag]
    if rng.random() < 0.3:
        dark = rng.random() < 0.4
        options |= {"glassesProbability": 100, "glassesVariant": [f"{'dark' if dark else 'light'}0{rng.randint(1, 7)}"]}
        tags.append("sunglasses" if dark else "glasses")
    box = (0, 0, 16, 16)
    back_tags, back = _background(rng, box, plain=1.0)
    return Drawing(_frame(rng, box, back + _avatar("pixel-art", options)), (*tags, *back_tags))


def apart(rng: random.Random) -> Drawing:
    """One of the character's traits on somebody else: from these the tagger learns to tell ears from hair colour."""
    return ink(rng, trait=rng.choice(CHARACTER_TRAITS))


STYLES = {"ink": ink, "voxel": voxel, "toon": toon, "pixel": pixel, "apart": apart}


def draw(seed: int, index: int, style: str | None = None, character: bool = False) -> Drawing:
    """Drawing `index` of corpus `seed`; the style is drawn from BASE_MIX unless named."""
    rng = random.Random(f"{seed}:{index}")
    mixed = rng.choices(list(BASE_MIX), list(BASE_MIX.values()))[0]
    if character:
        return ink(rng, character=True)
    return STYLES[style or mixed](rng)


def render(svg: str, width: int = SIZE, height: int = SIZE, supersample: int = SUPERSAMPLE) -> Image.Image:
    """RGB picture of `svg`, drawn `supersample` times larger and averaged down."""
    data = resvg_py.svg_to_bytes(
        svg_string=svg, width=width * supersample, height=height * supersample, skip_system_fonts=True
    )
    large = Image.open(io.BytesIO(bytes(data))).convert("RGB")
    return large.resize((width, height), Image.Resampling.BOX)


def _corpus_item(job: tuple[int, int, str | None, bool]) -> tuple[np.ndarray, str]:
    drawing = draw(*job)
    return np.asarray(render(drawing.svg)), ", ".join(drawing.tags)


def corpus(
    count: int, seed: int = 1, style: str | None = None, character: bool = False, processes: int = 2
) -> tuple[np.ndarray, list[str]]:
    """`count` drawings: uint8 pictures [count, 64, 64, 3] and their captions (tags joined by ", ")."""
    jobs = [(seed, i, style, character) for i in range(count)]
    if processes == 1:
        pairs = [_corpus_item(job) for job in jobs]
    else:
        with multiprocessing.Pool(processes) as pool:
            pairs = pool.map(_corpus_item, jobs, chunksize=64)
    return np.stack([pixels for pixels, _ in pairs]), [caption for _, caption in pairs]


def main() -> None:
    """Writes a contact sheet, or a corpus as .npz (pictures, captions)."""
    parser = argparse.ArgumentParser(description="Draw the demo's tagged avatars.")
    parser.add_argument("out", type=Path, help="a .png for a contact sheet, a .npz for a corpus")
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--style", choices=list(STYLES))
    parser.add_argument("--character", action="store_true")
    args = parser.parse_args()
    pictures, captions = corpus(args.count, args.seed, args.style, args.character)
    if args.out.suffix == ".png":
        contact_sheet([Image.fromarray(p) for p in pictures], captions, 12).save(args.out)
    else:
        np.savez(args.out, pictures=pictures, captions=np.array(captions))


if __name__ == "__main__":
    main()
