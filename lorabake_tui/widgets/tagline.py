"""TagLine: a caption wrapped at its tags, each tag whole on a line where it fits, commas faint."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from lorabake_tui.widgets.plain import fit, plain, wrap


class TagLine(Widget, can_focus=False, inherit_bindings=False):
    """Shows one caption in as many lines as there are; an ellipsis in the last one says that there is more."""

    COMPONENT_CLASSES = {"tagline--faint"}
    DEFAULT_CSS = """
    TagLine {
        height: 1fr;
        & > .tagline--faint { color: $text-muted; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._caption: str | None = None
        self._instead = ""
        self._laid_out: tuple[object, list[str]] = (None, [])

    def show(self, caption: str | None, *, instead: str = "") -> None:
        """Show a caption; `instead` is the faint text where there is none."""
        if (caption, instead) != (self._caption, self._instead):
            self._caption, self._instead = caption, instead
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        base = self.rich_style
        faint = self.get_component_rich_style("tagline--faint")
        if not self._caption:
            lines = wrap(self._instead, width)
            return Strip([Segment(fit(lines[y] if y < len(lines) else "", width), faint)], width)
        if self._laid_out[0] != (self._caption, width):
            self._laid_out = ((self._caption, width), tag_lines(plain(self._caption), width))
        lines = self._laid_out[1]
        if y >= len(lines):
            return Strip([Segment(" " * width, base)], width)
        text = lines[y]
        if y == height - 1 and len(lines) > height:
            text = fit(text, width - 1).rstrip(" ,") + "…"
        segments = []
        for number, part in enumerate(text.split(",")):
            if number:
                segments.append(Segment(",", faint))
            segments.append(Segment(part, base))
        return Strip(segments).adjust_cell_length(width, base)


def tag_lines(caption: str, width: int) -> list[str]:
    """A caption broken after commas where that fits into `width` cells, inside a tag only where it must."""
    lines: list[str] = []
    line = ""
    parts = caption.split(",")
    for number, part in enumerate(parts):
        piece = part + ("," if number < len(parts) - 1 else "")
        if cell_len(line) + cell_len(piece) <= width:
            line += piece
            continue
        if line:
            lines.append(line)
        pieces = wrap(piece.strip(), width)
        lines += pieces[:-1]
        line = pieces[-1]
    return [*lines, line] if line else lines
