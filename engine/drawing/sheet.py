"""The picture of a grid: its cells in a table with a label beside each row and above each column. Pillow alone."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from engine.drawing import history
from engine.protocol.drawing import Drawn

_GAP = 6
_PAPER, _INK = (255, 255, 255), (20, 20, 20)
_WIDEST = 0.9
"""Of a cell: the most that row labels may take."""
_LINES = 6
_LARGEST_SIDE = 16384


def sheet(drawn: Drawn) -> bytes:
    """The PNG file. Long labels are broken over lines and cut; the record has them whole."""
    pictures = [Image.open(history.picture_file(drawn, place)).convert("RGB") for place in range(len(drawn.shots))]
    width = max(picture.width for picture in pictures)
    height = max(picture.height for picture in pictures)
    font = _font(max(11, min(28, width // 16)))
    line = int(font.getbbox("Åg")[3]) + 3
    room = max(int(_WIDEST * width), 90)
    rows = [_broken(label, font, room, _LINES) for label in drawn.rows]
    columns = [_broken(label, font, width, 3) for label in drawn.columns]
    left = max((int(font.getlength(text)) for label in rows for text in label), default=0) + 2 * _GAP
    top = max((len(label) for label in columns), default=0) * line + 2 * _GAP
    tall = max(height, max((len(label) for label in rows), default=0) * line)
    size = (left + len(columns) * (width + _GAP), top + len(rows) * (tall + _GAP))
    page = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(page)
    for number, label in enumerate(columns):
        x = left + number * (width + _GAP)
        pen.multiline_text((x, _GAP), "\n".join(label), _INK, font, spacing=3)
    for row, (label, cells) in enumerate(zip(rows, drawn.cells, strict=True)):
        y = top + row * (tall + _GAP)
        pen.multiline_text((_GAP, y), "\n".join(label), _INK, font, spacing=3)
        for number, cell in enumerate(cells):
            page.paste(pictures[cell], (left + number * (width + _GAP), y))
    if max(page.size) > _LARGEST_SIDE:
        page.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()


_FACES = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
)


def _font(size: int) -> ImageFont.FreeTypeFont:
    """One that has Chinese where the machine has any; Pillow's own else."""
    face = next((path for path in _FACES if Path(path).is_file()), None)
    found = ImageFont.truetype(face, size) if face else ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found


def _broken(text: str, font: ImageFont.FreeTypeFont, width: int, lines: int) -> list[str]:
    """The text in lines no wider than `width` pixels, broken at spaces where there are any, cut after `lines`."""
    rows = [""]
    for word in _parts(text):
        if rows[-1] and font.getlength(rows[-1] + word.rstrip()) > width:
            rows.append("")
        rows[-1] += word if rows[-1] else word.lstrip()
        while font.getlength(rows[-1].rstrip()) > width and len(rows[-1]) > 1:
            cut = next(n for n in range(len(rows[-1]) - 1, 0, -1) if font.getlength(rows[-1][:n]) <= width or n == 1)
            rows[-1:] = [rows[-1][:cut], rows[-1][cut:]]
    rows = [row.strip() for row in rows]
    return rows if len(rows) <= lines else [*rows[: lines - 1], rows[lines - 1][:-1] + "…"]


def _parts(text: str) -> list[str]:
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + words[-1:]
