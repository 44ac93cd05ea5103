"""Empty: what a section says while it has nothing to show: one sentence, and the keys that change that."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.widgets import Static

from lorabake_tui.widgets.plain import plain


class Empty(Static, can_focus=False):
    """A sentence and some (key, what it does) below it, in the middle of the pane."""

    DEFAULT_CSS = """
    Empty { height: 1fr; width: 1fr; content-align: center middle; color: $text-muted; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)

    def tell(self, sentence: str, keys: Sequence[tuple[str, str]] = ()) -> None:
        """Show this instead of what stood here."""
        width = max((cell_len(key) + 2 + cell_len(text) for key, text in keys), default=0)
        parts: list[Content | str] = [Content.styled(plain(sentence), "$foreground"), "\n"]
        for key, text in keys:
            line = Content.assemble((key, "bold $foreground"), "  ", plain(text))
            parts += ["\n", line, " " * (width - line.cell_length)]
        self.update(Content("").join([Content(part) if isinstance(part, str) else part for part in parts]))
