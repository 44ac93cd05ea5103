"""The loss and its noise against derivations of their own: loops over numbers, or the identity a weight comes from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.models.load import load_model
from engine.models.model import DiffusionModel, Posterior
from engine.protocol.params import BakeParams
from engine.train import criterion, noise, weighting
from engine.train.step import Draw, Loss, draw, draw_to_measure, trained_timesteps
from tests.train.test_mathematics import SD15, numpy_alphas

ALL = range(1000)

# Knobs of noise and loss, each with a value that must change the loss of one batch, and what it needs beside it.
LOSS_KNOBS: dict[str, tuple[Any, dict[str, Any]]] = {
    "noise_offset": (0.2, {}),
    "multires_noise_iterations": (4, {}),
    "multires_noise_discount": (0.8, {"multires_noise_iterations": 4}),
    "min_snr_gamma": (0.5, {"max_timestep": 300}),
    "noise_offset_random_strength": (True, {"noise_offset": 0.5}),
    "adaptive_noise_scale": (1.0, {"noise_offset": 0.5}),
    "ip_noise_gamma": (0.1, {}),
    "ip_noise_gamma_random_strength": (True, {"ip_noise_gamma": 0.5}),
    "min_timestep": (900, {}),
    "max_timestep": (100, {}),
    "debiased_estimation": (True, {}),
    "scale_v_pred_loss": (True, {"prediction_type": "v_prediction"}),
    "v_pred_like_loss": (0.5, {}),
    "loss_type": ("l1", {}),
    "huber_schedule": ("constant", {"loss_type": "huber"}),
    "huber_c": (0.5, {"loss_type": "huber"}),
    "huber_scale": (2.0, {"loss_type": "huber"}),
    "kohya_compat": (True, {"loss_type": "huber", "huber_scale": 2.0}),
}


def loss_of(model: DiffusionModel, **params: Any) -> Loss:
    return Loss(model, BakeParams(**{"min_snr_gamma": 0.0} | params))


@pytest.fixture(scope="module")
def model(base: Path) -> DiffusionModel:
    return load_model(base, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(scope="module")
def velocity_model(base: Path) -> DiffusionModel:
    """The same weights, asked for v on a schedule that ends in pure noise."""
    return load_model(
        base,
        device=torch.device("cpu"),
        dtype=torch.float32,
        prediction_type="v_prediction",
        zero_terminal_snr=True,
    )


def numpy_zero_snr() -> np.ndarray:
    """ᾱ by Lin et al. 2023, algorithm 1, by way of betas: shift √ᾱ to end at 0, scale it to begin where it did."""
    root = np.sqrt(numpy_alphas())
    root = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
    bar = root**2
    alphas = np.concatenate([bar[:1], bar[1:] / bar[:-1]])
    betas = 1 - alphas
    return np.cumprod(1 - betas)


def test_zero_terminal_snr_is_the_papers_algorithm() -> None:
    mine = weighting.alphas_cumprod(SD15 | {"rescale_betas_zero_snr": True}).numpy()
    assert np.allclose(mine, numpy_zero_snr(), atol=1e-6)


# -- noise --------------------------------------------------------------------------------------------------------


def test_an_adaptive_offset_follows_the_latents_mean() -> None:
    chance = np.random.default_rng(0)
    latent = chance.normal(size=(4, 3, 5)) + np.array([3.0, -2.0, 0.1, 0.0])[:, None, None]
    for strength, scale in ((0.05, 0.02), (0.05, -0.04)):
        expected = [max(0.0, strength + scale * abs(sum(map(sum, c.tolist())) / 15)) for c in latent]
        mine = noise.adaptive_strength(strength, scale, torch.tensor(latent)).flatten().tolist()
        assert mine == pytest.approx(expected)
    assert noise.adaptive_strength(0.05, -0.04, torch.tensor(latent)).min() == 0, "never a negative strength"


def test_input_perturbation_is_seen_and_not_asked_for(model: DiffusionModel) -> None:
    """x_t = √ᾱ x + √(1 − ᾱ) (n + γ ξ), the target stays n."""
    posterior = Posterior(torch.zeros(4, 32, 32), torch.ones(4, 32, 32))
    plain = draw(posterior, model, BakeParams(), ALL, torch.Generator().manual_seed(0))
    drawn = draw(posterior, model, BakeParams(ip_noise_gamma=0.1), ALL, torch.Generator().manual_seed(0))
    assert torch.equal(drawn.latent, plain.latent)
    assert torch.equal(drawn.noise, plain.noise)
    assert drawn.timestep == plain.timestep
    assert plain.seen is None
    assert drawn.seen is not None
    xi = (drawn.seen - drawn.noise) / 0.1
    assert abs(xi.mean().item()) < 0.05
    assert xi.std().item() == pytest.approx(1, abs=0.05)
    assert abs(np.corrcoef(xi.flatten().numpy(), drawn.noise.flatten().numpy())[0, 1]) < 0.05

    loss = loss_of(model)
    words = model.encode_text(["a"], clip_skip=1, max_token_length=75)
    a = numpy_alphas()[drawn.timestep]
    with torch.no_grad():
        mine = loss([drawn], words, [], [1.0]).item()
        noisy = math.sqrt(a) * drawn.latent + math.sqrt(1 - a) * drawn.seen
        answer = model.unet(noisy[None], drawn.timestep, words.hidden).sample[0]
    assert mine == pytest.approx((answer - drawn.noise).square().mean().item(), rel=1e-4)


@pytest.mark.parametrize("knob", ["noise_offset", "ip_noise_gamma"])
def test_a_random_strength_is_uniform_up_to_the_one_set(model: DiffusionModel, knob: str) -> None:
    posterior = Posterior(torch.zeros(4, 16, 16), torch.zeros(4, 16, 16))
    params = BakeParams(**{knob: 0.8, f"{knob}_random_strength": True})
    strengths = []
    for seed in range(200):
        base = draw(posterior, model, BakeParams(), ALL, torch.Generator().manual_seed(seed))
        drawn = draw(posterior, model, params, ALL, torch.Generator().manual_seed(seed))
        if knob == "ip_noise_gamma":
            assert drawn.seen is not None
            strengths.append((drawn.seen - drawn.noise).std().item())
        else:
            shifts = (drawn.noise - base.noise).mean(dim=(1, 2))
            strengths.append(shifts.square().mean().sqrt().item())
    spread = np.array(strengths)
    assert spread.mean() == pytest.approx(0.4, abs=0.06), "the mean of a uniform strength"
    if knob == "ip_noise_gamma":
        assert spread.max() <= 0.8 * 1.1
        assert spread.std() == pytest.approx(0.8 / math.sqrt(12), abs=0.04)


def test_an_adaptive_offset_reaches_the_noise(model: DiffusionModel) -> None:
    """A channel of mean 0 keeps the strength, one of mean 10 gets the scale ten times on top."""
    level = torch.tensor([0.0, 10.0, 0.0, 10.0])[:, None, None] / 0.18215
    posterior = Posterior(level.expand(4, 8, 8), torch.zeros(4, 8, 8))

    def shift(**params: Any) -> torch.Tensor:
        base = draw(posterior, model, BakeParams(), ALL, torch.Generator().manual_seed(3))
        drawn = draw(posterior, model, BakeParams(**params), ALL, torch.Generator().manual_seed(3))
        return (drawn.noise - base.noise).mean(dim=(1, 2))

    ratio = shift(noise_offset=0.1, adaptive_noise_scale=0.02) / shift(noise_offset=0.1)
    assert ratio.tolist() == pytest.approx([1, 3, 1, 3], rel=1e-4)


def test_timesteps_are_those_asked_for(model: DiffusionModel) -> None:
    params = BakeParams(min_timestep=300, max_timestep=303)
    assert trained_timesteps(params, 1000) == range(300, 303)
    assert trained_timesteps(BakeParams(), 1000) == ALL
    posterior = Posterior(torch.zeros(4, 2, 2), torch.zeros(4, 2, 2))
    steps = loss_of(model, min_timestep=300, max_timestep=303).timesteps
    drawn = {draw(posterior, model, params, steps, torch.Generator().manual_seed(i)).timestep for i in range(40)}
    assert drawn == {300, 301, 302}


def test_measuring_takes_plain_noise(model: DiffusionModel) -> None:
    posterior = Posterior(torch.zeros(4, 4, 4), torch.ones(4, 4, 4))
    plain = draw(posterior, model, BakeParams(), ALL, torch.Generator().manual_seed(1))
    measured = draw_to_measure(posterior, model, 500, torch.Generator().manual_seed(1))
    assert torch.equal(measured.noise, plain.noise)
    assert torch.equal(measured.latent, plain.latent)
    assert (measured.timestep, measured.seen) == (500, None)


# -- weights ------------------------------------------------------------------------------------------------------


def errors_of(alpha: float) -> tuple[float, float]:
    """Squared errors of one answer taken as noise and as v: both must lead to the same picture x₀."""
    chance = np.random.default_rng(int(alpha * 1e6))
    x, n, off = chance.normal(size=(3, 64))
    noisy = math.sqrt(alpha) * x + math.sqrt(1 - alpha) * n
    epsilon = n + off
    picture = (noisy - math.sqrt(1 - alpha) * epsilon) / math.sqrt(alpha)
    v = (math.sqrt(alpha) * noisy - picture) / math.sqrt(1 - alpha)
    target = math.sqrt(alpha) * n - math.sqrt(1 - alpha) * x
    return float((off**2).mean()), float(((v - target) ** 2).mean())


STEPS = (20, 200, 500, 800, 990)


@pytest.mark.parametrize("knob", [{"debiased_estimation": True}, {"min_snr_gamma": 5.0}, {"min_snr_gamma": 1.0}])
def test_a_weight_means_the_same_loss_for_noise_and_for_v(knob: dict[str, Any]) -> None:
    alphas = torch.tensor(numpy_alphas())
    params = BakeParams(**{"min_snr_gamma": 0.0} | knob)
    for_noise = weighting.loss_weights(params, alphas, alphas, "epsilon")
    for_v = weighting.loss_weights(params, alphas, alphas, "v_prediction")
    for step in STEPS:
        as_noise, as_v = errors_of(float(alphas[step]))
        assert for_v[step].item() * as_v == pytest.approx(for_noise[step].item() * as_noise, rel=1e-6)


def test_debiased_estimation() -> None:
    """1 / √SNR for noise, SNR at most 1000; what kohya has for v only when asked to."""
    alphas = numpy_alphas()
    ratios = [a / (1 - a) for a in alphas]
    ratio = torch.tensor(ratios)
    expected = [1 / math.sqrt(min(s, 1000)) for s in ratios]
    assert np.allclose(weighting.debiased(ratio, "epsilon").numpy(), expected)
    kohyas = [1 / (min(s, 1000) + 1) for s in ratios]
    assert np.allclose(weighting.debiased(ratio, "v_prediction", kohya=True).numpy(), kohyas)
    assert not np.allclose(weighting.debiased(ratio, "v_prediction").numpy(), kohyas)


def test_v_loss_scaled_like_that_of_noise() -> None:
    alphas = torch.tensor(numpy_alphas())
    params = BakeParams(min_snr_gamma=0, scale_v_pred_loss=True)
    weights = weighting.loss_weights(params, alphas, alphas, "v_prediction")
    for step in STEPS:
        as_noise, as_v = errors_of(float(alphas[step]))
        assert weights[step].item() * as_v == pytest.approx(as_noise, rel=1e-6)
    assert weighting.loss_weights(params, alphas, alphas, "epsilon").eq(1).all(), "for v-prediction models only"


def test_v_like_loss_adds_a_share_of_the_loss_of_v() -> None:
    alphas = torch.tensor(numpy_alphas())
    params = BakeParams(min_snr_gamma=0, v_pred_like_loss=0.3)
    weights = weighting.loss_weights(params, alphas, alphas, "epsilon")
    for step in STEPS:
        as_noise, as_v = errors_of(float(alphas[step]))
        assert weights[step].item() * as_noise == pytest.approx(as_noise + 0.3 * as_v, rel=1e-6)
    assert weighting.loss_weights(params, alphas, alphas, "v_prediction").eq(1).all()


def test_weights_multiply_and_stay_finite_where_nothing_is_left_of_the_picture() -> None:
    alphas = torch.tensor(numpy_zero_snr())
    for prediction in ("epsilon", "v_prediction"):
        both = BakeParams(min_snr_gamma=5, debiased_estimation=True)
        parts = [BakeParams(min_snr_gamma=5), BakeParams(min_snr_gamma=0, debiased_estimation=True)]
        product, first, second = (weighting.loss_weights(p, alphas, alphas, prediction) for p in (both, *parts))
        assert torch.allclose(product[:-1], (first * second)[:-1])
        noisiest = BakeParams(min_snr_gamma=0, debiased_estimation=True, v_pred_like_loss=1)
        assert weighting.loss_weights(noisiest, alphas, alphas, prediction).isfinite().all()


def test_weights_follow_the_corrected_schedule_and_kohyas_the_uncorrected() -> None:
    zero, plain = numpy_zero_snr(), numpy_alphas()
    for kohya, table in ((False, zero), (True, plain)):
        params = BakeParams(min_snr_gamma=5, kohya_compat=kohya)
        weights = weighting.loss_weights(params, torch.tensor(zero), torch.tensor(plain), "v_prediction")
        expected = [min(a / (1 - a), 5) / (a / (1 - a) + 1) for a in table]
        assert np.allclose(weights.numpy(), expected, atol=1e-9)


# -- distance -----------------------------------------------------------------------------------------------------


def test_distances_number_by_number() -> None:
    chance = np.random.default_rng(1)
    d, c = chance.normal(size=(2, 3, 2, 2)), [0.1, 0.7]

    def huber(x: float, c: float) -> float:
        return 2 * c * (math.sqrt(x * x + c * c) - c)

    rules = {
        "l2": lambda x, c: x * x,
        "l1": lambda x, c: abs(x),
        "huber": huber,
        "smooth_l1": lambda x, c: huber(x, c) / c,
    }
    for kind, rule in rules.items():
        mine = criterion.distance(kind, torch.tensor(d), torch.tensor(c)).numpy()  # type: ignore[arg-type]
        expected = [[[[rule(x, c[i]) for x in row] for row in plane] for plane in one] for i, one in enumerate(d)]
        assert np.allclose(mine, expected), kind


def test_pseudo_huber_is_square_near_zero_and_straight_far_away() -> None:
    near, far = torch.full((1, 1, 1, 1), 1e-3, dtype=torch.float64), torch.full((1, 1, 1, 1), 1e3, dtype=torch.float64)
    c = torch.tensor([0.1], dtype=torch.float64)
    assert criterion.distance("huber", near, c).item() == pytest.approx(1e-6, rel=1e-4)
    assert criterion.distance("huber", far, c).item() == pytest.approx(2 * 0.1 * 1e3, rel=1e-3)
    assert criterion.distance("smooth_l1", far, c).item() == pytest.approx(2e3, rel=1e-3)


@pytest.mark.parametrize("kohya", [False, True])
def test_thresholds_of_the_huber_schedules(kohya: bool) -> None:
    alphas = numpy_alphas()
    expected = {
        "constant": lambda t: 0.2 * 1.5,
        # From 1 at no noise down to huber_c at the end, evenly in the logarithm.
        "exponential": lambda t: 0.2 ** (t / 1000) * 1.5,
        "snr": lambda t: (0.8 / (1 + math.sqrt(1 / alphas[t] - 1)) ** 2 + 0.2) * (1 if kohya else 1.5),
    }
    for schedule, rule in expected.items():
        params = BakeParams(huber_c=0.2, huber_scale=1.5, huber_schedule=schedule, kohya_compat=kohya)  # type: ignore[arg-type]
        mine = criterion.thresholds(params, torch.tensor(alphas)).numpy()
        assert np.allclose(mine, [rule(t) for t in range(1000)]), schedule
    noiseless = criterion.thresholds(BakeParams(huber_c=0.2), torch.tensor(numpy_zero_snr()))
    assert noiseless[-1].item() == pytest.approx(0.2), "σ is infinite at the end of a zero-SNR schedule"


def test_a_masked_picture_counts_by_its_masked_part() -> None:
    losses = np.arange(2 * 2 * 2 * 3, dtype=np.float64).reshape(2, 2, 2, 3)
    mask = [[1.0, 0.0, 0.5], [0.0, 0.0, 1.0]]
    total = area = 0.0
    for c in range(2):
        for y in range(2):
            for x in range(3):
                total += losses[0, c, y, x] * mask[y][x]
                area += mask[y][x]
    masks = [torch.tensor([mask]), None]
    mine = criterion.picture_mean(torch.tensor(losses), masks).tolist()
    assert mine == pytest.approx([total / area, losses[1].mean()])
    kohyas = criterion.picture_mean(torch.tensor(losses), masks, kohya=True).tolist()
    assert kohyas == pytest.approx([total / 12, losses[1].mean()])


def test_an_even_error_is_the_same_whatever_the_mask() -> None:
    """The point of dividing by the area: a small subject trains as fast as a large one."""
    losses = torch.full((2, 4, 8, 8), 0.25)
    small, large = torch.zeros(1, 8, 8), torch.ones(1, 8, 8)
    small[0, 0, 0] = 1
    assert criterion.picture_mean(losses, [small, large]).tolist() == pytest.approx([0.25, 0.25])
    assert criterion.picture_mean(losses, [small, large], kohya=True).tolist() == pytest.approx([0.25 / 64, 0.25])


@pytest.mark.parametrize("name", LOSS_KNOBS)
def test_every_knob_reaches_the_loss(model: DiffusionModel, velocity_model: DiffusionModel, name: str) -> None:
    value, beside = LOSS_KNOBS[name]
    asked = velocity_model if beside.get("prediction_type") else model
    posterior = Posterior(torch.full((4, 8, 8), 5.0), torch.ones(4, 8, 8))
    words = asked.encode_text(["a"], clip_skip=1, max_token_length=75)

    @torch.no_grad()
    def taken(**change: Any) -> float:
        params = BakeParams(**{"min_snr_gamma": 0.0} | beside | change)
        loss = Loss(asked, params)
        drawn = draw(posterior, asked, params, loss.timesteps, torch.Generator().manual_seed(1))
        return loss([drawn], words, [], [1.0]).item()

    assert taken(**{name: value}) != pytest.approx(taken(), rel=1e-3)


# -- all of it ----------------------------------------------------------------------------------------------------


def test_the_whole_loss_of_a_v_model(velocity_model: DiffusionModel) -> None:
    """Huber of v on the zero-SNR schedule, masked, weighted, with sample weights: everything but the U-Net in NumPy."""
    model = velocity_model
    loss = loss_of(
        model, loss_type="huber", huber_c=0.3, huber_schedule="constant", min_snr_gamma=5.0, scale_v_pred_loss=True
    )
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand((1, 8, 8), generator=generator).round()
    draws = [
        Draw(torch.randn((4, 8, 8), generator=generator), torch.randn((4, 8, 8), generator=generator), t, None, m)
        for t, m in ((3, None), (400, mask), (999, None))
    ]
    alphas, expected = numpy_zero_snr(), []
    with torch.no_grad():
        words = model.encode_text(["a", "b", "c"], clip_skip=1, max_token_length=75)
        mine = loss(draws, words, [], [1.0, 0.5, 2.0]).item()
        for i, (d, count) in enumerate(zip(draws, (1.0, 0.5, 2.0), strict=True)):
            a = alphas[d.timestep]
            x, n = d.latent.numpy().astype(float), d.noise.numpy().astype(float)
            noisy = torch.tensor(np.sqrt(a) * x + np.sqrt(1 - a) * n, dtype=torch.float32)[None]
            answer = model.unet(noisy, d.timestep, words.hidden[i : i + 1]).sample[0].numpy()
            off = answer - (np.sqrt(a) * n - np.sqrt(1 - a) * x)
            huber = 2 * 0.3 * (np.sqrt(off**2 + 0.3**2) - 0.3)
            part = huber.mean() if d.mask is None else huber[:, d.mask[0].numpy() > 0].mean()
            snr = a / (1 - a)
            expected.append(part * count * min(snr, 5) / (snr + 1) * snr / (snr + 1))
    assert mine == pytest.approx(float(np.mean(expected)), rel=1e-4)
