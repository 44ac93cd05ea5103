"""LoRA files told by their headers: every dialect, every family, foreign ones, broken ones, and hostile metadata."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from engine.models.adapter import read_adapter
from engine.models.adapter_info import lora_info
from engine.protocol.errors import EngineError


def lora(path: Path, tensors: dict[str, list[int]], metadata: dict[str, Any] | None = None, alpha: float = 4) -> Path:
    """A file of these tensors in fp16; those of no axis hold `alpha`."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    data = b""
    for name, shape in tensors.items():
        count = 1
        for side in shape:
            count *= side
        start = len(data)
        data += struct.pack("<e", alpha) if not shape else bytes(2 * count)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [start, len(data)]}
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
    return path


def kohya(module: str, rank: int = 8, inputs: int = 6, outputs: int = 5, kernel: int = 1) -> dict[str, list[int]]:
    side = [kernel, kernel] if kernel > 1 else []
    return {
        f"{module}.lora_down.weight": [rank, inputs, *side],
        f"{module}.lora_up.weight": [outputs, rank, *([1, 1] if kernel > 1 else [])],
        f"{module}.alpha": [],
    }


BLOCK = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
SGM = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
BARE = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
PEFT = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"


def test_a_locon_of_sdxl_in_parts(tmp_path: Path) -> None:
    tensors = kohya(SGM, 8, 2048) | kohya("lora_unet_input_blocks_1_0_in_layers_2", 4, kernel=3)
    tensors |= kohya("lora_te1_text_model_encoder_layers_0_mlp_fc1", 2) | kohya("lora_te2_text_model_x", 2)
    info = lora_info(lora(tmp_path / "a.safetensors", tensors, alpha=2.5))
    assert (info.kind, info.dialect, info.family, info.dtype) == ("LoCon", "kohya", "sdxl", "F16")
    unet, first, second = info.parts
    assert (unet.part, unet.modules, unet.ranks, unet.alphas) == ("unet", 2, [8], [2.5])
    assert (unet.convolutions, unet.conv_ranks, unet.conv_alphas) == (1, [4], [2.5])
    assert (first.part, second.part, first.ranks) == ("te1", "te2", [2])
    assert info.parameters == 8 * 2048 + 8 * 5 + 4 * 6 * 9 + 4 * 5 + 2 * (2 * 6 + 2 * 5) + 4
    assert info.hash_state == "none"
    assert not info.problems


@pytest.mark.parametrize(
    ("tensors", "dialect", "rank"),
    [
        ({f"{PEFT}.lora_A.weight": [3, 768], f"{PEFT}.lora_B.weight": [9, 3]}, "diffusers", 3),
        ({f"{PEFT}.lora.down.weight": [5, 768], f"{PEFT}.lora.up.weight": [9, 5]}, "diffusers", 5),
        ({f"base_model.model.{PEFT}.lora_A.default.weight": [7, 768]}, "diffusers", 7),
        ({PEFT.replace(".to_k", ".processor.to_k_lora.down.weight"): [6, 768]}, "diffusers", 6),
        (kohya(BLOCK, 2, 768), "kohya", 2),
        # Files of a U-Net alone: diffusers' first LoRAs, its save_lora_adapter, and PEFT's own.
        (
            {BARE.replace(".to_k", ".processor.to_k_lora.up.weight"): [9, 6], f"{BARE}.lora.down.weight": [6, 768]},
            "diffusers",
            6,
        ),
        ({f"{BARE}.lora_A.weight": [3, 768], f"{BARE}.lora_B.weight": [9, 3]}, "diffusers", 3),
        ({f"base_model.model.{BARE}.lora_A.weight": [4, 768]}, "diffusers", 4),
    ],
)
def test_the_dialects_name_the_same_layer(
    tmp_path: Path, tensors: dict[str, list[int]], dialect: str, rank: int
) -> None:
    adapter = read_adapter(lora(tmp_path / "a.safetensors", tensors))
    (layer,) = adapter.layers
    assert (adapter.dialect, adapter.family, layer.part, layer.rank) == (dialect, "sd15", "unet", rank)
    assert layer.module == BLOCK.removeprefix("lora_unet_")


def test_text_encoders_of_diffusers_and_their_alpha_beside(tmp_path: Path) -> None:
    names = ("text_encoder.text_model.encoder.layers.0.mlp.fc1", "text_encoder_2.encoder.layers.0.mlp.fc1")
    tensors = {f"{name}.lora_A.weight": [2, 4] for name in names}
    beside = {"lora_adapter_metadata": json.dumps({"text_encoder.lora_alpha": 1, "text_encoder_2.lora_alpha": 3})}
    adapter = read_adapter(lora(tmp_path / "a.safetensors", tensors, beside))
    assert [(x.part, x.module, x.alpha) for x in adapter.layers] == [
        ("te", "text_model_encoder_layers_0_mlp_fc1", 1),
        ("te2", "text_model_encoder_layers_0_mlp_fc1", 3),
    ]
    assert adapter.family == "sdxl"


@pytest.mark.parametrize(("more", "alpha"), [({}, 2), ({"use_rslora": True}, 4)])
def test_peft_writes_alpha_in_a_file_beside(tmp_path: Path, more: dict[str, Any], alpha: float) -> None:
    """PEFT scales by alpha / √rank with rsLoRA; what is told is the alpha that means the same over the rank."""
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 2} | more))
    tensors = {f"base_model.model.{BARE}.lora_A.weight": [4, 768], f"base_model.model.{BARE}.lora_B.weight": [9, 4]}
    assert read_adapter(lora(tmp_path / "adapter_model.safetensors", tensors)).layers[0].alpha == alpha
    assert read_adapter(lora(tmp_path / "other.safetensors", tensors)).layers[0].alpha is None
    text = {"base_model.model.text_model.encoder.layers.0.mlp.fc1.lora_A.weight": [4, 8]}
    (layer,) = read_adapter(lora(tmp_path / "adapter_model.safetensors", text)).layers
    assert (layer.part, layer.module) == ("te", "text_model_encoder_layers_0_mlp_fc1")


@pytest.mark.parametrize(
    ("tensors", "kind", "family"),
    [
        (kohya(BLOCK, inputs=1024), "LoRA", "Stable Diffusion 2"),
        (kohya("lora_unet_double_blocks_0_img_attn_proj"), "LoRA", "Flux"),
        (kohya("lora_unet_joint_blocks_0_x"), "LoRA", "Stable Diffusion 3"),
        (
            {"transformer.blocks.0.x.lora_A.weight": [1, 1]} | kohya(BLOCK),
            "LoRA",
            "Flux, Stable Diffusion 3 or a relative",
        ),
        (kohya(BLOCK, inputs=768) | {f"{BLOCK}.dora_scale": [5, 1]}, "DoRA", "sd15"),
        ({f"{BLOCK}.hada_w1_a": [5, 2], f"{BLOCK}.hada_w1_b": [2, 5], f"{BLOCK}.alpha": []}, "LoHa", "sd15"),
        ({f"{SGM}.lokr_w1": [5, 2], f"{SGM}.alpha": []}, "LoKr", "sdxl"),
        (kohya(BLOCK, inputs=2048), "LoRA", "sdxl"),
    ],
)
def test_families_and_kinds(tmp_path: Path, tensors: dict[str, list[int]], kind: str, family: str) -> None:
    adapter = read_adapter(lora(tmp_path / "a.safetensors", tensors))
    assert (adapter.kind, adapter.family) == (kind, family)


@pytest.mark.parametrize(
    ("tensors", "word"),
    [
        ({"model.diffusion_model.x": [1]}, "whole model"),
        ({"emb_params": [4, 768]}, "textual inversion"),
        ({"x": [1]}, "no LoRA layer"),
    ],
)
def test_what_is_no_lora(tmp_path: Path, tensors: dict[str, list[int]], word: str) -> None:
    with pytest.raises(EngineError) as caught:
        read_adapter(lora(tmp_path / "a.safetensors", tensors))
    assert caught.value.info.code == "lora_not"
    assert word in caught.value.info.message


def test_pickles_torn_files_and_noise(tmp_path: Path) -> None:
    whole = lora(tmp_path / "a.safetensors", kohya(BLOCK))
    (tmp_path / "torn.safetensors").write_bytes(whole.read_bytes()[:-1])
    (tmp_path / "noise.safetensors").write_bytes(b"\xff" * 40)
    (tmp_path / "deep.safetensors").write_bytes(struct.pack("<Q", 20_000) + b"[" * 20_000)
    (tmp_path / "old.pt").write_bytes(b"\x80\x04")
    header = json.dumps({"x.lora_down.weight": {"dtype": "F16", "shape": [1], "data_offsets": [9, 2]}}).encode()
    (tmp_path / "back.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    codes = {}
    for file in tmp_path.iterdir():
        if file != whole:
            with pytest.raises(EngineError) as caught:
                read_adapter(file)
            codes[file.stem] = caught.value.info.code
    assert codes == {
        "torn": "lora_broken",
        "noise": "lora_not",
        "deep": "lora_not",
        "old": "lora_not",
        "back": "lora_not",
    }


def test_metadata_in_facts_and_the_hash(tmp_path: Path) -> None:
    plain = lora(tmp_path / "a.safetensors", kohya(BLOCK, inputs=768))
    data = plain.read_bytes()
    digest = hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()
    told = {
        "ss_output_name": "mira",
        "ss_base_model_version": "sd_v1",
        "ss_sd_model_name": "anything.safetensors",
        "ss_epoch": "3",
        "ss_num_epochs": "10",
        "ss_steps": "600",
        "ss_resolution": "(512, 768)",
        "ss_dataset_dirs": json.dumps({"10_mira": {"n_repeats": 10, "img_count": 20}}),
        "ss_tag_frequency": json.dumps({"10_mira": {"mira": 20, "smile": 3}, "5_x": {"smile": 4}}),
        "modelspec.trigger_phrase": "mira",
        "sshs_model_hash": digest,
    }
    info = lora_info(lora(tmp_path / "b.safetensors", kohya(BLOCK, inputs=768), told))
    assert (info.title, info.epoch, info.epochs, info.steps, info.trigger) == ("mira", 3, 10, 600, "mira")
    assert (info.resolution, info.folders[0].repeats) == ("512x768", 10)
    assert info.tags == {"mira": 20, "smile": 7}
    assert (info.hash, info.hash_state, info.problems) == (digest, "ok", [])
    other = lora_info(lora(tmp_path / "c.safetensors", kohya(BLOCK, inputs=768), told, alpha=8))
    assert other.hash_state == "differs"


def test_hostile_metadata_is_only_text(tmp_path: Path) -> None:
    told = {
        "ss_output_name": "\ud800\x1b[2J" + "x" * 100_000,
        "ss_epoch": "1e400",
        "ss_steps": "-5",
        "ss_dataset_dirs": "[" * 100_000,
        "ss_reg_dataset_dirs": json.dumps({"a": [1, 2], "b": {"img_count": {"no": 1}}}),
        "ss_tag_frequency": json.dumps({"f": {"\x1b": 3, "x": "many"}, "g": 7}),
        "ss_training_finished_at": "nan",
        "ss_base_model_version": "flux\n",
    }
    info = lora_info(lora(tmp_path / "a.safetensors", kohya(BLOCK, inputs=768), told))
    assert len(info.title) == 300
    assert (info.epoch, info.steps, info.finished, info.folders) == (0, 0, 0.0, [])
    assert [(folder.name, folder.images) for folder in info.reg_folders] == [("b", 0)]
    assert info.tags == {"\x1b": 3, "x": 0}
    assert [problem.code for problem in info.problems] == ["lora_version"]
    json.dumps(info.title, ensure_ascii=False).encode()


def test_what_readers_stumble_over_is_said(tmp_path: Path) -> None:
    tensors = kohya(BLOCK, inputs=768) | {"odd": [1], f"{BLOCK}2.lora_down.weight": [8, 6]}
    told = {"ss_base_model_version": "sd_v1", "x": "y" * (1 << 20)}
    info = lora_info(lora(tmp_path / "a.safetensors", tensors, told))
    assert {problem.code for problem in info.problems} == {
        "lora_unpaired",
        "lora_no_alpha",
        "lora_header",
        "lora_unknown",
    }
