"""Names, shapes and alphas of a LoRA file equal those of kohya's own networks, on real SD 1.5 shapes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel

from engine.lora.inject import Network, inject
from engine.protocol.params import BakeParams

REFERENCE = json.loads(gzip.decompress((Path(__file__).parent / "data" / "kohya_keys.json.gz").read_bytes()))


def real_sd15() -> SimpleNamespace:
    """U-Net and text encoder of Stable Diffusion 1.5 without memory."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
        encoder = CLIPTextModel(
            CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12, projection_dim=768)
        )
    return SimpleNamespace(unet=unet, text_encoders=[("lora_te", encoder)])


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
    network = inject(real_sd15(), BakeParams(network_dim=8, network_alpha=0, conv_dim=4, conv_alpha=2))
    alphas = {m.target.key: (m.target.rank, m.target.alpha) for m in network.modules}
    assert alphas["lora_unet_down_blocks_0_resnets_0_conv1"] == (4, 2.0)
    assert alphas["lora_unet_down_blocks_0_resnets_0_time_emb_proj"] == (8, 8.0)
    assert alphas["lora_unet_mid_block_attentions_0_proj_in"] == (8, 8.0)
