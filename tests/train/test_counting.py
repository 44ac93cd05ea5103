"""How much each image counts in an optimizer step, against sums over images taken one by one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.train import order
from engine.train.control import Control
from engine.train.loop import take_step
from engine.train.optim import set_rates
from engine.train.order import Batch, View
from engine.train.setup import Setup
from tests.tiny import tiny_dataset
from tests.train.conftest import Kitchen, prepared

Ready = tuple[Setup, Control]
STILL: dict[str, Any] = {"repeat": 1, "batch_size": 2, "enable_bucket": False, "text_encoder_lr": 0.0}


@pytest.fixture
def ready(kitchen: Kitchen) -> Ready:
    """A bake that stands still: whatever is measured, no weight moves."""
    reg = str(tiny_dataset(kitchen.home.parent / "reg", images=2, seed=5))
    setup, requests = prepared(kitchen, "run", reg=reg, **STILL)
    set_rates(setup.optimizer, 0.0)
    return setup, requests


def loss(ready: Ready, batches: list[Batch], **params: Any) -> float:
    """The loss of a step over these micro-batches."""
    setup, requests = ready
    kept = setup.job
    setup.job = msgspec.structs.replace(kept, params=msgspec.structs.replace(kept.params, **params))
    try:
        return float(take_step(setup, 1, batches, requests)[0])
    finally:
        setup.job = kept


def test_each_image_counts_the_same_however_full_its_batch_is(ready: Ready) -> None:
    """kohya: each batch counts the same, and a step that an epoch cuts short is divided as if it were whole."""
    a, b, c = (View(item, 0) for item in range(3))
    one, two, three = (loss(ready, [[view]]) for view in (a, b, c))
    assert len({one, two, three}) == 3
    assert loss(ready, [[a, b], [c]]) == pytest.approx((one + two + three) / 3, rel=1e-4)
    for sums in (2, 4):
        kohyas = loss(ready, [[a, b], [c]], kohya_compat=True, gradient_accumulation=sums)
        assert kohyas == pytest.approx(((one + two) / 2 + three) / sums, rel=1e-4)


def test_only_regularisation_images_take_the_prior_weight(ready: Ready) -> None:
    items = ready[0].plan.items
    own, reg = (View(next(i for i, item in enumerate(items) if item.reg == kind), 0) for kind in (False, True))
    first, second = loss(ready, [[own]]), loss(ready, [[reg]])
    for weight in (0.0, 0.3, 2.0):
        assert loss(ready, [[own]], prior_loss_weight=weight) == first
        assert loss(ready, [[reg]], prior_loss_weight=weight) == pytest.approx(second * weight, rel=1e-5)
        assert loss(ready, [[own, reg]], prior_loss_weight=weight) == pytest.approx(
            (first + second * weight) / 2, rel=1e-4
        )


def test_an_epoch_has_as_many_reg_views_as_others(ready: Ready) -> None:
    setup = ready[0]
    views = [view for batch in order.epoch_batches(setup.plan, setup.params, 1) for view in batch]
    kinds = [setup.plan.items[view.item].reg for view in views]
    assert kinds.count(True) == kinds.count(False) == 5
