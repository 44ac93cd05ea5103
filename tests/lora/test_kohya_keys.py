"""Names, shapes and alphas of a LoRA file equal those of kohya's own networks, on real SD 1.5 and SDXL shapes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection

from engine.lora.inject import Network, inject
from engine.lora.start import begin
from engine.lora.targets import Target, text_targets, unet_targets
from engine.models.families import sdxl
from engine.protocol.params import BakeParams
from engine.runs.folder import RunFolder

REFERENCE = json.loads(gzip.decompress((Path(__file__).parent / "data" / "kohya_keys.json.gz").read_bytes()))


def real_sd15() -> SimpleNamespace:
    """U-Net and text encoder of Stable Diffusion 1.5 without memory."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
        encoder = CLIPTextModel(
            CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12, projection_dim=768)
        )
    return SimpleNamespace(unet=unet, text_encoders=[("lora_te", encoder)])


@pytest.fixture(scope="module")
def real_sdxl() -> SimpleNamespace:
    """U-Net and both text encoders of SDXL without memory."""
    configs = sdxl.FILE_CONFIGS
    with torch.device("meta"):
        unet = UNet2DConditionModel(**configs["unet"])
        first = CLIPTextModel(CLIPTextConfig(**configs["text_encoder"]))
        second = CLIPTextModelWithProjection(CLIPTextConfig(**configs["text_encoder_2"]))
    return SimpleNamespace(unet=unet, text_encoders=[("lora_te1", first), ("lora_te2", second)])


def shapes(network: Network) -> dict[str, list[int]]:
    found = {name: list(tensor.shape) for name, tensor in network.tensors().items()}
    return found | {f"{module.target.key}.alpha": [] for module in network.modules}


@pytest.mark.parametrize(
    ("name", "conv", "modules"),
    [("sd15_lora_dim8_alpha4", 0, 192 + 72), ("sd15_locon_dim8_alpha4_conv4_alpha1", 4, 278 + 72)],
)
def test_equal_kohya(name: str, conv: int, modules: int) -> None:
    params = BakeParams(network_dim=8, network_alpha=4, conv_dim=conv, conv_alpha=1)
    network = inject(real_sd15(), params)
    assert len(network.modules) == modules
    assert shapes(network) == REFERENCE[name]


def test_the_counts_of_the_field_notes() -> None:
    network = inject(real_sd15(), BakeParams(network_dim=1))
    unet = sum(p.numel() for p in network.parameters("unet"))
    text = sum(p.numel() for p in network.parameters("text_encoder"))
    assert (unet, text) == (423_936, 165_888)


def test_one_half_alone() -> None:
    only_unet = inject(real_sd15(), BakeParams(text_encoder_lr=0))
    only_text = inject(real_sd15(), BakeParams(unet_lr=0))
    assert {m.part for m in only_unet.modules} == {"unet"}
    assert {m.part for m in only_text.modules} == {"text_encoder"}


def test_conv_layers_take_their_own_alpha_and_zero_means_dim() -> None:
    params = BakeParams(network_dim=8, network_alpha=0, conv_dim=4, conv_alpha=2)
    alphas = {target.key: (target.rank, target.alpha) for target in unet_targets(real_sd15().unet, params)}
    assert alphas["lora_unet_down_blocks_0_resnets_0_conv1"] == (4, 2.0)
    assert alphas["lora_unet_down_blocks_0_resnets_0_time_emb_proj"] == (8, 8.0)
    assert alphas["lora_unet_mid_block_attentions_0_proj_in"] == (8, 8.0)


def test_dora_adds_one_magnitude_per_input_of_every_layer() -> None:
    """kohya's own network has none; LyCORIS' name, and the shape of its `wd_on_output=False`."""
    params = BakeParams(network_dim=8, network_alpha=4, conv_dim=4, conv_alpha=1, use_dora=True)
    plain = REFERENCE["sd15_locon_dim8_alpha4_conv4_alpha1"]
    downs = {name.partition(".")[0]: shape for name, shape in plain.items() if name.endswith("lora_down.weight")}
    magnitudes = {f"{key}.dora_scale": [1, shape[1], *(1 for _ in shape[2:])] for key, shape in downs.items()}
    assert shapes(inject(real_sd15(), params)) == plain | magnitudes


@pytest.mark.parametrize(("first", "second"), [(1e-4, 0.0), (0.0, 1e-4)])
def test_either_encoder_of_sdxl_alone(first: float, second: float) -> None:
    configs = sdxl.FILE_CONFIGS
    with torch.device("meta"):
        encoders = [
            ("lora_te1", CLIPTextModel(CLIPTextConfig(**configs["text_encoder"]))),
            ("lora_te2", CLIPTextModelWithProjection(CLIPTextConfig(**configs["text_encoder_2"]))),
        ]
    params = BakeParams(network_dim=8, network_alpha=4, unet_lr=0, text_encoder_lr=first, text_encoder2_lr=second)
    network = inject(SimpleNamespace(unet=None, text_encoders=encoders), params)
    asked = {"lora_te1_": first > 0, "lora_te2_": second > 0}
    expected = {
        name: shape
        for name, shape in REFERENCE["sdxl_lora_dim8_alpha4"].items()
        if asked.get(name[: len("lora_te1_")], False)
    }
    assert shapes(network) == expected


def test_a_warm_start_in_its_own_sizes_has_the_keys_of_its_file(tmp_path: Path) -> None:
    """A file of kohya's by its header alone: names, ranks and alphas of a network that goes on from it are the same."""
    rows = {
        n: s for n, s in REFERENCE["sd15_locon_dim8_alpha4_conv4_alpha1"].items() if "mid_block" in n or "_te_" in n
    }
    save_file(
        {name: torch.ones(shape, dtype=torch.float16) for name, shape in rows.items()}, tmp_path / "a.safetensors"
    )
    model = real_sd15()
    model.family = "sd15"
    params = BakeParams(network_weights=str(tmp_path / "a.safetensors"), dim_from_weights=True)
    start = begin(RunFolder(tmp_path), model, params)
    assert start is not None
    network = inject(model, params, start.sizes)
    assert shapes(network) == rows
    assert {module.target.alpha for module in network.modules} == {1.0}


def planned(model: SimpleNamespace, params: BakeParams) -> dict[str, list[int]]:
    """What the file of a network will hold, from its targets and the layers that they adapt."""
    rows: dict[str, list[int]] = {}

    def add(root: nn.Module, targets: list[Target]) -> None:
        for target in targets:
            out, inside, *kernel = root.get_submodule(target.path).weight.shape
            rows[f"{target.key}.lora_down.weight"] = [target.rank, inside, *kernel]
            rows[f"{target.key}.lora_up.weight"] = [out, target.rank, *(1 for _ in kernel)]
            rows[f"{target.key}.alpha"] = []

    add(model.unet, unet_targets(model.unet, params))
    for prefix, encoder in model.text_encoders:
        add(encoder, text_targets(encoder, prefix, params))
    return rows


def modules(rows: dict[str, list[int]]) -> set[str]:
    return {name.partition(".")[0] for name in rows}


def test_sdxl_without_convolutions(real_sdxl: SimpleNamespace) -> None:
    """722 + 72 + 192 modules, as every sd-scripts run prints.

    The reference has 28 more: sd-scripts' LoRANetwork extends its class's list of module kinds in place when a network
    has convolutions, and the reference made such a network before, in the same process (see data/README.md).
    """
    mine = planned(real_sdxl, BakeParams(network_dim=8, network_alpha=4))
    reference = REFERENCE["sdxl_lora_dim8_alpha4"]
    assert len(modules(mine)) == 722 + 72 + 192
    leaked = modules(reference) - modules(mine)
    assert len(leaked) == 28
    assert all(name.endswith(("_emb_layers_1", "_skip_connection")) for name in leaked)
    assert mine == {name: shape for name, shape in reference.items() if name.partition(".")[0] not in leaked}


def test_sdxl_with_convolutions_injected(real_sdxl: SimpleNamespace) -> None:
    params = BakeParams(network_dim=8, network_alpha=4, conv_dim=4, conv_alpha=1)
    expected = planned(real_sdxl, params)
    network = inject(real_sdxl, params)
    assert shapes(network) == expected == REFERENCE["sdxl_locon_dim8_alpha4_conv4_alpha1"]
    prefixes = [name.split("_")[1] for name in modules(expected)]
    assert [prefixes.count(part) for part in ("unet", "te1", "te2")] == [722 + 66, 72, 192]
