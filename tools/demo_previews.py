"""Lays the previews of a run out for the README: a row per prompt, the untrained base at the left, then every epoch.

`python -m tools.demo_previews RUN_FOLDER docs/demo-previews.png`
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

CELL, GAP = 112, 6


def sheet(run: Path) -> Image.Image:
    """The contact sheet of a run's `epochs` folder; every epoch has four previews."""
    epochs = sorted(folder for folder in (run / "epochs").iterdir() if folder.is_dir())
    size = (len(epochs) * (CELL + GAP) - GAP, 4 * (CELL + GAP) - GAP)
    page = Image.new("RGB", size, "white")
    for column, epoch in enumerate(epochs):
        for row in range(4):
            with Image.open(epoch / f"preview-{row + 1}.png", formats=("PNG",)) as picture:
                cell = picture.convert("RGB").resize((CELL, CELL), Image.Resampling.LANCZOS)
            page.paste(cell, (column * (CELL + GAP), row * (CELL + GAP)))
    return page


def main() -> None:
    """Read a run, write the picture."""
    parser = argparse.ArgumentParser(description="Lay out the previews of a run.")
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    sheet(args.run).save(args.out, optimize=True)


if __name__ == "__main__":
    main()
