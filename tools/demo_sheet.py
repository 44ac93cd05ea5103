"""Contact sheets: many small pictures on one page, each with its caption."""

from __future__ import annotations

from PIL import Image, ImageDraw


def contact_sheet(pictures: list[Image.Image], captions: list[str], columns: int = 8, cell: int = 128) -> Image.Image:
    """Pictures in rows, enlarged to `cell` pixels, each with its caption wrapped below."""
    line, wrap, lines = 10, max(12, cell // 6), 6
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (cell + 6), rows * (cell + lines * line + 8)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        x, y = i % columns * (cell + 6), i // columns * (cell + lines * line + 8)
        sheet.paste(picture.resize((cell, cell), Image.Resampling.BICUBIC), (x, y))
        rest, row = caption, 0
        while rest and row < lines:
            cut = len(rest) if len(rest) <= wrap else max(rest.rfind(" ", 0, wrap + 1), 1)
            pen.text((x, y + cell + row * line), rest[:cut].strip(), fill="black")
            rest, row = rest[cut:].strip(), row + 1
    return sheet
