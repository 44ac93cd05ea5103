"""Which images are the same file, and which look almost the same: by content hash, and by a small picture of each.

Pairs point backwards: an image is compared with those before it, so the first of a group stays unnamed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.dataset.facts import Facts
from engine.dataset.scan import ImageFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_BITS = 4
"""Of 64 bits of difference hash that may differ; above 8 even unrelated pictures agree."""
MAX_COLOUR = 8.0
"""Mean distance of the 8 × 8 colours, 0 to 255: hashes of plain pictures agree by chance, their colours do not."""
_CHUNK = 512
_PAIRS = 100_000
_THUMB = 8 * 8 * 3


def same_files(images: Sequence[ImageFile]) -> dict[int, int]:
    """Index of an image → index of the first one before it with the same bytes. Only files of equal length are read."""
    by_length: dict[int, list[int]] = {}
    for index, image in enumerate(images):
        by_length.setdefault(image.bytes, []).append(index)
    found: dict[int, int] = {}
    for length, group in by_length.items():
        first: dict[str, int] = {}
        for index in group if length and len(group) > 1 else ():
            digest = _content(images[index])
            if digest and first.setdefault(digest, index) != index:
                found[index] = first[digest]
    return found


def _content(image: ImageFile) -> str:
    try:
        with open(image.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def look_alikes(facts: Sequence[Facts]) -> dict[int, int]:
    """Index of an image → index of the one before it that looks most like it."""
    return _nearest(facts, facts, backwards=True)


def look_alikes_among(facts: Sequence[Facts], others: Sequence[Facts]) -> dict[int, int]:
    """Index of an image → index in `others` of the one that looks most like it."""
    return _nearest(facts, others, backwards=False)


def _nearest(facts: Sequence[Facts], others: Sequence[Facts], *, backwards: bool) -> dict[int, int]:
    """All pairs by 64-bit arithmetic: half a second for 10,000 images."""
    import numpy as np

    shapes, thumbs, readable = _arrays(facts)
    other_shapes, other_thumbs, other_readable = _arrays(others)
    found: dict[int, int] = {}
    for start in range(0, len(facts), _CHUNK):
        end = start + _CHUNK
        among = other_shapes[:end] if backwards else other_shapes
        bits = np.bitwise_count(shapes[start:end, None] ^ among[None, :])
        mine, theirs = np.nonzero(bits <= MAX_BITS)
        mine += start
        keep = readable[mine] & other_readable[theirs]
        if backwards:
            keep &= theirs < mine
        mine, theirs = mine[keep], theirs[keep]
        away = np.empty(len(mine), dtype=np.float32)
        # In slices: thousands of plain pictures are millions of pairs, and each pair is 200 bytes while it is judged.
        for first in range(0, len(mine), _PAIRS):
            pairs = slice(first, first + _PAIRS)
            away[pairs] = np.abs(thumbs[mine[pairs]].astype(np.int16) - other_thumbs[theirs[pairs]]).mean(axis=1)
        near = away <= MAX_COLOUR
        mine, theirs, away = mine[near], theirs[near], away[near]
        order = np.lexsort((theirs, away, mine))
        _, nearest = np.unique(mine[order], return_index=True)
        found.update((int(mine[pair]), int(theirs[pair])) for pair in order[nearest])
    return found


def _arrays(facts: Sequence[Facts]) -> tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.bool_]]:
    import numpy as np

    shapes = np.array([fact.shape for fact in facts], dtype=np.uint64)
    empty = bytes(_THUMB)
    thumbs = np.frombuffer(b"".join(fact.thumb or empty for fact in facts), dtype=np.uint8).reshape(-1, _THUMB)
    return shapes, thumbs, np.array([bool(fact.thumb) for fact in facts], dtype=bool)
