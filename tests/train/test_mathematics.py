"""Noise, weights, learning rates and order against derivations of their own in NumPy or closed form."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from engine.dataset.plan import BakePlan, make_plan
from engine.dataset.scan import scan
from engine.models.load import load_model
from engine.models.model import Posterior
from engine.protocol.params import BakeParams, Scheduler
from engine.train import noise, order, schedule, weighting
from engine.train.step import Draw, Loss, draw
from tests.tiny import tiny_dataset

SD15 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}


def numpy_alphas() -> np.ndarray:
    """ᾱ by an explicit product, as DDPM defines it."""
    product, table = 1.0, []
    for i in range(1000):
        root = math.sqrt(0.00085) + (math.sqrt(0.012) - math.sqrt(0.00085)) * i / 999
        product *= 1 - root**2
        table.append(product)
    return np.array(table)


def test_alphas() -> None:
    assert np.allclose(weighting.alphas_cumprod(SD15).numpy(), numpy_alphas(), rtol=1e-5)


def test_zero_terminal_snr_keeps_the_start_and_ends_at_nothing() -> None:
    plain = weighting.alphas_cumprod(SD15)
    zero = weighting.alphas_cumprod(SD15 | {"rescale_betas_zero_snr": True})
    assert zero[-1] == 0
    assert torch.isclose(zero[0], plain[0])
    assert (zero.diff() < 0).all()


@pytest.mark.parametrize("gamma", [1.0, 5.0])
def test_min_snr(gamma: float) -> None:
    alphas = numpy_alphas()
    ratio = alphas / (1 - alphas)
    tensor = weighting.snr(torch.tensor(alphas))
    eps = np.array([min(s, gamma) / s for s in ratio])
    v = np.array([min(s, gamma) / (s + 1) for s in ratio])
    assert np.allclose(weighting.min_snr(tensor, gamma, "epsilon").numpy(), eps)
    assert np.allclose(weighting.min_snr(tensor, gamma, "v_prediction").numpy(), v)
    at_nothing = weighting.min_snr(torch.zeros(1), gamma, "epsilon")
    assert at_nothing.item() == 1.0


def test_add_noise_and_velocity() -> None:
    chance = np.random.default_rng(0)
    x, n = chance.normal(size=(2, 4, 3, 5)), chance.normal(size=(2, 4, 3, 5))
    alphas, t = numpy_alphas(), np.array([10, 900])
    a = alphas[t][:, None, None, None]
    tensors = torch.tensor(x), torch.tensor(n), torch.tensor(alphas), torch.tensor(t)
    assert np.allclose(noise.add_noise(*tensors).numpy(), np.sqrt(a) * x + np.sqrt(1 - a) * n)
    assert np.allclose(noise.velocity(*tensors).numpy(), np.sqrt(a) * n - np.sqrt(1 - a) * x)


def test_noise_offset_shifts_whole_channels() -> None:
    shape = (4, 8, 8)
    before = noise.plain(shape, torch.Generator().manual_seed(1))
    after = noise.with_offset(before, 0.5, torch.Generator().manual_seed(2))
    shift = (after - before).numpy()
    expected = 0.5 * torch.randn((4, 1, 1), generator=torch.Generator().manual_seed(2)).numpy()
    assert np.allclose(shift, np.broadcast_to(expected, shape), atol=1e-6)


def numpy_bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear enlargement with pixel centres at ½ and edges held, as torch's `align_corners=False`."""

    def places(count: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = np.clip((np.arange(count) + 0.5) * size / count - 0.5, 0, None)
        low = np.minimum(at.astype(int), size - 1)
        return low, np.minimum(low + 1, size - 1), at - low

    y0, y1, fy = places(height, image.shape[1])
    x0, x1, fx = places(width, image.shape[2])
    fy = fy[:, None]
    top = image[:, y0][:, :, x0] * (1 - fx) + image[:, y0][:, :, x1] * fx
    bottom = image[:, y1][:, :, x0] * (1 - fx) + image[:, y1][:, :, x1] * fx
    return top * (1 - fy) + bottom * fy


@pytest.mark.parametrize(("shape", "iterations"), [((4, 16, 24), 6), ((4, 9, 7), 2)])
def test_pyramid_noise(shape: tuple[int, int, int], iterations: int) -> None:
    start = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    mine = noise.pyramid(start, iterations, 0.4, torch.Generator().manual_seed(4)).numpy()
    generator = torch.Generator().manual_seed(4)
    total = start.numpy().astype(np.float64)
    for i in range(iterations):
        ratio = torch.rand((), generator=generator).item() * 2 + 2
        h, w = max(1, int(shape[1] / ratio**i)), max(1, int(shape[2] / ratio**i))
        layer = torch.randn((1, shape[0], h, w), generator=generator)[0].numpy().astype(np.float64)
        total += numpy_bilinear(layer, shape[1], shape[2]) * 0.4**i
        if h == 1 or w == 1:
            break
    assert np.allclose(mine, total / total.std(ddof=1), atol=1e-4)
    assert abs(mine.std(ddof=1) - 1) < 1e-5


THEIRS: dict[str, dict[str, Any]] = {
    "constant": {},
    "constant_with_warmup": {},
    "linear": {},
    "cosine": {},
    "cosine_with_restarts": {"num_cycles": 3},
    "polynomial": {"power": 2.5, "lr_end": 0.0},
    "cosine_with_min_lr": {"min_lr_rate": 0.2},
}


@pytest.mark.parametrize("scheduler", get_args(Scheduler))
def test_learning_rates_equal_those_of_the_libraries(scheduler: Scheduler) -> None:
    """diffusers' own functions, and transformers' for the one that only it has; warm-up is 10 of 100 steps."""
    from diffusers import optimization as diffusers
    from transformers import optimization as transformers

    total = 100
    params = BakeParams(
        lr_scheduler=scheduler,
        lr_warmup=0.1,
        lr_scheduler_cycles=3,
        lr_scheduler_power=2.5,
        lr_scheduler_min_lr_ratio=0.2,
    )
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    steps = {"num_warmup_steps": 10, "num_training_steps": total}
    if scheduler == "cosine_with_min_lr":
        make = transformers.get_cosine_with_min_lr_schedule_with_warmup
    elif scheduler == "polynomial":
        make = diffusers.get_polynomial_decay_schedule_with_warmup
    else:
        make, steps = diffusers.get_scheduler, {"name": scheduler, "optimizer": optimizer} | steps
    theirs = make(**{"optimizer": optimizer} | steps | THEIRS[scheduler])
    for step in range(1, total + 1):
        assert schedule.factor(params, step, total) == pytest.approx(theirs.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        theirs.step()


def test_a_rate_never_falls_below_what_was_asked() -> None:
    lowest = BakeParams(lr_scheduler="cosine_with_min_lr", lr_scheduler_min_lr_ratio=0.3, lr_warmup=0)
    assert schedule.factor(lowest, 1, 50) == 1
    assert schedule.factor(lowest, 51, 50) == pytest.approx(0.3)
    assert min(schedule.factor(lowest, step, 50) for step in range(1, 51)) >= 0.3


def test_warmup_is_a_share_below_one_and_steps_from_one_on() -> None:
    assert schedule.warmup_steps(BakeParams(lr_warmup=0.05), 200) == 10
    assert schedule.warmup_steps(BakeParams(lr_warmup=30), 200) == 30
    assert schedule.warmup_steps(BakeParams(lr_warmup=300), 200) == 200
    assert schedule.warmup_steps(BakeParams(lr_warmup=30, lr_scheduler="constant"), 200) == 0, "as in kohya"
    assert schedule.factor(BakeParams(lr_warmup=0, lr_scheduler="cosine"), 1, 10) == 1.0


def test_the_loss_of_a_batch(base: Path) -> None:
    """Mean over samples of squared error × sample weight × min-SNR weight, everything but the U-Net in NumPy."""
    model = load_model(base, device=torch.device("cpu"), dtype=torch.float32)
    loss = Loss(model, BakeParams(min_snr_gamma=5))
    generator = torch.Generator().manual_seed(0)
    draws = [
        Draw(torch.randn((4, 8, 8), generator=generator), torch.randn((4, 8, 8), generator=generator), t)
        for t in (3, 400, 999)
    ]
    alphas = numpy_alphas()
    expected = []
    with torch.no_grad():
        words = model.encode_text(["a", "b", "c"], clip_skip=1, max_token_length=75)
        mine = loss(draws, words, [], [1.0, 0.5, 2.0]).item()
        for i, (d, weight) in enumerate(zip(draws, (1.0, 0.5, 2.0), strict=True)):
            a = alphas[d.timestep]
            noisy = np.sqrt(a) * d.latent.numpy() + np.sqrt(1 - a) * d.noise.numpy()
            seen = model.unet(
                torch.tensor(noisy, dtype=torch.float32)[None], d.timestep, words.hidden[i : i + 1]
            ).sample[0]
            snr = a / (1 - a)
            expected.append(((seen.numpy() - d.noise.numpy()) ** 2).mean() * weight * min(snr, 5) / snr)
    assert mine == pytest.approx(float(np.mean(expected)), rel=1e-4)


def test_latents_are_drawn_from_the_posterior(base: Path) -> None:
    model = load_model(base, device=torch.device("cpu"), dtype=torch.float32)
    posterior = Posterior(torch.full((4, 64, 64), 3.0), torch.full((4, 64, 64), 0.5))
    drawn = draw(posterior, model, BakeParams(), range(1000), torch.Generator().manual_seed(0))
    raw = drawn.latent / 0.18215
    assert raw.mean().item() == pytest.approx(3.0, abs=0.02)
    assert raw.std().item() == pytest.approx(0.5, abs=0.02)
    steps = [draw(posterior, model, BakeParams(), range(10), order.generator(0, i)).timestep for i in range(300)]
    assert set(steps) == set(range(10))


def plan_of(tmp_path: Path, params: BakeParams) -> BakePlan:
    folder = tmp_path / "set"
    tiny_dataset(folder / "3_cat", images=4, sides=(32, 48))
    tiny_dataset(folder / "1_dog", images=3, seed=1, sides=(32,))
    return make_plan(scan(folder), None, params)


@pytest.mark.parametrize(("batch", "accumulation"), [(1, 1), (2, 1), (2, 3), (4, 2)])
def test_an_epoch_sees_every_view_once_and_takes_the_planned_steps(
    tmp_path: Path, batch: int, accumulation: int
) -> None:
    params = BakeParams(resolution=32, batch_size=batch, gradient_accumulation=accumulation)
    plan = plan_of(tmp_path, params)
    steps = order.epoch_steps(plan, params, 1)
    assert len(steps) == plan.steps_per_epoch
    batches = [b for step in steps for b in step]
    assert len(batches) == plan.batches_per_epoch
    seen = Counter(view for b in batches for view in b)
    assert set(seen.values()) == {1}
    assert Counter(v.item for v in seen) == {i: item.repeat for i, item in enumerate(plan.items)}
    for b in batches:
        assert len({plan.items[v.item].fit.bucket for v in b}) == 1
        assert len(b) <= batch


def test_order_depends_on_seed_and_epoch_and_nothing_else(tmp_path: Path) -> None:
    params = BakeParams(resolution=32)
    plan = plan_of(tmp_path, params)
    assert order.epoch_batches(plan, params, 1) == order.epoch_batches(plan, params, 1)
    assert order.epoch_batches(plan, params, 1) != order.epoch_batches(plan, params, 2)
    assert order.epoch_batches(plan, params, 1) != order.epoch_batches(plan, BakeParams(resolution=32, seed=1), 1)
    assert order.seed_for(1, 23) != order.seed_for(12, 3)


def test_noise_is_the_images_own_whatever_the_batch() -> None:
    one = noise.plain((4, 2, 2), order.generator(5, "sample", 1, 3, 0))
    order.generator(5, "sample", 1, 2, 0)
    torch.manual_seed(0)
    assert torch.equal(noise.plain((4, 2, 2), order.generator(5, "sample", 1, 3, 0)), one)
    assert not torch.equal(noise.plain((4, 2, 2), order.generator(5, "sample", 1, 3, 1)), one)
