"""Tells a JPEG whose pixels stop before its end marker: cut off, and closed again by whatever saved it.

libjpeg paints what is missing in grey and only warns, which Pillow does not hand on; so the stream itself is asked.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from PIL import Image

_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
"""The next marker among coded pixels, where 0xFF is followed by a zero or a restart."""
_SCAN, _END, _ALONE = 0xDA, 0xD9, frozenset({0x01, *range(0xD0, 0xD9)})
_MORE = random.Random(8).randbytes(4096).replace(b"\xff", b"\xa5")
"""Pixels that were never in the picture: a stream that is whole does not read on to them."""
_LAST = 63


class _Scan(NamedTuple):
    """One pass over the picture: its components, the coefficients first … last, the lowest bit it settles, and where
    its coded bytes end."""

    components: bytes
    first: int
    last: int
    bit: int
    end: int


def drafted(image: Image.Image, side: int) -> None:
    """Let a JPEG be decoded small, no smaller than `side`, but so that `ends_early` can judge what comes of it.

    At an eighth of its size only the means of its blocks are made, which the last passes of a progressive file leave
    as they are.
    """
    least = min(image.size) // 4 if "progressive" in image.info else 0
    image.draft(None, (max(side, least), max(side, least)))


def ends_early(file: BinaryIO, decoded: Image.Image, side: int) -> bool:
    """Whether the pixels of a JPEG stop before its end; `decoded` is what Pillow made of it, `drafted` to `side`."""
    progressive = "progressive" in decoded.info
    if not progressive and not _grey_at_the_end(decoded):
        return False  # as nearly all are: nothing is read twice
    file.seek(0)
    data = file.read()
    scans = list(_scans(data))
    if not scans or (progressive and not _settled(scans)):
        return bool(scans)
    end = scans[-1].end
    return _decoded(data[:end] + _MORE + data[end:], side) != decoded.tobytes()


def _scans(data: bytes) -> Iterator[_Scan]:
    """The passes that are there, in order; nothing more after what is no JPEG."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF or marker in _ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker == _END:
            return
        after = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == _SCAN:
            count = data[place + 4] if place + 4 < len(data) else 0
            head = data[place + 5 : place + 8 + 2 * count]
            if not count or len(head) < 2 * count + 3:
                return
            found = _MARKER.search(data, after)
            end = found.start() if found else len(data)
            first, last, bits = head[-3:]
            yield _Scan(head[: 2 * count : 2], first, last, bits & 15, end)
            after = end
        place = after


def _settled(scans: list[_Scan]) -> bool:
    """Whether every coefficient of every component was told to its last bit."""
    wanted = {component: set(range(_LAST + 1)) for scan in scans for component in scan.components}
    for scan in scans:
        for component in scan.components:
            if scan.bit == 0:
                wanted[component].difference_update(range(scan.first, scan.last + 1))
    return not any(wanted.values())


def _grey_at_the_end(image: Image.Image) -> bool:
    """Whether the last pixel is the grey of no pixel at all, as it is of many a backdrop."""
    last = image.getpixel((image.width - 1, image.height - 1))
    values = last if isinstance(last, tuple) else (last,)
    return all(value is not None and abs(value - 128) <= 1 for value in values)


def _decoded(data: bytes, side: int) -> bytes:
    from PIL import Image

    image: Image.Image = Image.open(io.BytesIO(data), formats=("JPEG",))
    drafted(image, side)
    image.load()
    return image.tobytes()
