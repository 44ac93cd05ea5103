"""A bake that was stopped, paused or killed ends with the very same numbers as one that was left alone."""

from __future__ import annotations

import pytest

from engine.protocol.events import Event, Finished, Preview, Step
from tests.train.conftest import Kitchen, Straight, at_step
from tests.train.test_exactness_matrix import same


def test_stopped_in_the_middle_twice(kitchen: Kitchen) -> None:
    params = {"gradient_accumulation": 2, "batch_size": 2, "repeat": 4}
    straight, stopped = kitchen.submit("straight", **params), kitchen.submit("stopped", **params)
    kitchen.bake(straight)
    for step in (1, 4):
        events = kitchen.bake(stopped, at_step(step, "stop"))
        assert isinstance(events[-1], Finished)
        assert events[-1].reason == "stopped"
    kitchen.bake(stopped)
    same(kitchen, stopped, straight)


def test_killed_at_every_event(kitchen: Kitchen, request: pytest.FixtureRequest) -> None:
    """Without `--full`, of the four previews of an epoch at one alone."""
    full = request.config.getoption("--full")
    params = {"epochs": 1, "repeat": 1, "batch_size": 2, "preview_every_epochs": 1, "preview_steps": 1}
    straight, broken = kitchen.submit("straight", **params), kitchen.submit("broken", **params)
    kitchen.bake(straight)
    seen: set[tuple[object, ...]] = set()

    def new(event: Event) -> bool:
        which = event.epoch if isinstance(event, Preview) and not full else getattr(event, "path", None)
        key = (type(event), getattr(event, "step", None), getattr(event, "name", None), which)
        fresh = key not in seen
        return fresh and not seen.add(key)

    while kitchen.bake_and_die(broken, new):
        for event in kitchen.events(broken):
            new(event)
    same(kitchen, broken, straight)
    left, expected = (sorted(p.name for p in run.epoch_dir(1).iterdir()) for run in (broken, straight))
    assert left == expected
    for index in range(1, 5):
        assert broken.preview_file(1, index).read_bytes() == straight.preview_file(1, index).read_bytes()


def test_save_now_makes_a_state_to_go_on_from(kitchen: Kitchen, straight: Straight) -> None:
    broken = kitchen.submit("broken")
    hook = at_step(3, "save_now")

    def saved(event: Event) -> bool:
        hook(broken, event)
        return isinstance(event, Step) and event.step == 6

    assert kitchen.bake_and_die(broken, saved)
    kitchen.bake(broken)
    same(kitchen, broken, straight())
    again = [e.step for e in kitchen.events(broken) if isinstance(e, Step)]
    assert again.count(2) == 1, "the saved part was not trained twice"


def test_another_dataset_means_another_state(kitchen: Kitchen) -> None:
    run = kitchen.submit("run")
    kitchen.bake(run, at_step(2, "stop"))
    from engine.protocol.errors import EngineError

    job = run.read_job()
    import msgspec

    run.write_job(msgspec.structs.replace(job, params=msgspec.structs.replace(job.params, seed=7)))
    with pytest.raises(EngineError) as caught:
        kitchen.bake(run)
    assert caught.value.info.code == "state_mismatch"
