"""Latents by content on disk and in memory, and text embeddings by caption: each computed once.

A latent's key covers everything that decides it, so a stale one cannot be met: the image's bytes, how it is fitted
to its bucket, the VAE. Chance (sampling the posterior) comes later, in `step`.
"""

from __future__ import annotations

import errno
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from engine.dataset.buckets import Fit
from engine.dataset.manifest import file_sha256
from engine.dataset.pixels import load_rgb
from engine.dataset.plan import Item
from engine.models.model import DiffusionModel, Embedding, Frame, Posterior
from engine.protocol.errors import EngineError
from engine.protocol.files import DISK_FULL, atomic_write, make_private_dir
from engine.protocol.params import BakeParams

_FORMAT = 1
_EMBEDDING_BYTES = 1 << 30
_CHANGING_BYTES = 1 << 26
"""Captions that chance makes anew each time seldom come again; on a GPU they would only take room from the bake."""


def latent_key(sha256: str, fit: Fit, vae_hash: str, *, flip: bool = False) -> str:
    """The name of a cached latent; `flip` for that of the mirrored picture."""
    text = f"{_FORMAT}/{sha256}/{fit.bucket}/{fit.source}/{fit.resize}/{fit.crop}/{vae_hash}" + "/flip" * flip
    return hashlib.sha256(text.encode()).hexdigest()


def frame_of(item: Item, *, kohya: bool = False) -> Frame:
    """What families that are told about size and crop hear of an item (height before width).

    The offset is the real one within the scaled picture; kohya tells that of a picture scaled to fit inside the bucket
    instead, with a margin on either side. A part that a person cropped counts as a picture of its own, as if it had
    been exported: the U-Net shall not learn it as the corner of something larger.
    """
    fit, crop = item.fit, item.image.crop
    (width, height), left, top = fit.source, fit.crop[0], fit.crop[1]
    across = fit.resize[0]
    if crop is not None:
        box = crop.box
        left = max(0, left - round(box[0] * fit.resize[0] / width))
        top = max(0, top - round(box[1] * fit.resize[1] / height))
        across = round((box[2] - box[0]) * fit.resize[0] / width)
        width, height = box[2] - box[0], box[3] - box[1]
    if item.flip:
        left = max(0, across - left - fit.bucket[0])
    if kohya:
        scale = min(fit.bucket[0] / width, fit.bucket[1] / height)
        left, top = (
            int((side - length * scale) // 2) for side, length in zip(fit.bucket, (width, height), strict=True)
        )
    return Frame(original=(height, width), crop=(top, left), target=(fit.bucket[1], fit.bucket[0]))


class Latents:
    """Reads posteriors from the cache folder, computes and stores what is missing there."""

    def __init__(self, model: DiffusionModel, folder: Path) -> None:
        self._model = model
        self._folder = make_private_dir(folder)

    def load(self, items: Sequence[Item], hashes: Sequence[str]) -> Iterator[Posterior]:
        """The posterior of each item, in order, on the CPU.

        Raises EngineError `image_unreadable`, `dataset_changed` or `latent_nonfinite`. A cache that cannot be written
        is only slower.
        """
        for item, sha256 in zip(items, hashes, strict=True):
            key = latent_key(sha256, item.fit, self._model.vae_hash, flip=item.flip)
            path = self._folder / key[:2] / f"{key}.safetensors"
            yield self._read(path, item) or self._compute(item, sha256, path)

    def _read(self, path: Path, item: Item) -> Posterior | None:
        try:
            tensors = safetensors.torch.load(path.read_bytes())
            found = Posterior(tensors["mean"], tensors["std"])
        except (OSError, SafetensorError, KeyError):
            return None
        cells = tuple(side // self._model.vae_factor for side in reversed(item.fit.bucket))
        sound = all(bool(part.shape[1:] == cells and torch.isfinite(part).all()) for part in (found.mean, found.std))
        return found if sound else None

    def _compute(self, item: Item, sha256: str, path: Path) -> Posterior:
        rgb = load_rgb(item.image.path, item.fit)
        # The file may have been replaced since it was hashed, and what is stored under a hash must be that file's.
        if file_sha256(item.image.path, item.image.name) != sha256:
            raise EngineError("dataset_changed", count=1, file=item.image.name)
        pixels = torch.from_numpy(np.array(rgb[:, ::-1] if item.flip else rgb))
        posterior = self._model.encode_image(pixels.permute(2, 0, 1).float() / 127.5 - 1)
        mean, std = posterior.mean.cpu().contiguous(), posterior.std.cpu().contiguous()
        if not bool(torch.isfinite(mean).all() and torch.isfinite(std).all()):
            raise EngineError("latent_nonfinite", file=item.image.name)
        try:
            make_private_dir(path.parent)
            atomic_write(path, safetensors.torch.save({"mean": mean, "std": std}))
        except OSError as error:
            if error.errno not in DISK_FULL | {errno.EACCES, errno.EROFS, errno.EPERM}:
                raise
        return Posterior(mean, std)


def by_chance(params: BakeParams) -> bool:
    """Whether an image's caption differs from view to view; that it is dropped whole does not count."""
    return bool(
        params.shuffle_caption or params.caption_tag_dropout_rate or params.enable_wildcard or params.token_warmup_step
    )


class Captions:
    """Text embeddings: by caption from memory while the encoders are frozen, computed with gradients else."""

    def __init__(self, model: DiffusionModel, params: BakeParams) -> None:
        self._model = model
        self._trained = any(rate > 0 for rate in params.text_encoder_lrs[: len(model.text_encoders)])
        self._options = {"clip_skip": params.clip_skip, "max_token_length": params.max_token_length}
        self._kept: OrderedDict[str, Embedding] = OrderedDict()
        self._bytes = 0
        self._room = _CHANGING_BYTES if by_chance(params) else _EMBEDDING_BYTES

    def __call__(self, captions: Sequence[str]) -> Embedding:
        """The embeddings of a batch of captions."""
        if self._trained:
            return self._model.encode_text(captions, **self._options)
        return Embedding.cat([self._frozen(caption) for caption in captions])

    def plain(self, captions: Sequence[str]) -> Embedding:
        """Embeddings without gradients, one caption at a time."""
        one = self._computed if self._trained else self._frozen
        return Embedding.cat([one(caption) for caption in captions])

    def learn(self, captions: Sequence[str], tell: Callable[[int, int], None]) -> bool:
        """Embed all of these, if the encoders are frozen and there is room; whether all are at hand from now on.

        `tell` is called before each one that is computed with how many are done of how many, and may raise.
        """
        if self._trained:
            return False
        for number, caption in enumerate(captions):
            if caption not in self._kept:
                tell(number, len(captions))
            if _size(self._frozen(caption)) * len(captions) > self._room:
                return False
        return all(caption in self._kept for caption in captions)

    @torch.no_grad()
    def _computed(self, caption: str) -> Embedding:
        return self._model.encode_text([caption], **self._options)

    def _frozen(self, caption: str) -> Embedding:
        # One caption at a time: what it was batched with would change its last bits.
        found = self._kept.get(caption)
        if found is not None:
            self._kept.move_to_end(caption)
            return found
        computed = self._computed(caption)
        self._kept[caption] = computed
        self._bytes += _size(computed)
        while self._bytes > self._room and len(self._kept) > 1:
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        return computed


def _size(embedding: Embedding) -> int:
    tensors: list[Tensor] = [embedding.hidden] + ([embedding.pooled] if embedding.pooled is not None else [])
    return sum(tensor.nbytes for tensor in tensors)
