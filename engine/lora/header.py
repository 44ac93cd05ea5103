"""Keeps a LoRA file's header below what its readers take, by shortening the list of tags first. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from engine.models.adapter import HEADER_LIMIT

_SPARE = 4096
"""What is added afterwards: hashes, and padding to eight bytes."""
_OFFSETS = ',{"dtype":"BF16","shape":[],"data_offsets":[,]}:""'
_DIGITS = 2 * 12

Cut = tuple[int, int]
"""How many tags there were, and how many are left."""


def fitted(
    metadata: Mapping[str, str], tensors: Iterable[tuple[str, Iterable[int]]]
) -> tuple[dict[str, str], Cut | None]:
    """The metadata as it fits beside the names and shapes of `tensors`, and what was cut from the tags, if anything.

    The commonest tags stay. Should that not do, the longest of the other values go.
    """
    names = sum(_bytes(name) + len(_OFFSETS) + _DIGITS + sum(len(str(s)) + 1 for s in shape) for name, shape in tensors)
    room = HEADER_LIMIT - _SPARE - names
    kept = dict(metadata)
    cut = _cut_tags(kept, room)
    while kept and _size(kept) > room:
        del kept[max(kept, key=lambda name: len(kept[name]))]
    return kept, cut


def _cut_tags(metadata: dict[str, str], room: int) -> Cut | None:
    """Halve the number of tags per folder until everything fits, in place."""
    if _size(metadata) <= room or "ss_tag_frequency" not in metadata:
        return None
    counts: dict[str, dict[str, int]] = json.loads(metadata["ss_tag_frequency"])
    total = sum(map(len, counts.values()))
    most = max(map(len, counts.values()), default=0)
    while most and _size(metadata) > room:
        most //= 2
        counts = {folder: _commonest(tags, most) for folder, tags in counts.items()}
        metadata["ss_tag_frequency"] = json.dumps(counts, ensure_ascii=False)
    return total, sum(map(len, counts.values()))


def _commonest(tags: dict[str, int], most: int) -> dict[str, int]:
    return dict(sorted(tags.items(), key=lambda row: -row[1])[:most])


def _size(metadata: Mapping[str, str]) -> int:
    return _bytes(dict(metadata))


def _bytes(value: object) -> int:
    """Bytes of the JSON that safetensors writes of a name or of the metadata."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))
