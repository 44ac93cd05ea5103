"""Aspect-ratio buckets: which training sizes there are, and which of them a picture gets, scaled and cropped how.

Pure arithmetic on sizes in pixels; the pixels themselves are moved by `pixels.load_rgb`.
"""

from __future__ import annotations

import bisect
import functools
import math

import msgspec

from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams

Size = tuple[int, int]
Box = tuple[int, int, int, int]


class Fit(msgspec.Struct, frozen=True):
    """How a picture comes to its bucket; all sizes are (width, height) in pixels.

    The picture of size `source` is scaled to `resize`, which covers `bucket`, and cut at the centre to `crop`
    (left, top, right, bottom within `resize`), which is exactly as large as `bucket`.
    """

    bucket: Size
    source: Size
    resize: Size
    crop: Box

    @property
    def enlargement(self) -> float:
        """How much longer a side becomes; above 1 the picture is enlarged and blurs."""
        return max(self.resize[0] / self.source[0], self.resize[1] / self.source[1])

    @property
    def kept(self) -> float:
        """The share of the picture's area that survives the crop, 0 to 1."""
        return self.bucket[0] * self.bucket[1] / (self.resize[0] * self.resize[1])


class BucketRange(msgspec.Struct, frozen=True):
    """The limits of bucket sides in pixels, all multiples of `step`."""

    step: int
    shortest: int
    longest: int


def bucket_range(params: BakeParams) -> BucketRange:
    """The limits with 0 = automatic resolved: step an eighth of the resolution (16 to 64, in eights), sides from
    half of the resolution to twice it. Given limits are rounded down to the step."""
    resolution = params.resolution
    step = params.bucket_reso_steps or min(64, max(16, round(resolution / 64) * 8))
    shortest = (params.min_bucket_reso or resolution // 2) // step * step
    longest = (params.max_bucket_reso or resolution * 2) // step * step
    shortest = max(shortest, step)
    return BucketRange(step, shortest, max(longest, shortest))


def check_limits(params: BakeParams) -> None:
    """Raises EngineError `bucket_limits` for limits that contradict each other, so that no bucket could keep them.

    Only what is written counts: 0 is automatic and never contradicts. Without buckets the limits are idle.
    """
    if not params.enable_bucket:
        return
    shortest = 0 if params.bucket_no_upscale else params.min_bucket_reso
    pairs = [
        ("min_bucket_reso", shortest, "resolution", params.resolution),
        ("min_bucket_reso", shortest, "max_bucket_reso", params.max_bucket_reso),
        ("bucket_reso_steps", params.bucket_reso_steps, "resolution", params.resolution),
        ("bucket_reso_steps", params.bucket_reso_steps, "max_bucket_reso", params.max_bucket_reso),
    ]
    for small, low, large, high in pairs:
        if high and low > high:
            raise EngineError("bucket_limits", small=small, low=low, large=large, high=high)


def bucket_sizes(params: BakeParams) -> list[Size]:
    """All bucket sizes, sorted, no area above resolution².

    kohya's list (`model_util.make_bucket_resolutions`): the largest fitting height for every width between the
    limits, each also lying down, and the square. Without buckets, the one square.
    """
    if not params.enable_bucket:
        return [(params.resolution, params.resolution)]
    limits = bucket_range(params)
    return list(_sizes(params.resolution**2, limits.shortest, limits.longest, limits.step))


@functools.lru_cache(maxsize=64)
def _sizes(area: int, shortest: int, longest: int, step: int) -> tuple[Size, ...]:
    square = max(step, math.isqrt(area) // step * step)
    sizes = {(square, square)}
    for width in range(shortest, longest + 1, step):
        height = min(longest, area // width // step * step)
        if height >= shortest:
            sizes |= {(width, height), (height, width)}
    return tuple(sorted(sizes))


def fit(width: int, height: int, sizes: list[Size] | tuple[Size, ...], params: BakeParams) -> Fit:
    """The bucket of a picture of `width` × `height` and how it gets there.

    Its own size where that is a bucket, else the bucket of nearest aspect ratio by logarithm: unlike kohya's
    linear distance (`kohya_compat`), this treats a picture and its rotation alike. The picture is scaled to cover,
    never stretched.
    """
    if params.enable_bucket and params.bucket_no_upscale:
        bucket = _own_bucket(width, height, params)
    else:
        nearest = _kohyas if params.kohya_compat else _nearest
        bucket = nearest(width, height, sizes if isinstance(sizes, tuple) else tuple(sizes))
    return cover(width, height, bucket)


def cover(width: int, height: int, bucket: Size) -> Fit:
    """A picture scaled to just cover `bucket` and cut at its centre."""
    scale = max(bucket[0] / width, bucket[1] / height)
    resize = (max(bucket[0], round(width * scale)), max(bucket[1], round(height * scale)))
    left, top = (resize[0] - bucket[0]) // 2, (resize[1] - bucket[1]) // 2
    return Fit(bucket, (width, height), resize, (left, top, left + bucket[0], top + bucket[1]))


def within(full: Size, box: Box, part: Fit) -> Fit:
    """The fit `part` of the piece `box` of a picture of size `full`, as one of the whole picture: a single resampling.

    `source`, `resize` and `crop` are the whole picture's, so `kept` counts what lies outside the piece as lost.
    """
    left, top, right, bottom = box
    across, down = part.resize[0] / (right - left), part.resize[1] / (bottom - top)
    width, height = part.bucket
    # Never smaller than the bucket, whatever rounding does to slivers.
    resize = max(width, round(full[0] * across)), max(height, round(full[1] * down))
    x = min(resize[0] - width, round(left * across) + part.crop[0])
    y = min(resize[1] - height, round(top * down) + part.crop[1])
    return Fit(part.bucket, full, resize, (x, y, x + width, y + height))


@functools.lru_cache(maxsize=64)
def _by_ratio(sizes: tuple[Size, ...]) -> tuple[list[float], list[Size], frozenset[Size]]:
    """Logarithms of the aspect ratios, rising, and the largest size of each."""
    largest: dict[tuple[int, int], Size] = {}
    for width, height in sizes:
        divisor = math.gcd(width, height)
        ratio = (width // divisor, height // divisor)
        largest[ratio] = max(largest.get(ratio, (0, 0)), (width, height))
    ordered = sorted(largest.values(), key=lambda size: size[0] / size[1])
    return [math.log(w / h) for w, h in ordered], ordered, frozenset(sizes)


def _nearest(width: int, height: int, sizes: tuple[Size, ...]) -> Size:
    ratios, ordered, exact = _by_ratio(sizes)
    if (width, height) in exact:
        return (width, height)
    wanted = math.log(width / height)
    right = bisect.bisect_left(ratios, wanted)
    near = range(max(0, right - 1), min(len(ratios), right + 1))
    # Rounded, so that a tie is one on every machine; of two equally near ones the squarer is taken.
    best = min(near, key=lambda i: (round(abs(ratios[i] - wanted), 9), round(abs(ratios[i]), 9)))
    return ordered[best]


def _kohyas(width: int, height: int, sizes: tuple[Size, ...]) -> Size:
    """kohya's choice (`BucketManager.select_bucket`): the first of the sorted sizes whose width / height is nearest."""
    if (width, height) in sizes:
        return (width, height)
    return min(sizes, key=lambda size: abs(size[0] / size[1] - width / height))


def _own_bucket(width: int, height: int, params: BakeParams) -> Size:
    """The picture's own size, shrunk to the area of the resolution where larger, rounded down to the step."""
    limits = bucket_range(params)
    step, area = limits.step, max(params.resolution, limits.step) ** 2
    scale = min(1.0, params.resolution / math.sqrt(width * height))

    def side(length: int, longest: int) -> int:
        # The small term keeps 511.9999… that should be 512 from losing a whole step.
        return min(longest, max(step, int(length * scale + 1e-6) // step * step))

    short = side(min(width, height), limits.longest)
    # A sliver is widened to one step, so its length may have to give way.
    long = side(max(width, height), min(limits.longest, area // short // step * step))
    return (short, long) if width <= height else (long, short)
