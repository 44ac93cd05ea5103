"""What one view of an image is: the picture or its mirror image, with the latent, mask and caption it has there.

Which views there are is `order`; what chance adds to them is `step`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
from torch import Tensor

from engine.dataset.chance import caption_rng, mirrored
from engine.dataset.mirroring import mirrored_words
from engine.dataset.plan import Item
from engine.dataset.render import When, render_caption
from engine.models.model import Posterior
from engine.protocol.params import BakeParams
from engine.train.order import View

if TYPE_CHECKING:
    from engine.train.setup import Setup


class Shown(NamedTuple):
    """What the trainer takes of an image this time; `mask` is [1, h, w], None where all of it counts."""

    item: Item
    posterior: Posterior
    mask: Tensor | None
    caption: str


def shown(setup: Setup, epoch: int, view: View) -> Shown:
    """The view as training sees it, a function of (seed, epoch, view) and of the step for a tag warm-up."""
    params = setup.params
    item, posterior, mask = setup.plan.items[view.item], setup.posteriors[view.item], setup.masks[view.item]
    if params.flip_aug and mirrored(params.seed, epoch, *view):
        item, posterior = mirror_of(item, params), setup.mirrored[view.item]
    when = When(epoch, setup.step, setup.plan.optimizer_steps)
    caption = render_caption(item.image.caption or "", params, caption_rng(params.seed, epoch, *view), when)
    # Masks are made for pictures as they lie on disk.
    return Shown(item, posterior, mask.flip(-1) if mask is not None and item.flip else mask, caption)


def mirror_of(item: Item, params: BakeParams) -> Item:
    """The same image the other way round; its caption says left for right, other than in kohya."""
    image = item.image
    if image.caption and not params.kohya_compat:
        image = msgspec.structs.replace(image, caption=mirrored_words(image.caption))
    return msgspec.structs.replace(item, image=image, flip=not item.flip)
