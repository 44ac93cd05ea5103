"""The time left is right within a tenth from a fifth of the bake on, whatever its parts cost and how they jitter."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.protocol import fields
from engine.protocol.events import Phase
from engine.train.pace import DRAWS_LONGER, WARM_UP, Pace, preview_rows

parts = st.fixed_dictionaries(
    {
        "epochs": st.integers(2, 12),
        "steps": st.integers(60, 200),
        "every": st.integers(0, 4),
        "row": st.floats(0.0, 40.0),
        "closing": st.floats(0.0, 5.0),
        "bare": st.floats(1.0, 1.5),
        "seed": st.integers(0, 999),
    }
)


def errors(pace: Pace, bake: dict[str, float], strange: int = 0) -> list[float]:
    """Of each step from a fifth on, how far its time left was off, as a share of the bake. Seconds are steps."""
    chance = random.Random(bake["seed"])
    params = fields.build({"epochs": bake["epochs"], "preview_every_epochs": bake["every"]})
    now, told, count = 0.0, [], params.epochs * int(bake["steps"])

    def takes(seconds: float, jitter: float) -> float:
        nonlocal now
        seconds *= chance.uniform(1 - jitter, 1 + jitter)
        now += seconds
        return seconds

    if bake["every"]:
        pace.began(0.1, bake["row"] / bake["bare"])
    for step in range(1, count + 1):
        epoch = (step - 1) // int(bake["steps"]) + 1
        pace.step(takes(9.0 if step <= WARM_UP else 400.0 if step == strange else 1.0, 0.25))
        left = pace.left(params, count - step, epoch)
        if step >= count / 5:
            assert left is not None
            told.append(now + left)
        if step % bake["steps"] == 0:
            drawn = preview_rows(params, epoch) - preview_rows(params, epoch + 1)
            pace.closed(takes(bake["closing"], 0.3), takes(bake["row"], 0.15) if drawn else 0.0)
    return [abs(end - now) / now for end in told]


@settings(deadline=None, max_examples=25)
@given(parts)
def test_it_is_right_from_a_fifth_of_the_bake_on(bake: dict[str, float]) -> None:
    assert max(errors(Pace(), bake)) < 0.1


def test_a_machine_that_was_suspended_for_a_while_is_forgiven() -> None:
    bake = {"epochs": 10, "steps": 100, "every": 1, "row": 10.0, "closing": 1.0, "bare": 1.2, "seed": 1}
    after = errors(Pace(), bake, strange=500)[-400:]
    assert max(after) < 0.1


def test_a_machine_that_became_slower_is_followed() -> None:
    pace, params = Pace(), fields.build({"epochs": 1, "preview_every_epochs": 0})
    for seconds in [1.0] * 1000 + [2.0] * 200:
        pace.step(seconds)
    assert pace.left(params, 100, 1) == 200.0


def test_a_bake_that_goes_on_knows_what_its_previews_took() -> None:
    told = [("baseline", 0, "a"), ("train", 4, "a"), ("save", 9, "a"), ("preview", 10, "a"), ("train", 16, "a")]
    told += [("prepare", 900, "b"), ("train", 950, "b")]
    phases = [Phase(run="r", seq=1, boot=boot, t=float(t), name=name) for name, t, boot in told]
    params = fields.build({"epochs": 3, "preview_every_epochs": 1})
    fresh, first = Pace(), Pace()
    fresh.recall(phases)
    first.recall(phases[:2])
    for pace in (fresh, first):
        for _step in range(WARM_UP + 1):
            pace.step(1.0)
    assert fresh.left(params, 10, 2) == 10 + 2 * (1 + 6)
    assert first.left(params, 30, 1) == 30 + 3 * 4 * DRAWS_LONGER


def test_saves_within_epochs_are_counted_by_the_time_between_them() -> None:
    pace, params = Pace(save_every=60.0), fields.build({"epochs": 1, "preview_every_epochs": 0})
    for _step in range(10):
        pace.step(1.0)
    pace.saved(6.0)
    assert pace.left(params, 600, 1) == 660.0
