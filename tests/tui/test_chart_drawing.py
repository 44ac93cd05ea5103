"""The chart's cells: sizes kept, labels whole, spikes and gaps shown, nothing of the library's leaks out."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from lorabake_tui.widgets.chart import Curve, Plot, render
from lorabake_tui.widgets.ticks import linear_ticks, log_ticks, short_number


def text(plot: Plot, width: int, height: int) -> list[str]:
    return ["".join(segment.text for segment in strip) for strip in render(plot, width, height)]


def loss(steps: int = 120) -> Curve:
    return Curve("loss", [(float(x), 0.1 + 0.2 * math.exp(-x / 30)) for x in range(1, steps + 1)], 60)


MARKS = [(1.0 + 24 * number, str(number + 1)) for number in range(5)]


@pytest.mark.parametrize("size", [(20, 4), (21, 5), (40, 6), (76, 9), (118, 20), (200, 50)])
@pytest.mark.parametrize("log", [False, True])
def test_it_fills_its_size_exactly(size: tuple[int, int], log: bool) -> None:
    width, height = size
    curves = [loss(), Curve("平滑", loss().points, 180), Curve("validation", [(60.0, 0.2)], 175, "dots")]
    lines = text(Plot(curves, (1, 120), MARKS, "epoch", log), width, height)
    assert [cell_len(line) for line in lines] == [width] * height


def test_labels_stand_whole_and_apart() -> None:
    lines = text(Plot([loss()], (1, 120), MARKS, "epoch"), 60, 12)
    assert lines[-1].split() == ["1", "2", "3", "4", "5", "epoch"]
    assert lines[-2].count("┴") == 4
    ticks = [line.split("┤")[0].strip() for line in lines if "┤" in line]
    assert ticks == sorted(ticks, reverse=True)
    assert len({len(tick) for tick in ticks}) == 1


def test_many_epochs_are_thinned_to_round_ones() -> None:
    marks = [(1.0 + number, str(number + 1)) for number in range(100)]
    labels = text(Plot([loss(100)], (1, 100), marks, "epoch"), 60, 10)[-1].split()
    assert labels[:3] == ["10", "20", "30"]


@pytest.mark.parametrize("width", [40, 79, 120, 240])
def test_a_curve_reaches_from_edge_to_edge(width: int) -> None:
    rows = [line.split("┤")[-1].split("│")[-1] for line in text(Plot([loss()], (1, 120)), width, 30)[:-2]]
    columns = ["".join(row[column] for row in rows).strip() for column in range(len(rows[0]))]
    assert all(columns)


def test_a_spike_reaches_the_top_and_a_gap_stays_empty() -> None:
    points = [(float(x), 0.1) for x in range(1, 101)]
    points[29] = (30.0, 0.9)
    flat = text(Plot([Curve("loss", points, 60)], (1, 100)), 60, 12)
    assert sum(glyph >= "⠁" and glyph <= "⣿" for glyph in flat[0]) >= 1
    broken = [None if 40 <= x <= 60 else point for x, point in enumerate(points, 1)]
    middle = [line[30:34] for line in text(Plot([Curve("loss", broken, 60)], (1, 100)), 60, 12)[:-2]]
    assert set("".join(middle)) == {" "}


def test_without_numbers_it_says_so() -> None:
    for curves in ([], [Curve("loss", [], 60)], [Curve("loss", [(1.0, math.nan), None], 60)]):
        lines = text(Plot(curves, note="nothing yet"), 40, 8)
        assert "nothing yet" in "\n".join(lines)
        assert len(lines) == 8


def test_a_logarithm_leaves_out_what_is_not_positive() -> None:
    curve = Curve("lr", [(1.0, 0.0), (2.0, 1e-5), (3.0, 1e-4), (4.0, -1.0)], 60)
    lines = text(Plot([curve], (1, 4), log=True), 50, 10)
    assert any("1e-5" in line for line in lines)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.none()), max_size=30),
    st.booleans(),
    st.integers(1, 60),
    st.integers(1, 16),
)
def test_no_values_break_it(values: list[float | None], log: bool, width: int, height: int) -> None:
    points = [None if value is None else (float(x), value) for x, value in enumerate(values)]
    lines = text(Plot([Curve("a", points, 60)], (0, len(points)), log=log), width, height)
    assert [cell_len(line) for line in lines] == [width] * height


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.floats(-1e9, 1e9), st.floats(0, 1e9), st.integers(2, 12))
def test_linear_ticks_are_round_and_ascend(low: float, span: float, count: int) -> None:
    ticks = linear_ticks(low, low + span, count)
    values = [value for value, _text in ticks.labels]
    assert 2 <= len(values) <= count + 2
    assert all(a < b for a, b in pairwise(values))
    assert ticks.limits[0] <= low
    assert low + span <= ticks.limits[1]


def test_log_ticks_thin_out() -> None:
    assert [label for _value, label in log_ticks(1e-5, 1e-1, 5).labels] == ["1e-5", "1e-4", "0.001", "0.01", "0.1"]
    assert [label for _value, label in log_ticks(0.05, 0.3, 4).labels] == ["0.05", "0.1", "0.2"]


@pytest.mark.parametrize(
    ("value", "told"), [(0, "0"), (0.25, "0.25"), (1200, "1200"), (1e-4, "1e-4"), (2.5e-5, "2.5e-5"), (1e6, "1e6")]
)
def test_short_numbers(value: float, told: str) -> None:
    assert short_number(value) == told
