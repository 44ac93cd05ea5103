"""How well the LoRA does on images that are never trained: the same measure for every epoch of a bake."""

from __future__ import annotations

from collections.abc import Callable

import torch

from engine.dataset.render import plain_caption
from engine.train import order
from engine.train.cache import frame_of
from engine.train.setup import Setup
from engine.train.step import draw_to_measure

TIMESTEPS = 4
"""Each held-out image is measured at so many timesteps, in the middles of equal parts of what is trained."""


@torch.no_grad()
def measure(setup: Setup, tick: Callable[[], None]) -> float:
    """The mean squared error over the held-out images, unweighted, with noise that is fixed by seed and image.

    Fixed noise and timesteps make the value of one epoch comparable with another's, where the training loss only
    tells which timesteps chance took. `tick` is called before each image and may raise.
    """
    trained = setup.loss.timesteps
    timesteps = [trained.start + (2 * i + 1) * len(trained) // (2 * TIMESTEPS) for i in range(TIMESTEPS)]
    total = 0.0
    rows = zip(setup.plan.validation, setup.held_out, setup.held_out_masks, strict=True)
    for number, (item, held, mask) in enumerate(rows):
        tick()
        generator = order.generator(setup.params.seed, "validation", number)
        draws = [draw_to_measure(held, setup.model, timestep, generator, mask=mask) for timestep in timesteps]
        caption = plain_caption(item.image.caption or "", setup.params)
        with setup.compute.autocast():
            words = setup.captions.plain([caption] * TIMESTEPS)
            errors = setup.loss.errors(draws, words, [frame_of(item, kohya=setup.params.kohya_compat)] * TIMESTEPS)
        total += float(errors.mean())
    return total / len(setup.held_out)
