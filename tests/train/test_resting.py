"""What a bake lays aside is not missed: same losses, previews when asked for, and the weights are really given up."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.models.load import load_model
from engine.protocol.events import Event, Finished, Preview, Step, Warning
from engine.train import order
from engine.train.loop import take_step
from engine.train.setup import Setup
from engine.train.views import shown
from tests.train.conftest import Kitchen, Straight, at_step, losses, prepared

FROZEN: dict[str, Any] = {"text_encoder_lr": 0.0, "epochs": 1, "repeat": 1}


def asleep(setup: Setup) -> tuple[bool, bool]:
    """Whether the VAE and the text encoder hold no weights."""
    encoder = setup.model.text_encoders[0][1]
    return tuple(all(p.is_meta for p in part.parameters()) for part in (setup.model.vae, encoder))  # type: ignore


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"flip_aug": True, "caption_dropout_rate": 0.5, "validation_split": 0.4}, (True, True)),
        ({"shuffle_caption": True}, (True, False)),
        ({"preview_every_epochs": 1}, (False, True)),
        ({"text_encoder_lr": 1e-3, "preview_every_epochs": 1}, (False, False)),
    ],
    ids=str,
)
def test_only_what_nothing_asks_for_is_given_up(
    kitchen: Kitchen, params: dict[str, Any], expected: tuple[bool, bool]
) -> None:
    setup, requests = prepared(kitchen, "run", **FROZEN | params)
    assert asleep(setup) == expected
    setup.train_mode(True)
    for batches in order.epoch_steps(setup.plan, setup.params, 1):
        assert torch.isfinite(take_step(setup, 1, batches, requests)).all()
    assert asleep(setup) == expected, "no step had to read them again"


def test_captions_at_hand_are_what_the_encoder_says(kitchen: Kitchen) -> None:
    setup, _ = prepared(kitchen, "run", **FROZEN, flip_aug=True, caption_dropout_rate=0.5)
    fresh = load_model(kitchen.base, device=torch.device("cpu"), dtype=torch.float32)
    views = [view for batch in order.epoch_batches(setup.plan, setup.params, 1) for view in batch]
    words = {shown(setup, epoch, view).caption for epoch in (1, 2, 3) for view in views}
    assert "" in words
    assert len(words) > 2
    for caption in words:
        expected = fresh.encode_text([caption], clip_skip=1, max_token_length=75).hidden
        assert torch.equal(setup.captions([caption]).hidden, expected)
    assert asleep(setup) == (True, True)


def test_a_preview_on_demand_changes_no_number(kitchen: Kitchen, straight: Straight) -> None:
    plain = losses(kitchen.events(straight(**FROZEN)))
    events = kitchen.bake(kitchen.submit("asked", **FROZEN), at_step(2, "preview_now"))
    assert losses(events) == plain
    assert [event.index for event in events if isinstance(event, Preview)] == [1, 2, 3, 4]


def test_a_base_that_is_gone_costs_the_preview_and_not_the_bake(
    kitchen: Kitchen, straight: Straight, tmp_path: Path
) -> None:
    plain = losses(kitchen.events(straight(**FROZEN)))
    kitchen.base = Path(shutil.copytree(kitchen.base, tmp_path / "lent"))
    ask = at_step(2, "preview_now")

    def hook(run: Any, event: Event) -> None:
        if isinstance(event, Step) and event.step == 2:
            shutil.rmtree(kitchen.base, ignore_errors=True)
        ask(run, event)

    events = kitchen.bake(kitchen.submit("run", **FROZEN), hook)
    assert isinstance(events[-1], Finished)
    assert losses(events) == plain
    assert "model_broken" in {event.code for event in events if isinstance(event, Warning)}
    assert not any(isinstance(event, Preview) for event in events)
