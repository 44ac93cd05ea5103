"""Each optimizer against its paper's formulas in NumPy, and its memory across a save and a load."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import pytest
import torch

from engine import optimizers
from engine.lora.inject import Network
from engine.protocol import fields
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams, Optimizer
from engine.train.lion import Lion
from engine.train.optim import groups_of, load_state_tensors, make_optimizer, set_rates, state_tensors
from engine.train.prodigy import Prodigy

OPTIMIZER_KNOBS = (
    "text_encoder2_lr",
    "beta1",
    "beta2",
    "optimizer_eps",
    "d_coef",
    "d0",
    "loraplus_lr_ratio",
    "loraplus_unet_lr_ratio",
    "loraplus_text_encoder_lr_ratio",
)
EIGHT_BIT = importlib.util.find_spec("bitsandbytes") is not None
Array = np.ndarray[Any, np.dtype[np.float64]]
RATES = [0.0, 0.5, 1.0, 0.7, 0.2, 1.0] * 10


def gradients(seed: int, weights: list[Array]) -> list[Array]:
    """Noise around the way to a far goal, so that Prodigy's estimate has something to find."""
    chance = np.random.default_rng(seed)
    return [w - 3 + 0.1 * chance.standard_normal(w.shape) for w in weights]


def start() -> list[Array]:
    chance = np.random.default_rng(7)
    return [chance.standard_normal((4, 3)), np.zeros((3, 5))]


def taken(optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter], scale: float) -> list[Array]:
    """Weights after the steps of RATES, each times `scale`."""
    for seed, rate in enumerate(RATES):
        values = [p.detach().numpy() for p in parameters]
        for p, g in zip(parameters, gradients(seed, values), strict=True):
            p.grad = torch.from_numpy(g)
        for group in optimizer.param_groups:
            group["lr"] = rate * scale * group.get("share", 1.0)
        optimizer.step()
    return [p.detach().numpy() for p in parameters]


def parameters() -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.from_numpy(w)) for w in start()]


def test_lion() -> None:
    mine = taken(Lion(tensors := parameters(), lr=0.0, weight_decay=0.1), tensors, 0.01)
    weights, moments = start(), [np.zeros((4, 3)), np.zeros((3, 5))]
    for seed, rate in enumerate(RATES):
        grads = gradients(seed, weights)
        for i, g in enumerate(grads):
            direction = np.sign(0.9 * moments[i] + 0.1 * g)
            weights[i] = weights[i] - 0.01 * rate * (direction + 0.1 * weights[i])
            moments[i] = 0.99 * moments[i] + 0.01 * g
    assert all(np.allclose(a, b, rtol=1e-12) for a, b in zip(mine, weights, strict=True))


@pytest.mark.parametrize("coefficient", [1.0, 2.0], ids=["d_coef 1", "d_coef 2"])
@pytest.mark.parametrize("shares", [(1.0, 1.0), (1.0, 0.25)], ids=["one rate", "two rates"])
def test_prodigy(shares: tuple[float, float], coefficient: float) -> None:
    tensors = parameters()
    groups = [{"params": [p], "share": share} for p, share in zip(tensors, shares, strict=True)]
    optimizer = Prodigy(groups, lr=0.0, weight_decay=0.1, d_coef=coefficient)
    mine = taken(optimizer, tensors, 1.0)
    weights, origin = start(), start()
    m, v, s = ([np.zeros_like(w) for w in weights] for _ in range(3))
    d, r, k = 1e-6, 0.0, 0
    for seed, rate in enumerate(RATES):
        grads = gradients(seed, weights)
        if rate == 0:
            continue
        k += 1
        step = [d * rate * share * math.sqrt(1 - 0.999**k) / (1 - 0.9**k) for share in shares]
        r = math.sqrt(0.999) * r
        for i, g in enumerate(grads):
            r += d / 1e-6 * step[i] * np.vdot(g, origin[i] - weights[i])
            s[i] = math.sqrt(0.999) * s[i] + d * d / 1e-6 * g
            m[i] = 0.9 * m[i] + 0.1 * d * g
            v[i] = 0.999 * v[i] + 0.001 * d * d * g * g
        d = max(d, coefficient * r / sum(np.abs(x).sum() for x in s))
        for i in range(2):
            weights[i] = weights[i] - step[i] * (0.1 * weights[i] + m[i] / (np.sqrt(v[i]) + d * 1e-8))
    assert d > 1e-6, "the estimate grew"
    assert float(optimizer.shared["d"]) == pytest.approx(d, rel=1e-9)
    assert all(np.allclose(a, b, rtol=1e-9) for a, b in zip(mine, weights, strict=True))


def test_prodigy_finds_the_distance() -> None:
    """On |x − 3| from 0 the true distance is 3: the estimate ends within it, and x near the goal, from a rate of 1."""
    x = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = Prodigy([x], lr=1.0, weight_decay=0.0)
    for step in range(1000):
        x.grad = torch.sign(x.detach() - 3)
        for group in optimizer.param_groups:
            group["lr"] = 1 - step / 1000
        optimizer.step()
    assert 0.05 < float(optimizer.shared["d"]) <= 3
    assert abs(x.item() - 3) < 0.3


class Layer:
    """A LoRA layer as the optimizer knows it."""

    def __init__(self, key: str, shape: tuple[int, ...]) -> None:
        self.target = type("Target", (), {"key": key})
        self.part = "unet" if key.startswith("lora_unet") else "text_encoder"
        chance = torch.Generator().manual_seed(len(key))
        self.down = torch.nn.Parameter(torch.randn(4, *shape, generator=chance))
        self.up = torch.nn.Parameter(torch.zeros(6, 4, *(1,) * (len(shape) - 1)))

    def named(self) -> dict[str, torch.nn.Parameter]:
        key = self.target.key
        return {f"{key}.lora_down.weight": self.down, f"{key}.lora_up.weight": self.up}


class Layers:
    """Two parts of a network, one of them with a convolution; on SDXL also a layer of the second encoder."""

    def __init__(self, *more: str) -> None:
        self.modules = [Layer("lora_unet", (5, 1, 1)), Layer("lora_te_text", (3,))]
        self.modules += [Layer(key, (3,)) for key in more]

    def named_parameters(self) -> dict[str, torch.nn.Parameter]:
        return {name: p for module in self.modules for name, p in module.named().items()}


def advance(network: Any, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    """Steps `first` … `last` − 1 of eight, the first at a rate of 0 as in a warm-up."""
    for number in range(first, last):
        chance = torch.Generator().manual_seed(number)
        for layer in network.modules:
            for p in (layer.down, layer.up):
                p.grad = torch.randn(p.shape, generator=chance)
        set_rates(optimizer, number / 8)
        optimizer.step()


@pytest.mark.parametrize("name", ["AdamW", "Lion", "Prodigy", "Adafactor", *(["AdamW8bit"] if EIGHT_BIT else [])])
def test_memory_comes_back_bit_for_bit(name: str) -> None:
    params = fields.build({"optimizer": name, "unet_lr": 0.1, "text_encoder_lr": 0.05})
    straight: Any = Layers()
    network: Network = straight
    optimizer = make_optimizer(network, params)
    advance(network, optimizer, 0, 8)

    first: Any = Layers()
    broken = make_optimizer(first, params)
    advance(first, broken, 0, 4)
    saved = {name: tensor.clone() for name, tensor in state_tensors(broken, first).items()}
    second: Any = Layers()
    for mine, theirs in zip(second.modules, first.modules, strict=True):
        mine.down.data, mine.up.data = theirs.down.data.clone(), theirs.up.data.clone()
    again = make_optimizer(second, params)
    load_state_tensors(again, second, saved)
    assert state_tensors(again, second).keys() == saved.keys()
    advance(second, again, 4, 8)
    for mine, theirs in zip(second.modules, straight.modules, strict=True):
        assert not torch.equal(mine.up, torch.zeros_like(mine.up))
        assert torch.equal(mine.down, theirs.down)
        assert torch.equal(mine.up, theirs.up)


def test_adafactor_takes_our_rate() -> None:
    """Shazeer & Stern, algorithms 4 and 5 without relative step sizes: at the first step V̂ is RCᵀ/1ᵀR of g², and
    the update is clipped to a root mean square of 1."""
    params = fields.build({"optimizer": "Adafactor", "unet_lr": 0.5, "text_encoder_lr": 0.1, "weight_decay": 0.0})
    network: Any = Layers()
    weight = network.modules[1].down
    before = weight.detach().double().numpy().copy()
    optimizer = make_optimizer(network, params)
    g = np.random.default_rng(1).standard_normal(weight.shape)
    weight.grad = torch.from_numpy(g).float()
    set_rates(optimizer, 1.0)
    optimizer.step()
    square = g * g + 1e-30
    rows, columns = square.mean(axis=1, keepdims=True), square.mean(axis=0, keepdims=True)
    update = g / np.sqrt(rows * columns / rows.mean())
    update /= max(1.0, float(np.sqrt((update**2).mean())))
    assert np.allclose(weight.detach().numpy(), before - 0.1 * update, atol=1e-6)


def rates(network: Any, **params: Any) -> dict[str, float]:
    """Base rate by tensor."""
    groups = groups_of(network, fields.build(params))
    named = {id(p): name for name, p in network.named_parameters().items()}
    return {named[id(p)]: group["base_lr"] for group in groups for p in group["params"]}


def test_every_part_has_its_own_rate() -> None:
    network: Any = Layers("lora_te1_text", "lora_te2_text")
    mine = rates(network, unet_lr=1e-3, text_encoder_lr=1e-4, text_encoder2_lr=1e-5)
    assert mine == {
        f"{key}.lora_{half}.weight": rate
        for key, rate in (
            ("lora_unet", 1e-3),
            ("lora_te_text", 1e-4),
            ("lora_te1_text", 1e-4),
            ("lora_te2_text", 1e-5),
        )
        for half in ("down", "up")
    }
    assert rates(network, text_encoder_lr=1e-4)["lora_te2_text.lora_up.weight"] == 1e-4, "-1 follows the first"


def test_lora_plus_speeds_up_the_second_matrix() -> None:
    """Hayou et al. 2024: η(B) = λ η(A); one ratio for all, or one for each part."""
    network: Any = Layers()
    both = rates(network, unet_lr=1e-3, text_encoder_lr=1e-4, loraplus_lr_ratio=16)
    assert both["lora_unet.lora_down.weight"] == 1e-3
    assert both["lora_unet.lora_up.weight"] == pytest.approx(16e-3)
    assert both["lora_te_text.lora_up.weight"] == pytest.approx(16e-4)
    own = rates(network, unet_lr=1e-3, text_encoder_lr=1e-4, loraplus_lr_ratio=16, loraplus_text_encoder_lr_ratio=4)
    assert own["lora_unet.lora_up.weight"] == pytest.approx(16e-3)
    assert own["lora_te_text.lora_up.weight"] == pytest.approx(4e-4)
    unet = rates(network, unet_lr=1e-3, text_encoder_lr=1e-4, loraplus_unet_lr_ratio=8)
    assert unet["lora_unet.lora_up.weight"] == pytest.approx(8e-3)
    assert unet["lora_te_text.lora_up.weight"] == 1e-4


@pytest.mark.parametrize("name", ["AdamW", "Lion"])
def test_lora_plus_moves_the_second_matrix_so_much_further(name: str) -> None:
    """With a first gradient of 1 everywhere AdamW and Lion step by exactly their rate."""
    network: Any = Layers()
    params = {"optimizer": name, "unet_lr": 1e-3, "weight_decay": 0.0, "loraplus_lr_ratio": 16}
    before = {key: p.detach().clone() for key, p in network.named_parameters().items()}
    optimizer = make_optimizer(network, fields.build(params))
    for p in network.named_parameters().values():
        p.grad = torch.ones_like(p)
    assert set_rates(optimizer, 1.0)["unet up"] == pytest.approx(16e-3)
    optimizer.step()
    for half, rate in (("down", 1e-3), ("up", 16e-3)):
        key = f"lora_unet.lora_{half}.weight"
        step = before[key] - network.named_parameters()[key].detach()
        assert torch.allclose(step, torch.full_like(step, rate), rtol=1e-3)


def test_the_knobs_of_optimizers_arrive() -> None:
    network: Any = Layers()

    def group(**params: Any) -> dict[str, Any]:
        return make_optimizer(network, fields.build(params)).param_groups[0]

    knobs = {"beta1": 0.8, "beta2": 0.95, "optimizer_eps": 1e-6}
    assert group()["betas"] == (0.9, 0.999)
    assert group()["eps"] == 1e-8
    assert (group(**knobs)["betas"], group(**knobs)["eps"]) == ((0.8, 0.95), 1e-6)
    assert group(optimizer="Lion")["betas"] == (0.9, 0.99)
    assert group(optimizer="Lion", **knobs)["betas"] == (0.8, 0.95)
    prodigy = make_optimizer(network, fields.build({"optimizer": "Prodigy", "d_coef": 2.0, "d0": 1e-4, **knobs}))
    assert (prodigy.d_coef, prodigy.d0, float(prodigy.shared["d"])) == (2.0, 1e-4, 1e-4)  # type: ignore[attr-defined]
    assert (prodigy.param_groups[0]["betas"], prodigy.param_groups[0]["eps"]) == ((0.8, 0.95), 1e-6)
    assert group(optimizer="Adafactor")["beta1"] is None
    assert (group(optimizer="Adafactor", **knobs)["beta1"], group(optimizer="Adafactor", **knobs)["eps"][0]) == (
        0.8,
        1e-6,
    )


@pytest.mark.parametrize("name", ["AdamW", "Lion", "Prodigy", "Adafactor"])
@pytest.mark.parametrize("beta1", [0.0, 0.9])
def test_an_optimizer_keeps_as_much_as_the_estimate_says(name: Optimizer, beta1: float) -> None:
    params = BakeParams(optimizer=name, unet_lr=1e-3, beta1=beta1)
    network: Any = Layers()
    for module in network.modules:  # large enough that rows and columns are small beside the whole
        module.down = torch.nn.Parameter(torch.randn(64, 256))
    optimizer = make_optimizer(network, params)
    for p in network.named_parameters().values():
        p.grad = torch.ones_like(p)
    set_rates(optimizer, 1.0)
    optimizer.step()
    kept = sum(t.nbytes for t in state_tensors(optimizer, network).values())
    weights = sum(p.numel() for p in network.named_parameters().values())
    assert kept / weights == pytest.approx(optimizers.memory(params), abs=0.15)


@pytest.mark.skipif(EIGHT_BIT, reason="bitsandbytes is installed")
def test_a_library_that_is_not_there_is_named_with_how_to_get_it() -> None:
    network: Any = Layers()
    with pytest.raises(EngineError) as refused:
        make_optimizer(network, fields.build({"optimizer": "AdamW8bit"}))
    assert refused.value.info.code == "optimizer_missing"
    assert "pip install 'lorabake[cuda8bit]'" in refused.value.info.hint


def test_a_memory_in_bytes_and_plain_counters_comes_back() -> None:
    """bitsandbytes keeps its moments as bytes with tables beside them, and its step as a plain number."""
    network: Any = Layers()
    optimizer = make_optimizer(network, fields.build({}))
    weight = network.modules[0].down
    optimizer.state[weight] = {
        "step": 7,
        "state1": torch.arange(20, dtype=torch.uint8),
        "absmax1": torch.rand(3),
    }
    saved = state_tensors(optimizer, network)
    again = make_optimizer(network, fields.build({}))
    load_state_tensors(again, network, saved)
    state = again.state[weight]
    assert state["step"] == 7
    assert isinstance(state["step"], int)
    assert state["state1"].dtype == torch.uint8
    assert all(torch.equal(state[name], optimizer.state[weight][name]) for name in ("state1", "absmax1"))
