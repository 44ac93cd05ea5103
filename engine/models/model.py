"""What every family of base models offers to the trainer: encode pictures and words, predict, decode.

The families fill it in; which files to read is their business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from torch import Tensor, nn

from engine.models.clip import windows
from engine.protocol.errors import EngineError

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL


@dataclass(frozen=True)
class Embedding:
    """What the U-Net reads of captions: `hidden` [B, tokens, width], `pooled` [B, width] where the family has one."""

    hidden: Tensor
    pooled: Tensor | None = None

    def to(self, device: torch.device) -> Embedding:
        """The same on a device."""
        pooled = None if self.pooled is None else self.pooled.to(device)
        return Embedding(self.hidden.to(device), pooled)

    @staticmethod
    def cat(parts: Sequence[Embedding]) -> Embedding:
        """Embeddings one under the other along the batch."""
        pooled = [part.pooled for part in parts if part.pooled is not None]
        return Embedding(torch.cat([part.hidden for part in parts]), torch.cat(pooled) if pooled else None)


Emphasis = Callable[[int, Tensor], Tensor]
"""Place of the text encoder, its hidden states → what is taken in their stead."""


@dataclass(frozen=True)
class Frame:
    """How a picture lies in its latent, in pixels: (height, width) before, (top, left) of the crop, (h, w) after."""

    original: tuple[int, int]
    crop: tuple[int, int]
    target: tuple[int, int]


@dataclass(frozen=True)
class Posterior:
    """The VAE's answer to a picture: mean and standard deviation, [C, h, w] each, before scaling."""

    mean: Tensor
    std: Tensor


@dataclass(frozen=True)
class Source:
    """What a family needs to load a checked base model.

    `scheduler` is scheduler_config.json of a folder, {} for a file; `vae_hash` names the VAE in cache keys, "" where
    the family has to work it out; `dtype` is that of the frozen weights.
    """

    path: Path
    device: torch.device
    dtype: torch.dtype
    scheduler: dict[str, Any]
    vae_hash: str = ""


@dataclass
class DiffusionModel(ABC):
    """A loaded base model with frozen weights, all on one device; the VAE is diffusers' AutoencoderKL in fp32.

    `text_encoders` pairs kohya's key prefix with the module; `scheduler` is scheduler_config.json, its prediction
    type and noise schedule as they apply to this bake.
    """

    family: ClassVar[str]
    kohya_version: ClassVar[str]
    """`ss_base_model_version` of its LoRAs: readers tell the family by it."""
    architecture: ClassVar[str]
    """`modelspec.architecture` of the base; a LoRA appends `/lora`."""

    path: Path
    device: torch.device
    dtype: torch.dtype
    unet: nn.Module
    vae: AutoencoderKL
    text_encoders: list[tuple[str, nn.Module]]
    scheduler: dict[str, Any]
    vae_hash: str
    read: Callable[[str], nn.Module]
    """Reads a part ("vae", or a text encoder by its prefix) from disk, frozen and in its place."""

    @property
    def vae_factor(self) -> int:
        """Pixels per latent cell along one side: 8 for the real models."""
        return int(2 ** (len(self._vae.block_out_channels) - 1))

    @property
    def size_multiple(self) -> int:
        """Sides of a generated picture must be multiples of this many pixels, or the U-Net's halves do not meet."""
        config: Any = self.unet.config
        return self.vae_factor * int(2 ** (len(config.block_out_channels) - 1))

    @property
    def prediction_type(self) -> str:
        """`epsilon` or `v_prediction`."""
        return str(self.scheduler.get("prediction_type", "epsilon"))

    @property
    def zero_terminal_snr(self) -> bool:
        """Whether the last timestep is pure noise (Lin et al. 2023); the noise schedule is then the rescaled one."""
        return bool(self.scheduler.get("rescale_betas_zero_snr"))

    @property
    @abstractmethod
    def tokenizers(self) -> tuple[Any, ...]:
        """CLIP's tokenizer of each text encoder, in their order."""

    @abstractmethod
    def encode_ids(self, ids: Sequence[Tensor], *, clip_skip: int, emphasis: Emphasis | None = None) -> Embedding:
        """Token ids [B, windows, 77] of each text encoder as the U-Net reads them; differentiable.

        `emphasis` may change the hidden states [B, 75 · windows + 2, width] of the encoder whose place it is told.
        """

    def lay_aside_vae(self) -> None:
        """Give up the VAE's weights for now: `encode_image` and `decode` read them again, and raise EngineError
        `model_broken` where that cannot be done."""
        self.vae.to("meta")

    def lay_aside_text(self) -> None:
        """Give up the weights of the text encoders, which have to be as they were read; `encode_text` reads them
        again and raises as `encode_image`."""
        for _, encoder in self.text_encoders:
            encoder.to("meta")

    def _again(self, part: str, module: nn.Module) -> nn.Module:
        if not next(module.parameters()).is_meta:
            return module
        try:
            return self.read(part)
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:  # the libraries raise what they like, bare Exception included
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise EngineError("model_broken", path=self.path, reason=reason) from error

    def encode_text(self, captions: Sequence[str], *, clip_skip: int, max_token_length: int) -> Embedding:
        """Captions as the U-Net reads them, [B, 77 | 152 | 227, width]; differentiable, on the model's device.

        Windows of 75 tokens, each encoded on its own between its marks.
        """
        self.text_encoders = [(prefix, self._again(prefix, encoder)) for prefix, encoder in self.text_encoders]
        ids = [windows(tokenizer, captions, max_token_length) for tokenizer in self.tokenizers]
        return self.encode_ids(ids, clip_skip=clip_skip)

    @torch.no_grad()
    def encode_image(self, pixels: Tensor) -> Posterior:
        """Pixels [3, H, W] in -1…1 to the posterior of their latent, in fp32.

        One picture at a time, so that a latent never depends on what it was batched with.
        """
        self.vae = cast("AutoencoderKL", self._again("vae", self.vae))
        distribution = self.vae.encode(pixels[None].to(self.device, torch.float32)).latent_dist
        return Posterior(distribution.mean[0], distribution.std[0])

    def scale(self, latents: Tensor) -> Tensor:
        """Raw latents to the range that the U-Net was trained on: `(x - shift) · scaling_factor` of the config."""
        scaled: Tensor = (latents - (self._vae.shift_factor or 0.0)) * self._vae.scaling_factor
        return scaled

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents [B, C, h, w] to pixels [B, 3, H, W] in 0…1, in fp32."""
        self.vae = cast("AutoencoderKL", self._again("vae", self.vae))
        raw = latents.to(self.device, torch.float32) / self._vae.scaling_factor
        pixels: Tensor = self.vae.decode(raw + (self._vae.shift_factor or 0.0)).sample
        return (pixels / 2 + 0.5).clamp(0, 1)

    @property
    def _vae(self) -> Any:
        # The fields of a config exist at run time only.
        return self.vae.config

    @abstractmethod
    def predict(self, noisy: Tensor, timesteps: Tensor, embedding: Embedding, frames: Sequence[Frame]) -> Tensor:
        """The U-Net's prediction for noisy latents [B, C, h, w] at timesteps [B]."""
