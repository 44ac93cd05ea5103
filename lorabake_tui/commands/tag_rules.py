"""The rules of `lorabake tags`: their options, and what they and the binding assistant find, as lines."""

from __future__ import annotations

import argparse

from engine.protocol.tags import RulesParams, RuleTable, TagRule, Traits
from lorabake_tui.commands.text import table
from lorabake_tui.i18n import _, ngettext
from lorabake_tui.screens.tags_text import rule_words

_LISTED = 100


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb `rules`; without any it lists what the rules would find."""
    group = parser.add_argument_group(_("rules"))
    group.add_argument(
        "--exclude", action="append", default=[], metavar=_("TAGS"), help=_("Tags that are never wanted.")
    )
    group.add_argument(
        "--replace",
        action="append",
        nargs=2,
        default=[],
        metavar=(_("OLD"), _("NEW")),
        help=_("A tag that is always written otherwise."),
    )
    group.add_argument(
        "--implied", action="store_true", help=_("Take out what another tag says more exactly: hat beside straw hat.")
    )
    group.add_argument(
        "--suffix",
        action="store_true",
        help=_(
            "Take out what stands once more with a colour or a size before it: dress beside blue dress; look first."
        ),
    )
    group.add_argument(
        "--exclusive", action="store_true", help=_("Of tags that exclude each other keep the surest: blue or red eyes.")
    )
    group.add_argument(
        "--rare", type=int, default=0, metavar=_("COUNT"), help=_("Take out what fewer images than this carry.")
    )
    group.add_argument("--own", action="store_true", help=_("The rules that are kept with the dataset."))
    group.add_argument(
        "--remember", action="store_true", help=_("Keep these rules with the dataset, in place of those there.")
    )


def rules_of(args: argparse.Namespace) -> list[TagRule]:
    """The rules that the options name; `--own` stands for itself, as an empty exclusion."""
    rules = [TagRule(kind="exclude", tags=_split(words)) for words in args.exclude]
    rules += [TagRule(kind="replace", tags=[old], new=new) for old, new in args.replace]
    if args.implied:
        rules.append(TagRule(kind="implied"))
    if args.suffix:
        rules.append(TagRule(kind="suffix"))
    if args.exclusive:
        rules.append(TagRule(kind="exclusive"))
    if args.rare > 0:
        rules.append(TagRule(kind="rare", below=args.rare))
    if args.own:
        rules.append(TagRule(kind="own"))
    return rules


def asked(args: argparse.Namespace, path: str, rules: list[TagRule]) -> RulesParams:
    """What is asked when nothing is edited."""
    return RulesParams(path=path, where=args.where, rare=args.rare or 2, keep=rules if args.remember else None)


def found(answer: RuleTable, args: argparse.Namespace) -> list[str]:
    """The rules that find something."""
    head = [_("rule"), _("images"), ""]
    rows = [
        [rule_words(row.rule), str(row.count), _("kept") if row.own else "" if row.sure else _("perhaps")]
        for row in answer.rows[:_LISTED]
    ]
    lines = table(head, rows, right=(1,)) if rows else []
    if len(answer.rows) > _LISTED:
        lines.append(_("… and {count} more; --json lists all.").format(count=len(answer.rows) - _LISTED))
    images = ngettext("{count} image", "{count} images", answer.images).format(count=answer.images)
    rules = ngettext("{count} rule", "{count} rules", len(answer.rows)).format(count=len(answer.rows))
    return [*lines, f"{rules} · {images}"]


def traits(answer: Traits, args: argparse.Namespace) -> list[str]:
    """The traits of a trigger word's images."""
    head = [_("trait"), _("images"), _("verdict"), _("proposal")]
    words = {"bind": _("bind"), "keep": _("keep"), "": ""}
    rows = [
        [row.tag, str(row.count), words[row.verdict], words[row.proposed] if not row.verdict else ""]
        for row in answer.traits[:_LISTED]
    ]
    images = ngettext("{count} image", "{count} images", answer.images).format(count=answer.images)
    return [*(table(head, rows, right=(1,)) if rows else []), images]


def _split(words: str) -> list[str]:
    return [tag.strip() for tag in words.split(",") if tag.strip()]
