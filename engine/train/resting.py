"""Gives up the weights that a bake has no more use for: the VAE once all latents are there, frozen text encoders once
all captions are.

Whatever asks for them after all, as previews on demand do, has the model read them again (`engine.models.model`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.dataset.render import plain_caption
from engine.train.cache import by_chance
from engine.train.views import mirror_of

if TYPE_CHECKING:
    from engine.train.setup import Setup


def rest(setup: Setup) -> None:
    """Lay aside, once latents are there, what neither a step nor a preview of every epoch needs."""
    rest_text(setup)
    if not setup.params.preview_every_epochs:
        setup.model.lay_aside_vae()


def rest_text(setup: Setup, tell: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Lay aside text encoders that have said all they will be asked; `tell` is called before each caption that is
    embedded for it with how many are done of how many, and may raise."""
    if by_chance(setup.params):
        return
    with setup.compute.autocast():
        known = setup.captions.learn(_every_caption(setup), tell)
    if known:
        setup.model.lay_aside_text()


def _every_caption(setup: Setup) -> list[str]:
    """All that can be asked for where chance makes no captions but the empty one."""
    params, plan = setup.params, setup.plan
    items = [*plan.items, *plan.validation]
    if params.flip_aug:
        items += [mirror_of(item, params) for item in plan.items]
    found = [plain_caption(item.image.caption or "", params) for item in items]
    if params.caption_dropout_rate or params.caption_dropout_every_n_epochs:
        found.append("")
    drawn = [picture.prompt for picture in setup.pictures] + [params.preview_negative] * (params.preview_cfg > 1)
    return list(dict.fromkeys(found + drawn))
