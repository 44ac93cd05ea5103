"""DoRA, the three dropouts and the weight-norm limit, against their formulas written down a second time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.lora import kohya
from engine.lora.dropout import Dropouts, InnerDropout
from engine.lora.inject import Network, inject
from engine.models.load import load_model
from engine.models.model import DiffusionModel
from engine.protocol.params import BakeParams
from tests.tiny import tiny_base

CPU = torch.device("cpu")
Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


def adapted(base: Path, **params: object) -> tuple[DiffusionModel, Network]:
    """A base whose LoRA is as if it had learned something, ready to train."""
    model = load_model(base, device=CPU, dtype=torch.float32)
    network = inject(model, BakeParams(network_dim=4, network_alpha=2, **params))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in network.modules:
            module.up.copy_(torch.randn(module.up.shape, generator=generator) * 0.1)
            if module.magnitude is not None:
                module.magnitude.mul_(1 + 0.2 * torch.rand(module.magnitude.shape, generator=generator))
    return model, network


def answer(model: DiffusionModel) -> Tensor:
    noise = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        words = model.encode_text(["a cat, red", "smile"], clip_skip=1, max_token_length=75)
        return model.predict(noise, torch.tensor([20, 700]), words, [])


def comfy_rule(weight: Array, change: Array, scale: Array) -> Array:
    """ComfyUI's and A1111's rule: the merged weight over the norms of its columns, each column an input channel."""
    merged = weight + change
    flat = np.swapaxes(merged, 0, 1).reshape(merged.shape[1], -1)
    norm = np.sqrt((flat**2).sum(axis=1)).reshape(1, -1, *[1] * (weight.ndim - 2))
    assert scale.shape == norm.shape, "one magnitude per input"
    return merged * (scale / norm)


def merge(path: Path, network: Network, rule: Callable[[Array, Array, Array], Array]) -> None:
    """Put what the file says into the base's own weights, and switch the layers of the network off."""
    tensors = {name: value.double().numpy() for name, value in load_file(path).items()}
    for module in network.modules:
        key, own = module.target.key, module.layer.get_base_layer().weight
        up, down = tensors[f"{key}.lora_up.weight"], tensors[f"{key}.lora_down.weight"]
        scale = tensors[f"{key}.alpha"] / down.shape[0]
        change = (up.reshape(up.shape[0], -1) @ down.reshape(down.shape[0], -1)).reshape(own.shape) * scale
        own.data = torch.from_numpy(rule(own.double().numpy(), change, tensors[f"{key}.dora_scale"])).float()
    for module in network.modules:
        module.layer.enable_adapters(False)


def test_a_dora_file_means_to_its_readers_what_was_trained(base: Path, tmp_path: Path) -> None:
    model, network = adapted(base, use_dora=True, conv_dim=3)
    trained = answer(model)
    with network.disabled():
        plain = answer(model)
    assert (trained - plain).abs().max() > 0.05
    file = tmp_path / "dora.safetensors"
    kohya.save(file, network, {}, "fp32")
    names = kohya.read(file).tensors
    assert sum(name.endswith(".dora_scale") for name in names) == len(network.modules)
    merge(file, network, comfy_rule)
    assert (answer(model) - trained).abs().max() < 1e-4


def test_dora_begins_as_the_base_and_trains_its_magnitudes(base: Path) -> None:
    model = load_model(base, device=CPU, dtype=torch.float32)
    before = answer(model)
    network = inject(model, BakeParams(network_dim=4, use_dora=True))
    assert torch.equal(answer(model), before)
    noise = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(2))
    words = model.encode_text(["a", "b"], clip_skip=1, max_token_length=75)
    model.predict(noise, torch.tensor([20, 700]), words, []).square().mean().backward()
    assert all(m.magnitude is not None and m.magnitude.grad is not None for m in network.modules)
    assert len(network.named_parameters()) == 3 * len(network.modules) == len(network.tensors())
    count = sum(p.numel() for p in network.named_parameters().values())
    assert network.parameter_count() == count
    assert sum(len(network.parameters(part)) for part in ("unet", "text_encoder")) == 3 * len(network.modules)


def hooked(shares: Dropouts, key: str, module: nn.Module, x: Tensor) -> Tensor:
    handle = module.register_forward_hook(InnerDropout(key, shares))
    try:
        return module(x)
    finally:
        handle.remove()


@pytest.mark.parametrize(("shape", "place"), [((8, 40), 1), ((8, 3, 40), 2), ((8, 40, 2, 2), 1)])
def test_rank_dropout_takes_whole_ranks_of_a_sample_and_makes_good(shape: tuple[int, ...], place: int) -> None:
    one = torch.ones(shape)
    dropped = hooked(Dropouts(0.0, 0.25, 0.0, seed=3), "key", nn.Identity().train(), one)
    assert sorted(set(dropped.flatten().tolist())) == pytest.approx([0.0, 1 / 0.75])
    by_rank = dropped.movedim(place, 1).reshape(8, 40, -1)
    assert (by_rank == by_rank[:, :, :1]).all(), "a rank falls out everywhere or nowhere"
    assert 0.6 < float((by_rank[:, :, 0] > 0).float().mean()) < 0.9
    assert len({tuple(row.tolist()) for row in by_rank[:, :, 0]}) > 1, "each sample on its own"


def test_inner_dropout_is_a_function_of_seed_and_layer() -> None:
    x, layer = torch.ones(64, 64), nn.Identity().train()
    shares = Dropouts(0.3, 0.0, 0.0, seed=1)
    first = hooked(shares, "a", layer, x)
    assert torch.equal(hooked(shares, "a", layer, x), first)
    assert not torch.equal(hooked(shares, "b", layer, x), first)
    assert not torch.equal(hooked(Dropouts(0.3, 0.0, 0.0, seed=2), "a", layer, x), first)
    assert sorted(set(first.flatten().tolist())) == pytest.approx([0.0, 1 / 0.7])
    assert 0.66 < float((first > 0).float().mean()) < 0.74
    assert torch.equal(hooked(shares, "a", layer.eval(), x), x)


def test_module_dropout_leaves_layers_out_of_training_alone(base: Path) -> None:
    model, network = adapted(base, module_dropout=0.5)
    whole = answer(model)
    model.unet.train()
    network.begin(1)
    out = [module.layer.disable_adapters for module in network.modules]
    assert 0.3 < sum(out) / len(out) < 0.7
    partly = answer(model)
    network.begin(2)
    assert [module.layer.disable_adapters for module in network.modules] != out
    network.begin(1)
    assert torch.equal(answer(model), partly)
    assert not torch.equal(partly, whole)
    network.end()
    assert torch.equal(answer(model), whole)
    for share, expected in ((0.0, whole), (1.0, None)):
        network.dropouts.module = share
        network.begin(1)
        with network.disabled():
            base_alone = answer(model)
        network.begin(1)
        assert torch.equal(answer(model), base_alone if expected is None else expected)


def test_the_weight_norm_limit_scales_back_only_what_is_too_long(base: Path) -> None:
    _, network = adapted(base, conv_dim=3)

    def norms() -> list[float]:
        rows = []
        for module in network.modules:
            up, down = module.up.detach().flatten(1).double(), module.down.detach().flatten(1).double()
            rows.append(float((up @ down).norm()) * module.target.alpha / module.target.rank)
        return rows

    before = norms()
    limit = sorted(before)[len(before) // 2]
    kept = {name: value.clone() for name, value in network.tensors().items()}
    told = network.limit_norms(limit)
    after = norms()
    assert after == pytest.approx([min(norm, limit) for norm in before], rel=1e-4)
    long = [m for m, norm in zip(network.modules, before, strict=True) if norm > limit * 1.001]
    assert abs(int(told.scaled) - len(long)) <= 1
    assert float(told.mean) == pytest.approx(sum(after) / len(after), rel=1e-4)
    assert float(told.largest) == pytest.approx(max(after), rel=1e-4)
    for module, norm in zip(network.modules, before, strict=True):
        up, down = (network.tensors()[f"{module.target.key}.lora_{name}.weight"] for name in ("up", "down"))
        factor = (min(norm, limit) / norm) ** 0.5
        assert torch.allclose(up, kept[f"{module.target.key}.lora_up.weight"] * factor, rtol=1e-4)
        assert torch.allclose(down, kept[f"{module.target.key}.lora_down.weight"] * factor, rtol=1e-4)
