"""Numbers per step: smoothing continues where it stood, downsampling keeps what the eye looks for."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.protocol.events import Step
from lorabake_tui.store import Series, downsample

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine that trains beside the tests is slow; that is no fault of the code."""


def step(number: int, loss: float | None, epoch: int = 1, **lr: float) -> Step:
    return Step(run="r", seq=number, boot="b", t=0.0, step=number, epoch=epoch, loss=loss, lr=lr)


def filled(losses: list[float | None]) -> Series:
    series = Series()
    for number, loss in enumerate(losses, 1):
        series.add(step(number, loss))
    return series


def test_smoothing_is_the_debiased_average_and_holds_over_gaps() -> None:
    series = filled([1.0, 3.0, None, 2.0])
    first, second = 1.0, (0.5 * 0.5 * 1.0 + 0.5 * 3.0) / (1 - 0.25)
    third = (0.5 * (0.5 * 0.5 * 1.0 + 0.5 * 3.0) + 0.5 * 2.0) / (1 - 0.125)
    assert list(series.smoothed(0.5)) == pytest.approx([first, second, second, third])


@PATIENT
@given(st.lists(st.one_of(st.none(), st.floats(-10, 10)), max_size=40), st.integers(0, 40), st.integers(1, 40))
def test_smoothing_piece_by_piece_equals_smoothing_at_once(losses: list[float | None], pause: int, again: int) -> None:
    """Also when a resume takes points back in between."""
    whole = filled(losses)
    pieces = filled(losses[:pause])
    pieces.smoothed(0.9)
    for number, loss in list(enumerate(losses, 1))[min(pause, again - 1) :]:
        pieces.add(step(number, loss))
        pieces.smoothed(0.9)
    assert list(pieces.smoothed(0.9)) == pytest.approx(list(whole.smoothed(0.9)), nan_ok=True)


def test_a_group_that_appears_late_has_no_rates_before() -> None:
    series = Series()
    series.add(step(1, 0.1, unet=1e-4))
    series.add(step(2, 0.1, unet=1e-4, text_encoder=5e-5))
    series.add(step(3, 0.1, unet=1e-4))
    rates = [None if math.isnan(rate) else rate for rate in series.lr["text_encoder"]]
    assert rates == [None, 5e-5, None]
    assert list(series.lr["unet"]) == [1e-4] * 3


def test_epoch_means_leave_out_what_is_no_number() -> None:
    series = Series()
    for number, (epoch, loss) in enumerate([(1, 1.0), (1, None), (1, 3.0), (2, None), (3, 5.0)], 1):
        series.add(step(number, loss, epoch))
    assert series.epoch_means() == {1: 2.0, 3: 5.0}
    assert series.first_of_epochs() == [(1, 1), (2, 4), (3, 5)]


def test_a_spike_of_one_step_survives() -> None:
    losses = [0.1] * 10_000
    losses[7_123] = 9.0
    losses[2_345] = -4.0
    buckets = [bucket for bucket in downsample(range(1, 10_001), losses, 80) if bucket]
    assert len(buckets) == 80
    assert max(bucket.high for bucket in buckets) == 9.0
    assert min(bucket.low for bucket in buckets) == -4.0


@PATIENT
@given(
    st.lists(st.one_of(st.just(math.nan), st.floats(-1e6, 1e6)), max_size=300),
    st.integers(1, 50),
    st.integers(0, 310),
)
def test_downsampling_loses_no_extreme_and_keeps_order(values: list[float], columns: int, first: int) -> None:
    steps = list(range(10, 10 + len(values)))
    buckets = downsample(steps, values, columns, first)
    real = [bucket for bucket in buckets if bucket]
    finite = [value for value in values[first:] if value == value]
    assert len(buckets) <= columns
    assert [b.high for b in real] == [] if not finite else max(b.high for b in real) == max(finite)
    assert not finite or min(b.low for b in real) == min(finite)
    assert all(a.x < b.x for a, b in pairwise(real))
    assert all(b.low <= b.mean + 1e-6 and b.mean <= b.high + 1e-6 for b in real)


def test_a_stretch_of_nan_is_a_gap() -> None:
    values = [1.0] * 50 + [math.nan] * 50 + [2.0] * 50
    buckets = downsample(range(150), values, 15)
    assert [bucket is None for bucket in buckets] == [False] * 5 + [True] * 5 + [False] * 5
