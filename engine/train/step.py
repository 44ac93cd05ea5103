"""One micro-batch: what is drawn for each sample, and the loss. No disk, no journal, no optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from engine.models.model import DiffusionModel, Embedding, Frame, Posterior
from engine.protocol.params import BakeParams
from engine.train import criterion, noise, weighting


@dataclass(frozen=True)
class Draw:
    """What chance decided for one sample: latent and noise [C, h, w] on the CPU, timestep; and what part of it counts.

    `seen` is the noise in the model's input where that is not the one it has to find; `mask` is [1, h, w].
    """

    latent: Tensor
    noise: Tensor
    timestep: int
    seen: Tensor | None = None
    mask: Tensor | None = None


def trained_timesteps(params: BakeParams, count: int) -> range:
    """The timesteps that are trained, of 0 … `count` − 1."""
    return range(params.min_timestep, min(params.max_timestep, count))


def draw(
    posterior: Posterior,
    model: DiffusionModel,
    params: BakeParams,
    timesteps: range,
    generator: Generator,
    *,
    mask: Tensor | None = None,
) -> Draw:
    """Sample the latent's posterior, the noise with its options, and one of `timesteps`."""
    latent, added = _latent_and_noise(posterior, model, generator)
    if params.noise_offset:
        strength: float | Tensor = params.noise_offset
        if params.noise_offset_random_strength:
            strength = params.noise_offset * noise.random_share(generator)
        if params.adaptive_noise_scale:
            strength = noise.adaptive_strength(strength, params.adaptive_noise_scale, latent)
        added = noise.with_offset(added, strength, generator)
    if params.multires_noise_iterations:
        added = noise.pyramid(added, params.multires_noise_iterations, params.multires_noise_discount, generator)
    timestep = int(torch.randint(timesteps.start, timesteps.stop, (), generator=generator))
    seen = None
    if params.ip_noise_gamma:
        gamma = params.ip_noise_gamma
        if params.ip_noise_gamma_random_strength:
            gamma *= noise.random_share(generator)
        seen = noise.perturbed(added, gamma, generator)
    return Draw(latent, added, timestep, seen, mask)


def draw_to_measure(
    posterior: Posterior, model: DiffusionModel, timestep: int, generator: Generator, *, mask: Tensor | None = None
) -> Draw:
    """A sample to measure with: plain noise whatever the bake trains on, so that bakes can be compared."""
    latent, added = _latent_and_noise(posterior, model, generator)
    return Draw(latent, added, timestep, mask=mask)


def _latent_and_noise(posterior: Posterior, model: DiffusionModel, generator: Generator) -> tuple[Tensor, Tensor]:
    shape = (posterior.mean.shape[0], posterior.mean.shape[1], posterior.mean.shape[2])
    raw = posterior.mean + posterior.std * noise.plain(shape, generator)
    return model.scale(raw), noise.plain(shape, generator)


class Loss:
    """The training loss of a base model under fixed parameters; holds the tables that never change."""

    def __init__(self, model: DiffusionModel, params: BakeParams) -> None:
        self.model = model
        self.params = params
        self.alphas = weighting.alphas_cumprod(model.scheduler).to(model.device)
        uncorrected = weighting.alphas_cumprod({**model.scheduler, "rescale_betas_zero_snr": False})
        self.weights = weighting.loss_weights(params, self.alphas, uncorrected.to(model.device), model.prediction_type)
        self.thresholds = criterion.thresholds(params, self.alphas)

    @property
    def timesteps(self) -> range:
        """The timesteps that are trained."""
        return trained_timesteps(self.params, len(self.alphas))

    def __call__(
        self, draws: Sequence[Draw], embedding: Embedding, frames: Sequence[Frame], counts: Sequence[float]
    ) -> Tensor:
        """Mean over the batch of: distance (mean over C and what counts of h, w) × `counts` of the sample × the
        weight of its timestep."""
        difference, timesteps = self._difference(draws, embedding, frames)
        losses = criterion.distance(self.params.loss_type, difference, self.thresholds[timesteps])
        errors = criterion.picture_mean(losses, [d.mask for d in draws], kohya=self.params.kohya_compat)
        factors = torch.tensor(counts, device=errors.device, dtype=torch.float32) * self.weights[timesteps]
        return (errors * factors).mean()

    def errors(self, draws: Sequence[Draw], embedding: Embedding, frames: Sequence[Frame]) -> Tensor:
        """The squared error of each sample [B] in fp32, unweighted, over what counts of it."""
        difference, _ = self._difference(draws, embedding, frames)
        return criterion.picture_mean(difference.square(), [d.mask for d in draws])

    def _difference(
        self, draws: Sequence[Draw], embedding: Embedding, frames: Sequence[Frame]
    ) -> tuple[Tensor, Tensor]:
        """Answer − target [B, C, h, w] in fp32, and the timesteps [B]."""
        device = self.model.device
        latents = torch.stack([d.latent for d in draws]).to(device, non_blocking=True)
        added = torch.stack([d.noise for d in draws]).to(device, non_blocking=True)
        seen = added
        if any(d.seen is not None for d in draws):
            seen = torch.stack([d.noise if d.seen is None else d.seen for d in draws]).to(device, non_blocking=True)
        timesteps = torch.tensor([d.timestep for d in draws], device=device)
        noisy = noise.add_noise(latents, seen, self.alphas, timesteps).to(self.model.dtype)
        target = added
        if self.model.prediction_type == "v_prediction":
            target = noise.velocity(latents, added, self.alphas, timesteps)
        predicted = self.model.predict(noisy, timesteps, embedding, frames)
        return predicted.float() - target, timesteps
