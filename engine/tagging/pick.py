"""Which tags of the scores become a caption: thresholds, exclusions, the form of the words, their order.

Pure functions of scores and options; how they join a caption that is there, `merge` says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from engine.dataset.tag_names import KAOMOJI, key_of
from engine.dataset.tag_verbs import matcher
from engine.protocol.tag_options import Group, TagOptions
from engine.tagging.scores import UNIT, Entry, Scores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MCUT_CHARACTER = 0.15
"""The lowest threshold that a gap may set for characters: where nobody is known, the widest gap says nothing."""

_COUNTS = re.compile(r"solo|\d+\+?(boy|girl|other)s?|multiple_(boys|girls|others)|no_humans", re.IGNORECASE)


class Picked(NamedTuple):
    """A tag as it shall stand in a caption, its group and its score (0 to 1)."""

    text: str
    group: Group
    score: float


class Picker:
    """The options, ready for many images. One for each set of taggers' scores."""

    def __init__(self, scores: Sequence[Scores], options: TagOptions) -> None:
        self.options = options
        self._taggers = [_Reader(one, options) for one in scores]
        self._excluded: list[Callable[[str], bool]] = [matcher(tag) for tag in options.exclude if tag.strip()]
        self._verdicts: dict[str, bool] = {}

    def has(self, name: str) -> bool:
        """Whether all taggers have scored the image."""
        return all(reader.scores.entry(name) is not None for reader in self._taggers)

    def tags(self, name: str) -> list[Picked]:
        """The tags of an image, in the order in which they are written; [] without scores."""
        found = [reader.picked(name) for reader in self._taggers]
        joined: dict[str, Picked] = {}
        for picked in found:
            for key, one in picked.items():
                if key not in joined or one.score > joined[key].score:
                    joined[key] = one
        if self.options.merge == "intersection":
            joined = {key: one for key, one in joined.items() if all(key in picked for picked in found)}
        kept = [one for one in joined.values() if not self._out(one.text)]
        places = {group: place for place, group in enumerate(self.options.order)}
        kept = [one for one in kept if one.group in places or one.group == "count"]
        kept.sort(key=lambda one: (places.get(one.group, places.get("general", 0)), -one.score))
        return kept[: self.options.limit] if self.options.limit > 0 else kept

    def _out(self, tag: str) -> bool:
        if tag not in self._verdicts:
            self._verdicts[tag] = any(fits(tag) for fits in self._excluded)
        return self._verdicts[tag]


class _Reader:
    """One tagger's scores with thresholds and spellings worked out."""

    def __init__(self, scores: Scores, options: TagOptions) -> None:
        import numpy as np

        self.scores, self.options = scores, options
        labels = scores.labels
        self._texts = [written(label.name, spaces=options.spaces) for label in labels]
        self._keys = [key_of(text) for text in self._texts]
        self._groups = [_group(label.name, label.category) for label in labels]
        self._category = np.array([_CATEGORY.get(label.category, 3) for label in labels], dtype=np.int8)
        own_general, own_character = scores.thresholds
        self._general = options.general or own_general
        self._character = options.character or own_character

    def picked(self, name: str) -> dict[str, Picked]:
        entry = self.scores.entry(name)
        if entry is None:
            return {}
        tags, values = entry.arrays()
        chosen = self._chosen(entry, tags, values)
        return {
            self._keys[tag]: Picked(self._texts[tag], self._groups[tag], value / UNIT)
            for tag, value in zip(tags[chosen].tolist(), values[chosen].tolist(), strict=True)
            if self._keys[tag]
        }

    def _chosen(self, entry: Entry, tags: NDArray[np.uint16], values: NDArray[np.uint16]) -> NDArray[np.bool_]:

        category = self._category[tags]
        general, character = round(self._general * UNIT), round(self._character * UNIT)
        if self.options.mcut:
            general = _gap(values[category == _GENERAL], entry.rest.get("general", 0))
            character = _gap(values[category == _CHARACTER], entry.rest.get("character", 0))
            character = max(round(MCUT_CHARACTER * UNIT), character)
        chosen: NDArray[np.bool_] = (category == _GENERAL) & (values > general)
        if self.options.characters:
            chosen |= (category == _CHARACTER) & (values > character)
        if self.options.rating:
            ratings = (category == _RATING).nonzero()[0]
            chosen[ratings[:1]] = True  # they exclude each other, and the scores fall
        return chosen


_GENERAL, _CHARACTER, _RATING = 0, 1, 2
_CATEGORY = {"general": _GENERAL, "character": _CHARACTER, "rating": _RATING}


def written(name: str, *, spaces: bool) -> str:
    """A tagger's tag as it stands in captions: underscores as spaces, except in kaomoji. A comma would make it two."""
    text = name.replace("_", " ") if spaces and name.lower() not in KAOMOJI else name
    return " ".join(text.replace(",", " ").split())


def _group(name: str, category: str) -> Group:
    if category == "character":
        return "character"
    if category == "rating":
        return "rating"
    return "count" if _COUNTS.fullmatch(name.replace(" ", "_")) else "general"


def _gap(values: NDArray[np.uint16], rest: int) -> int:
    """MCut: the middle of the widest gap between falling scores, of which `rest` is the highest below the floor."""
    import numpy as np

    falling = np.append(values.astype(np.int64), rest)
    if len(falling) < 2:
        return UNIT
    place = int(np.argmax(falling[:-1] - falling[1:]))
    return int(falling[place] + falling[place + 1]) // 2
