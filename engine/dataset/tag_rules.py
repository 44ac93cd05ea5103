"""Rules over tags: what is never wanted, written otherwise, said twice, contradictory or rare; what each would change.

Rules act only as an edit of the journal (verb `rules`); a dataset's own stand in `<dataset>/.lorabake/rules.json`. The
tables of what is known are `presets/tag_rules.toml`, and `vocabularies/implications.csv` in LoRABake's home.
"""

from __future__ import annotations

import csv
import functools
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.dataset.captions import split_tags
from engine.dataset.names import inside, printable
from engine.dataset.scan import ImageFile
from engine.dataset.sidecar import FOLDER
from engine.dataset.tag_journal import opened
from engine.dataset.tag_names import clean, key_of
from engine.dataset.tag_verbs import COUNTS, Fits, matcher
from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_write
from engine.protocol.tags import RuleRow, TagOp, TagRule

Scores = Callable[[str], Mapping[str, float]]
"""Tag → image → score."""
Change = Callable[[str, list[str]], list[str]]
"""What the rules make of the tags of an image, given its name."""

IMPLICATIONS = "implications.csv"
_FILE = "rules.json"
_MOST = 300
_RULES = msgspec.json.Decoder(list[TagRule])


class _Group(NamedTuple):
    tags: frozenset[str]
    unless: frozenset[str]


class _Known(NamedTuple):
    parents: dict[str, frozenset[str]]
    words: frozenset[str]
    groups: list[_Group]
    spelt: dict[str, str]


@functools.cache
def _known() -> _Known:
    from engine import presets

    table = tomllib.loads((presets.shipped_dir() / "tag_rules.toml").read_text("utf-8"))
    parents: dict[str, set[str]] = {}
    for parent, children in table["implied"].items():
        for child in children:
            parents.setdefault(key_of(child), set()).add(key_of(parent))
    for child, parent in _home_pairs():
        parents.setdefault(key_of(child), set()).add(key_of(parent))
    groups = [
        _Group(frozenset(map(key_of, group["tags"])), frozenset(map(key_of, group["unless"])))
        for group in table["exclusive"].values()
    ]
    spelt = {key_of(tag): tag for group in table["exclusive"].values() for tag in group["tags"]}
    return _Known(
        {key: frozenset(found) for key, found in parents.items()}, frozenset(table["suffix"]["words"]), groups, spelt
    )


def _home_pairs() -> list[tuple[str, str]]:
    from engine.home import home

    try:
        with open(home() / "vocabularies" / IMPLICATIONS, encoding="utf-8", newline="") as file:
            return [(row[0], row[1]) for row in csv.reader(file) if len(row) > 1 and row[0] and row[1]]
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def own_rules(root: Path) -> list[TagRule]:
    """The dataset's own rules; none when the file is missing or broken."""
    try:
        return _RULES.decode((root / FOLDER / _FILE).read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return []


def spelt_out(root: Path, op: TagOp) -> TagOp:
    """The operation with the dataset's own rules in place of the word for them, so that it reads the same for ever."""
    rules = [one for rule in op.rules for one in (own_rules(root) if rule.kind == "own" else [rule])]
    return msgspec.structs.replace(op, rules=rules)


def keep_rules(root: Path, rules: Sequence[TagRule]) -> None:
    """Make these the dataset's own. Raises EngineError `dataset_unwritable`, `dataset_busy` or `path_outside`."""
    for rule in rules:
        _check(rule)
    path = root / FOLDER / _FILE
    if not inside(root, path):
        raise EngineError("path_outside", path=printable(str(path)), root=printable(str(root)))
    with opened(root):
        try:
            atomic_write(path, msgspec.json.format(msgspec.json.encode(list(rules)), indent=1) + b"\n")
        except OSError as error:
            reason = error.strerror or str(error)
            raise EngineError("dataset_unwritable", path=printable(str(root)), reason=reason) from None


def _check(rule: TagRule) -> None:
    if rule.kind in ("exclude", "replace") and not any(clean(tag) for tag in rule.tags):
        raise EngineError("tags_missing", verb=rule.kind)
    if rule.kind == "rare" and rule.below < 1:
        raise EngineError("param_invalid", name="below", value=rule.below, allowed="1 …")


class Ruler:
    """Some rules made ready for many captions. `counts` is tag → images, `scores` what taggers said."""

    def __init__(self, rules: Sequence[TagRule], counts: Mapping[str, int], scores: Scores | None = None) -> None:
        """Raises EngineError `tags_missing` or `param_invalid` for a rule that says nothing, `filter_regex`."""
        for rule in rules:
            _check(rule)
        self._scores = scores
        self._asked: dict[str, Mapping[str, float]] = {}
        self._excluded = [matcher(tag) for rule in rules if rule.kind == "exclude" for tag in rule.tags]
        self._replaced = [
            (matcher(tag), clean(rule.new)) for rule in rules if rule.kind == "replace" for tag in rule.tags
        ]
        below = max((rule.below for rule in rules if rule.kind == "rare"), default=0)
        totals: dict[str, int] = {}
        for tag, count in counts.items():
            totals[key_of(tag)] = totals.get(key_of(tag), 0) + count
        self._rare = frozenset(key for key, count in totals.items() if count < below)
        named = [rule for rule in rules if rule.kind == "implied" and rule.tags]
        self._pairs: dict[str, set[str]] = {}
        for rule in named:
            self._pairs.setdefault(key_of(rule.new), set()).update(map(key_of, rule.tags))
        self._all_pairs = any(rule.kind == "implied" and not rule.tags for rule in rules)
        self._suffix = any(rule.kind == "suffix" for rule in rules)
        self._groups = [_group(rule.tags) for rule in rules if rule.kind == "exclusive" and rule.tags]
        if any(rule.kind == "exclusive" and not rule.tags for rule in rules):
            self._groups += _known().groups
        self._verdicts: dict[str, tuple[bool, list[str] | None]] = {}

    def __call__(self, name: str, tags: list[str]) -> list[str]:
        """The tags of an image after the rules, in the order: replace, exclude and rare, implied, exclusive."""
        after: list[str] = []
        made: set[str] = set()
        for tag in tags:
            out, put = self._verdict(tag)
            if put is not None:
                made.update(map(key_of, put))
                after += put
            elif not out:
                after.append(tag)
        if made:
            seen: set[str] = set()
            after = [tag for tag in after if not ((key := key_of(tag)) in made and key in seen) and not seen.add(key)]  # type: ignore[func-returns-value]
        keys = {key_of(tag) for tag in after}
        gone: set[str] = set()
        for key in keys:
            gone |= self._implied(key) & keys
        gone |= self._beaten(name, [key for tag in after if (key := key_of(tag)) not in gone])
        return [tag for tag in after if key_of(tag) not in gone] if gone else after

    def _verdict(self, tag: str) -> tuple[bool, list[str] | None]:
        found = self._verdicts.get(tag)
        if found is None:
            put = next((new for fits, new in self._replaced if fits(tag)), None)
            last = put if put is not None else [tag]
            kept = [one for one in last if key_of(one) not in self._rare and not _fits(self._excluded, one)]
            found = self._verdicts[tag] = (not kept, kept if put is not None else None)
        return found

    def _implied(self, key: str) -> set[str]:
        found = set(self._pairs.get(key, ()))
        if self._all_pairs:
            found |= implied_by(key)
        if self._suffix:
            found |= shortened(key)
        return found - {key}

    def _beaten(self, name: str, order: list[str]) -> set[str]:
        """Of each group all but the surest; where no tagger said anything, all but the first."""
        gone: set[str] = set()
        keys = set(order)
        if not self._groups or several(keys):
            return gone
        for group in self._groups:
            rivals = keys & group.tags
            if len(rivals) > 1 and not keys & group.unless:
                gone |= rivals - {max(rivals, key=lambda key: (self._score(name, key), -order.index(key)))}
        return gone

    def _score(self, name: str, key: str) -> float:
        if self._scores is None:
            return 0.0
        if key not in self._asked:
            self._asked[key] = self._scores(_known().spelt.get(key, key))
        return self._asked[key].get(name, 0.0)


def _group(tags: Sequence[str]) -> _Group:
    keys = frozenset(map(key_of, tags))
    return next((group for group in _known().groups if group.tags >= keys), _Group(keys, frozenset()))._replace(
        tags=keys
    )


def _fits(matchers: Sequence[Fits], tag: str) -> bool:
    return any(fits(tag) for fits in matchers)


def several(keys: set[str]) -> bool:
    """Whether the tags speak of more than one person, of whom each may have another hair."""
    return any(
        COUNTS.fullmatch(key) and key not in ("solo", "1girl", "1boy", "1other", "no humans") for key in keys
    ) or ("1girl" in keys and "1boy" in keys)


def implied_by(key: str) -> set[str]:
    """What the table says a tag makes needless, over several steps."""
    found: set[str] = set()
    left = [key]
    while left:
        for parent in _known().parents.get(left.pop(), ()):
            if parent not in found:
                found.add(parent)
                left.append(parent)
    return found


def shortened(key: str) -> set[str]:
    """A tag without the colours, sizes and other such words before it: "blue dress" → "dress"."""
    words = key.split(" ")
    known = _known().words
    lead = 0
    while lead < len(words) - 1 and words[lead] in known:
        lead += 1
    return {" ".join(words[cut:]) for cut in range(1, lead + 1)}


def rows_of(
    images: Sequence[ImageFile], own: Sequence[TagRule], counts: Mapping[str, int], rare: int, scores: Scores | None
) -> list[RuleRow]:
    """Every rule that finds something in the captions of `images`, those of the dataset's own first even without."""
    rows: list[RuleRow] = []
    tags_of = [(image.name, split_tags(image.caption or "")) for image in images]
    for rule in own:
        ruler = Ruler([rule], counts, scores)
        rows.append(
            RuleRow(rule=rule, count=sum(ruler(name, tags) != tags for name, tags in tags_of), own=True, sure=True)
        )
    spelt: dict[str, str] = {}
    pairs: dict[tuple[str, str], int] = {}
    unsure: dict[tuple[str, str], int] = {}
    clashes: dict[frozenset[str], int] = {}
    groups = _known().groups
    cut = functools.cache(shortened)
    for _name, tags in tags_of:
        keys = {key_of(tag): tag for tag in tags}
        spelt.update(keys)
        present = keys.keys()
        for key in keys:
            sure = implied_by(key) & present
            for parent in sure:
                pairs[parent, key] = pairs.get((parent, key), 0) + 1
            for parent in (cut(key) & present) - sure:
                unsure[parent, key] = unsure.get((parent, key), 0) + 1
        if not several(set(present)):
            for group in groups:
                rivals = frozenset(group.tags & present)
                if len(rivals) > 1 and not group.unless & present:
                    clashes[rivals] = clashes.get(rivals, 0) + 1
    for found, sure in ((pairs, True), (unsure, False)):
        for (parent, child), count in sorted(found.items(), key=lambda one: (-one[1], one[0])):
            rule = TagRule(kind="implied", tags=[spelt[parent]], new=spelt[child])
            rows.append(RuleRow(rule=rule, count=count, sure=sure))
    for rivals, count in sorted(clashes.items(), key=lambda one: (-one[1], sorted(one[0]))):
        rows.append(RuleRow(rule=TagRule(kind="exclusive", tags=sorted(spelt[key] for key in rivals)), count=count))
    seldom = sorted((count, tag) for tag, count in counts.items() if count < rare)
    rows += [RuleRow(rule=TagRule(kind="exclude", tags=[tag]), count=count) for count, tag in seldom]
    return rows[:_MOST]
