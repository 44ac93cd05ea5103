"""One micro-batch: what is drawn for each sample, and the loss. No disk, no journal, no optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from engine.models.model import DiffusionModel, Embedding, Frame, Posterior
from engine.protocol.params import BakeParams
from engine.train import noise, weighting


@dataclass(frozen=True)
class Draw:
    """What chance decided for one sample: latent and noise [C, h, w] on the CPU, timestep."""

    latent: Tensor
    noise: Tensor
    timestep: int


def draw(
    posterior: Posterior,
    model: DiffusionModel,
    params: BakeParams,
    timesteps: int,
    generator: Generator,
    *,
    timestep: int | None = None,
) -> Draw:
    """Sample the latent's posterior, the noise with its options, and a timestep 0 … `timesteps` − 1 if none is
    given."""
    shape = (posterior.mean.shape[0], posterior.mean.shape[1], posterior.mean.shape[2])
    raw = posterior.mean + posterior.std * noise.plain(shape, generator)
    added = noise.plain(shape, generator)
    if params.noise_offset:
        added = noise.with_offset(added, params.noise_offset, generator)
    if params.multires_noise_iterations:
        added = noise.pyramid(added, params.multires_noise_iterations, params.multires_noise_discount, generator)
    if timestep is None:
        timestep = int(torch.randint(0, timesteps, (), generator=generator))
    return Draw(model.scale(raw), added, timestep)


class Loss:
    """The training loss of a base model under fixed parameters; holds the tables that never change."""

    def __init__(self, model: DiffusionModel, params: BakeParams) -> None:
        self.model = model
        self.alphas = weighting.alphas_cumprod(model.scheduler).to(model.device)
        self.weights = torch.ones_like(self.alphas)
        if params.min_snr_gamma:
            ratio = weighting.snr(self.alphas)
            self.weights = weighting.min_snr(ratio, params.min_snr_gamma, model.prediction_type)

    @property
    def timesteps(self) -> int:
        """How many timesteps the schedule has."""
        return len(self.alphas)

    def __call__(
        self, draws: Sequence[Draw], embedding: Embedding, frames: Sequence[Frame], counts: Sequence[float]
    ) -> Tensor:
        """Mean over the batch of: squared error (mean over C, h, w) × `counts` of the sample × SNR weight."""
        errors, timesteps = self.errors(draws, embedding, frames)
        factors = torch.tensor(counts, device=errors.device, dtype=torch.float32) * self.weights[timesteps]
        return (errors * factors).mean()

    def errors(self, draws: Sequence[Draw], embedding: Embedding, frames: Sequence[Frame]) -> tuple[Tensor, Tensor]:
        """The unweighted error of each sample [B] in fp32, and the timesteps [B]."""
        device = self.model.device
        latents = torch.stack([d.latent for d in draws]).to(device, non_blocking=True)
        added = torch.stack([d.noise for d in draws]).to(device, non_blocking=True)
        timesteps = torch.tensor([d.timestep for d in draws], device=device)
        noisy = noise.add_noise(latents, added, self.alphas, timesteps).to(self.model.dtype)
        target = added
        if self.model.prediction_type == "v_prediction":
            target = noise.velocity(latents, added, self.alphas, timesteps)
        predicted = self.model.predict(noisy, timesteps, embedding, frames)
        return (predicted.float() - target).square().mean(dim=(1, 2, 3)), timesteps
