"""Bucket lists equal kohya's, and every picture gets a bucket that treats it and its rotation alike."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dataset.buckets import bucket_range, bucket_sizes, fit
from engine.protocol.params import BakeParams

sides = st.integers(1, 5000)
resolutions = st.integers(4, 256).map(lambda n: n * 8)


@st.composite
def bucket_params(draw: st.DrawFn) -> BakeParams:
    return BakeParams(
        resolution=draw(resolutions),
        enable_bucket=draw(st.booleans()),
        bucket_no_upscale=draw(st.booleans()),
        min_bucket_reso=draw(st.sampled_from([0, 0, 64, 256, 500, 1024])),
        max_bucket_reso=draw(st.sampled_from([0, 0, 64, 768, 1024, 2048])),
        bucket_reso_steps=draw(st.sampled_from([0, 0, 8, 32, 64])),
    )


@pytest.mark.parametrize(
    ("resolution", "longest", "count"),
    [(1024, 1024, 25), (1024, 1536, 29), (1024, 2048, 41), (1024, 4096, 97), (512, 768, 11), (512, 1024, 17)],
)
def test_as_many_buckets_as_kohya(resolution: int, longest: int, count: int) -> None:
    params = BakeParams(resolution=resolution, min_bucket_reso=256, max_bucket_reso=longest, bucket_reso_steps=64)
    assert len(bucket_sizes(params)) == count


def test_automatic_limits() -> None:
    limits = [(r.shortest, r.longest, r.step) for r in map(bucket_range, map(at, (64, 128, 256, 512, 768, 1024)))]
    assert limits == [
        (32, 128, 16),
        (64, 256, 16),
        (128, 512, 32),
        (256, 1024, 64),
        (384, 1536, 64),
        (512, 2048, 64),
    ]
    assert bucket_sizes(at(64)) == [
        (32, 96), (32, 112), (32, 128), (48, 80), (64, 64), (80, 48), (96, 32), (112, 32), (128, 32),
    ]  # fmt: skip


def at(resolution: int) -> BakeParams:
    return BakeParams(resolution=resolution)


def test_well_known_choices() -> None:
    params = at(512)
    sizes = bucket_sizes(params)
    assert fit(512, 512, sizes, params).bucket == (512, 512)
    assert fit(3000, 2000, sizes, params).bucket == (640, 384)
    assert fit(1080, 1920, sizes, params).bucket == (384, 640)
    assert fit(100, 5000, sizes, params).bucket == (256, 1024)
    portrait = fit(832, 1216, bucket_sizes(at(1024)), at(1024))
    assert (portrait.bucket, portrait.crop) == ((832, 1216), (0, 0, 832, 1216))


def test_without_buckets_all_is_one_square() -> None:
    params = BakeParams(resolution=512, enable_bucket=False)
    assert bucket_sizes(params) == [(512, 512)]
    assert fit(1000, 500, [(512, 512)], params).crop == (256, 0, 768, 512)


@given(bucket_params(), sides, sides)
def test_every_picture_is_covered_and_cut_to_its_bucket(params: BakeParams, width: int, height: int) -> None:
    sizes = bucket_sizes(params)
    found = fit(width, height, sizes, params)
    left, top, right, bottom = found.crop
    assert (right - left, bottom - top) == found.bucket
    assert left >= 0
    assert top >= 0
    assert right <= found.resize[0]
    assert bottom <= found.resize[1]
    assert abs(left - (found.resize[0] - right)) <= 1
    assert abs(top - (found.resize[1] - bottom)) <= 1
    # Covering, no larger than needed: one side fits exactly.
    assert found.resize[0] == found.bucket[0] or found.resize[1] == found.bucket[1]
    step = bucket_range(params).step
    if params.enable_bucket:
        assert found.bucket[0] % step == found.bucket[1] % step == 0
        assert found.bucket[0] * found.bucket[1] <= max(params.resolution, step) ** 2


@given(bucket_params(), sides, sides)
def test_a_rotated_picture_gets_the_rotated_bucket(params: BakeParams, width: int, height: int) -> None:
    sizes = bucket_sizes(params)
    upright, lying = fit(width, height, sizes, params), fit(height, width, sizes, params)
    assert upright.bucket == lying.bucket[::-1]
    assert upright.resize == lying.resize[::-1]


@given(st.sampled_from([256, 512, 1024]), sides, sides)
def test_the_nearest_ratio_wins(resolution: int, width: int, height: int) -> None:
    params = at(resolution)
    sizes = bucket_sizes(params)

    def distance(size: tuple[int, int]) -> float:
        return abs(math.log(size[0] / size[1]) - math.log(width / height))

    assert distance(fit(width, height, sizes, params).bucket) <= min(map(distance, sizes)) + 1e-9


@given(resolutions, sides, sides)
def test_nothing_is_enlarged_that_fills_a_step(resolution: int, width: int, height: int) -> None:
    params = BakeParams(resolution=resolution, bucket_no_upscale=True)
    found = fit(width, height, bucket_sizes(params), params)
    if min(width, height) * min(1, resolution / math.sqrt(width * height)) >= bucket_range(params).step:
        assert found.enlargement <= 1 + 1e-9


def test_kohyas_choice_is_the_nearest_by_linear_ratio() -> None:
    """Where both rules differ: log distance treats a picture and its rotation alike, linear distance does not."""
    params = BakeParams(resolution=512)
    kohya = BakeParams(resolution=512, kohya_compat=True)
    sizes = bucket_sizes(params)
    differ = 0
    for width in range(300, 1500, 7):
        ratio = width / 700
        wanted = sorted(sizes, key=lambda size: (abs(size[0] / size[1] - ratio), size))[0]
        mine = fit(width, 700, sizes, kohya).bucket
        assert mine == ((width, 700) if (width, 700) in sizes else wanted)
        differ += mine != fit(width, 700, sizes, params).bucket
    assert differ > 0
