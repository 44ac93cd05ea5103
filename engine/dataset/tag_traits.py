"""The binding assistant: which traits of a trigger word's images are taken out of their captions, so that the word
comes to mean them. Verdicts, and what was taken from whom, stay in `<dataset>/.lorabake/tag_rules.json`: each can be
taken back, and goes for new images too.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from engine.dataset.captions import join_tags, split_tags
from engine.dataset.names import printable
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.sidecar import FOLDER
from engine.dataset.tag_edit import Plan
from engine.dataset.tag_names import clean, key_of
from engine.protocol.files import atomic_write
from engine.protocol.tags import CaptionDiff, TagOp, Trait, Traits, Verdict

_OFTEN = 0.35
"""A trait of this share of the images is the subject's own; rarer ones are clothes, poses, views."""
_SAMPLES = 3
_MOST = 200
_BODY = re.compile(
    r"\b(hair|eyes?|ears?|tail|horns?|wings?|skin|bangs|ahoge|twintails|braids?|ponytail|fangs?|mole|freckles|scar"
    r"|heterochromia|breasts|halo|antenna|fins?|whiskers|sidelocks|eyelashes|pupils|sclera|pointy ears|muscular"
    r"|dark-skinned \w+)\b"
)
_LOOSE = re.compile(
    r"\b(hair (ornament|ribbon|bow|flower|over|between|tie|pull)|eyes? (closed|contact|shadow)|closed eyes)"
)


class _Bound(msgspec.Struct, kw_only=True):
    """For one trigger: tag → verdict, and for each bound tag the images it was taken from with its place there."""

    verdicts: dict[str, Verdict] = {}
    taken: dict[str, dict[str, int]] = {}


class Rules(msgspec.Struct, kw_only=True):
    """The rules of a dataset: bindings by trigger word."""

    version: int = 1
    bindings: dict[str, _Bound] = {}


msgspec.json.Decoder(Rules)


def read_rules(root: Path) -> Rules:
    """What was decided; nothing when the file is missing or broken."""
    try:
        return msgspec.json.decode((root / FOLDER / "tag_rules.json").read_bytes(), type=Rules)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Rules()


def traits(dataset: Dataset, trigger: str) -> Traits:
    """The tags of the trigger's images by falling frequency, with verdicts and proposals; bound ones still count."""
    bound = read_rules(dataset.path).bindings.get(trigger, _Bound())
    images = _of_trigger(dataset, trigger)
    counts: dict[str, int] = {}
    for image in images:
        for tag in set(split_tags(image.caption or "")):
            counts[tag] = counts.get(tag, 0) + 1
    now = {image.name: set(split_tags(image.caption or "")) for image in images} if bound.taken else {}
    for tag, taken in bound.taken.items():
        counts[tag] = counts.get(tag, 0) + sum(name in now and tag not in now[name] for name in taken)
    counts.pop(trigger, None)
    rows = sorted(counts, key=lambda tag: (-counts[tag], tag))[:_MOST]
    planned = bind_plan(dataset, trigger, bound.verdicts)
    shown = {image.name: caption for image, caption in planned.changes}
    return Traits(
        path=printable(str(dataset.path)),
        trigger=trigger,
        images=len(images),
        traits=[
            Trait(
                tag=tag,
                count=counts[tag],
                verdict=bound.verdicts.get(tag, ""),
                proposed=_proposal(tag, counts[tag] / max(1, len(images))),
            )
            for tag in rows
        ],
        samples=[
            CaptionDiff(file=image.name, before=image.caption, after=shown.get(image.name, image.caption))
            for image in images[:_SAMPLES]
        ],
    )


def bind_plan(dataset: Dataset, trigger: str, verdicts: dict[str, Verdict], rules: Rules | None = None) -> Plan:
    """What the verdicts change: bound tags leave the captions, those not bound any more return to their places.
    `rules` are what was decided before, the dataset's own when they are not given."""
    bound = (rules if rules is not None else read_rules(dataset.path)).bindings.get(trigger, _Bound())
    drop = {key_of(tag) for tag, verdict in verdicts.items() if verdict == "bind"}
    returning: dict[str, list[tuple[int, str]]] = {}
    for tag, taken in bound.taken.items():
        if key_of(tag) not in drop:
            for name, place in taken.items():
                # Of the tags that stood before it, some are still out.
                out = sum(other.get(name, place) < place for gone, other in bound.taken.items() if key_of(gone) in drop)
                returning.setdefault(name, []).append((place - out, tag))
    changes: list[tuple[ImageFile, str]] = []
    images = _of_trigger(dataset, trigger)
    for image in images:
        tags = split_tags(image.caption or "")
        after = [tag for tag in tags if key_of(tag) not in drop]
        present = {key_of(tag) for tag in after}
        for place, tag in sorted(returning.get(image.name, [])):
            if key_of(tag) not in present:
                after.insert(min(place, len(after)), tag)
        if after != tags:
            _first, newline, rest = (image.caption or "").partition("\n")
            changes.append((image, join_tags(after) + newline + rest))
    tags = sorted(tag for tag, verdict in verdicts.items() if verdict == "bind")
    op = TagOp(verb="bind", tags=tags, new=trigger, source="rule")
    return Plan(op, len(images), changes, [])


def verdicts_of(root: Path, op: TagOp) -> dict[str, Verdict]:
    """The verdicts of a trigger word after an operation that says which tags are bound to it: exactly its own, what was
    to be kept stays so."""
    before = read_rules(root).bindings.get(op.new, _Bound()).verdicts
    kept: dict[str, Verdict] = {tag: verdict for tag, verdict in before.items() if verdict == "keep"}
    return kept | {tag: "bind" for text in op.tags for tag in clean(text)}


def remember(root: Path, trigger: str, verdicts: dict[str, Verdict], planned: Plan, done: set[str]) -> None:
    """Keep verdicts, and who had the tags that are bound now; raises OSError."""
    rules = read_rules(root)
    decide(rules, trigger, verdicts, planned, done)
    atomic_write(root / FOLDER / "tag_rules.json", msgspec.json.format(msgspec.json.encode(rules), indent=1) + b"\n")


def decide(rules: Rules, trigger: str, verdicts: dict[str, Verdict], planned: Plan, done: set[str]) -> None:
    """Write into `rules` what `remember` keeps."""
    bound = rules.bindings.setdefault(trigger, _Bound())
    bound.verdicts = {tag: verdict for tag, verdict in verdicts.items() if verdict}
    drop = {key_of(tag): tag for tag, verdict in verdicts.items() if verdict == "bind"}
    bound.taken = {tag: taken for tag, taken in bound.taken.items() if key_of(tag) in drop}
    for image, _after in planned.changes:
        if image.name in done:
            for place, tag in enumerate(split_tags(image.caption or "")):
                if key_of(tag) in drop:
                    bound.taken.setdefault(tag, {})[image.name] = place


def _of_trigger(dataset: Dataset, trigger: str) -> list[ImageFile]:
    wanted = key_of(trigger)
    return [
        image
        for image in dataset.images
        if not wanted or any(key_of(tag) == wanted for tag in split_tags(image.caption or ""))
    ]


def _proposal(tag: str, share: float) -> Verdict:
    key = key_of(tag)
    return (
        "bind" if share >= _OFTEN and _BODY.search(key) and not _LOOSE.search(key) else "keep" if share < _OFTEN else ""
    )
