"""What the Tags section writes into its lists: columns, cells and counts; no state."""

from __future__ import annotations

from collections.abc import Sequence

from engine.protocol.found import TagCount
from engine.protocol.records import ImageRow
from engine.protocol.tagging import TagScore
from engine.protocol.tags import TagRule
from lorabake_tui.i18n import N_, _, ngettext
from lorabake_tui.opened import tags_of
from lorabake_tui.store.tagbox import first_line
from lorabake_tui.widgets.rows import Cell, Column

ORDERS = (N_("by count"), N_("by name"), N_("by place"), N_("by score"), N_("by lift"))
KINDS = {
    "general": N_("general"),
    "character": N_("character"),
    "copyright": N_("copyright"),
    "artist": N_("artist"),
    "meta": N_("meta"),
    "rating": N_("rating"),
}
"""What taggers and vocabularies call kinds of tags."""
BAR_WIDTH = 12
SOURCES = {"manual": "●", "model": "○", "rule": "◆"}
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def table_columns() -> list[Column]:
    """The sheet of all tags; the narrow column says on how many of the marked images a tag is."""
    return [
        Column(_("Tag")),
        Column("", 1),
        Column(_("Images"), 6, right=True),
        Column(_("Share"), 6, right=True, shown_from=44),
        Column("", BAR_WIDTH, shown_from=56),
        Column(_("Place"), 5, right=True, shown_from=50),
        Column(_("Score"), 5, right=True, shown_from=50),
        Column(_("Lift"), 5, right=True, shown_from=62),
        Column(_("Kind"), 9, shown_from=66),
    ]


def table_cells(row: TagCount, images: int, on: int, of: int) -> Sequence[Cell]:
    """A tag of the sheet; `on` of `of` marked images carry it."""
    share = row.count / max(1, images)
    state = ("■" if on == of else "◪" if on else "□") if of else source_of(row)
    return (
        row.tag,
        (state, "row--strong" if of and on else "row--dim"),
        f"{on}/{of}" if of else str(row.count),
        (f"{share * 100:.0f} %", "row--dim"),
        (bar(share, BAR_WIDTH), "row--bar"),
        (f"{row.mean_rank + 1:.1f}", "row--dim"),
        ("" if row.score is None else f"{row.score:.2f}", "row--dim"),
        (f"×{row.lift:.1f}" if row.count != row.total else "", "row--dim"),
        (_(KINDS[row.category]) if row.category in KINDS else "", "row--dim"),
    )


def source_of(row: TagCount) -> str:
    """Who put a tag there most often, where that is known."""
    counts = {"manual": row.manual, "model": row.model, "rule": row.rule}
    best = max(counts, key=lambda name: counts[name])
    return SOURCES[best] if counts[best] else ""


def image_columns() -> list[Column]:
    """The images that edits act on."""
    return [Column(_("Image")), Column(_("Tags"), 4, right=True)]


def image_cells(row: ImageRow) -> Sequence[Cell]:
    """An image and how many tags it has."""
    count = len(tags_of(first_line(row.caption)))
    return (row.name, str(count) if row.caption else ("—", "row--dim"))


def own_columns() -> list[Column]:
    """The tags of one image in their order."""
    return [
        Column("", 3, right=True),
        Column(_("Tag")),
        Column("", 9, shown_from=44),
        Column("", 1),
        Column("", 4, right=True),
    ]


def own_cells(place: int, tag: str, known: TagScore | None) -> Sequence[Cell]:
    """A tag of one image: its place, who put it there, and its score."""
    source = SOURCES.get(known.provenance, "") if known is not None else ""
    score = f"{known.score:.2f}" if known is not None and known.score is not None else ""
    kind = _(KINDS[known.category]) if known is not None and known.category in KINDS else ""
    return ((str(place + 1), "row--dim"), tag, (kind, "row--dim"), (source, "row--dim"), (score, "row--dim"))


def rule_words(rule: TagRule) -> str:
    """A rule as a line: what goes is struck by a minus, what stays says why."""
    tags = ", ".join(rule.tags)
    match rule.kind:
        case "exclude":
            return f"− {tags}"
        case "replace":
            return f"{tags} → {rule.new}"
        case "implied":
            return _("− {tags}  beside {new}").format(tags=tags, new=rule.new) if tags else _("− what is implied")
        case "suffix":
            return _("− what stands with more words too")
        case "exclusive":
            return _("only one of {tags}").format(tags=" | ".join(rule.tags)) if tags else _("− what excludes itself")
        case "rare":
            return _("− on fewer than {count}").format(count=rule.below)
        case _:
            return _("the dataset's own rules")


def counted(verb: str, news: int, rest: int) -> str:
    """What Enter will do, in numbers."""
    if verb == "add":
        words = ngettext("adds to {count}", "adds to {count}", news).format(count=news)
        return words + (_(", already on {count}").format(count=rest) if rest else "")
    if verb == "remove":
        return ngettext("takes off {count}", "takes off {count}", news).format(count=news)
    if verb == "replace":
        return ngettext("replaces on {count}", "replaces on {count}", news).format(count=news)
    return ""


def bar(share: float, width: int) -> str:
    """A horizontal bar of `share` (0 to 1) of `width` cells, in eighths of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")
