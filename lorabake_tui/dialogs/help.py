"""HelpBox: the guide of a section and all its keys, from the table of actions and `help/<section>.<language>.md`."""

from __future__ import annotations

import itertools
from pathlib import Path

from textual.app import ComposeResult

from lorabake_tui import i18n, keys
from lorabake_tui.dialogs.box import Box
from lorabake_tui.i18n import _
from lorabake_tui.widgets.page import Block, Head, Page, Pair, Text

GUIDES = Path(__file__).parent.parent / "help"


class HelpBox(Box[None]):
    """Shows one section's guide and keys; escape or `?` closes it."""

    BINDINGS = [*keys.bindings("dialog"), *keys.bindings("help")]
    HINTS = ("help.scroll", "help.close")
    DEFAULT_CSS = """
    HelpBox {
        & > Frame { width: 96%; max-width: 92; height: 90%; }
    }
    """

    def __init__(self, section: str) -> None:
        super().__init__(_("Help") + " · " + _(dict(keys.SECTIONS)[section]))
        self._section = section

    def body(self) -> ComposeResult:
        yield Page(id="help-page", focusable=True)

    def on_mount(self) -> None:
        page = self.query_one(Page)
        page.show(self.blocks())
        page.focus()

    def blocks(self) -> list[Block]:
        """What is shown."""
        return [*guide(self._section), *key_help(self._section)]

    def action_close(self) -> None:
        self.dismiss(None)

    def action_accept(self) -> None:
        self.dismiss(None)

    def action_scroll(self) -> None:
        self.query_one(Page).action_page_down()


class KeysBox(HelpBox):
    """Shows the keys of a screen that is no section."""

    def __init__(self, title: str, owner: str) -> None:
        Box.__init__(self, _("Help") + " · " + title)
        self._owner = owner

    def blocks(self) -> list[Block]:
        """The keys alone."""
        return [Head(_("Keys")), *keys_of(self._owner)]


def keys_of(owner: str) -> list[Block]:
    """The keys of one owner of the table, each with its sentence."""
    return [Pair(keys.key_labels(action), f"{_(action.verb)}: {_(action.help)}") for action in keys.TABLE[owner]]


def guide(section: str) -> list[Block]:
    """The guide of a section in the current language: `# ` lines are headings, blank lines end paragraphs."""
    path = GUIDES / f"{section}.{i18n.current()}.md"
    blocks: list[Block] = []
    for paragraph in path.read_text(encoding="utf-8").strip().split("\n\n"):
        if paragraph.startswith("# "):
            blocks.append(Head(paragraph[2:]))
        else:
            joined = "".join(_joined(paragraph.split("\n")))
            blocks += [Text(joined), Text("")]
    return blocks


def _joined(lines: list[str]) -> list[str]:
    # Lines of one paragraph are joined by a space, Chinese ones by nothing, list items stay lines.
    pieces = [lines[0]]
    for before, line in itertools.pairwise(lines):
        wide = bool(before) and ord(before[-1]) > 0x2E7F
        pieces.append(("\n" if line.startswith("- ") else "" if wide else " ") + line.strip())
    return pieces


def key_help(section: str) -> list[Block]:
    """All keys that work in a section, each with its sentence."""
    blocks: list[Block] = [Head(_("Keys"))]
    for owner in (section, "list", "app"):
        blocks += [*keys_of(owner), Text("")]
    return blocks
