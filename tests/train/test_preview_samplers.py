"""Previews follow the base: a model that knows the picture draws it with every sampler, whatever it predicts."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch

from engine.drawing.samplers import make_sampler
from engine.protocol.params import Sampler
from tests.train.test_loss import numpy_zero_snr
from tests.train.test_mathematics import SD15, numpy_alphas


@pytest.mark.parametrize("name", get_args(Sampler))
def test_a_model_of_noise_with_a_rescaled_schedule_draws_numbers(name: Sampler) -> None:
    sampler = make_sampler(name, SD15 | {"prediction_type": "epsilon", "rescale_betas_zero_snr": True})
    sampler.set_timesteps(8)
    chance = torch.Generator().manual_seed(0)
    latent = torch.randn((1, 4, 8, 8), generator=chance) * sampler.init_noise_sigma
    options: dict[str, Any] = {"generator": chance} if name in ("euler_a", "ddim") else {}
    for timestep in sampler.timesteps:
        seen = sampler.scale_model_input(latent, timestep)
        latent = sampler.step(seen * 0.9, timestep, latent, return_dict=False, **options)[0]
        assert torch.isfinite(latent).all()


@pytest.mark.parametrize("name", get_args(Sampler))
@pytest.mark.parametrize(("prediction", "zero"), [("epsilon", False), ("v_prediction", False), ("v_prediction", True)])
def test_a_model_that_knows_the_picture_draws_it(name: Sampler, prediction: str, zero: bool) -> None:
    sampler = make_sampler(name, SD15 | {"prediction_type": prediction, "rescale_betas_zero_snr": zero})
    sampler.set_timesteps(20)
    chance = torch.Generator().manual_seed(0)
    picture, latent = torch.randn((2, 1, 4, 8, 8), generator=chance)
    latent = latent * sampler.init_noise_sigma
    alphas = numpy_zero_snr() if zero else numpy_alphas()
    options: dict[str, Any] = {"generator": chance} if name in ("euler_a", "ddim") else {}
    if zero:
        assert float(sampler.timesteps[0]) == 999, "it begins with pure noise"
    for timestep in sampler.timesteps:
        a = float(np.interp(float(timestep), np.arange(1000), alphas))
        seen = sampler.scale_model_input(latent, timestep).double()
        added = (seen - a**0.5 * picture) / (1 - a) ** 0.5
        answer = added if prediction == "epsilon" else a**0.5 * added - (1 - a) ** 0.5 * picture
        latent = sampler.step(answer.float(), timestep, latent, return_dict=False, **options)[0]
    # DDIM ends at the schedule's first timestep, which keeps 3 % of noise.
    assert torch.allclose(latent, picture, atol=0.2 if name == "ddim" else 1e-4)
