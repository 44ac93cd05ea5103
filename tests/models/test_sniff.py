"""What is no base model is refused in words before anything loads, and what is one is told by its headers."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from engine.models import catalogue
from engine.models.sniff import sniff
from engine.protocol.errors import EngineError
from tests.tiny import write_json


def safetensors(path: Path, *names: str, data: int = 4, cut: int = 0) -> Path:
    """A file with a header of these tensor names and `data` bytes for all of them."""
    header = json.dumps({n: {"dtype": "F32", "shape": [1], "data_offsets": [0, data]} for n in names}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(data - cut))
    return path


def folder(path: Path, **unet: object) -> Path:
    """A diffusers folder as far as its headers go."""
    write_json(path / "model_index.json", {"_class_name": "StableDiffusionPipeline"})
    write_json(path / "unet" / "config.json", {"in_channels": 4, "cross_attention_dim": 768} | unet)
    for part in ("tokenizer", "scheduler"):
        (path / part).mkdir()
    parts = [("unet", "diffusion_pytorch_model"), ("vae", "diffusion_pytorch_model"), ("text_encoder", "model")]
    if unet.get("addition_embed_type"):
        parts.append(("text_encoder_2", "model"))
        (path / "tokenizer_2").mkdir()
    for part, name in parts:
        safetensors(path / part / f"{name}.safetensors", "x")
    return path


def refused(path: Path) -> tuple[str, str]:
    with pytest.raises(EngineError) as caught:
        sniff(path)
    return caught.value.info.code, caught.value.info.message


def test_a_folder_is_known_by_its_unet(tmp_path: Path) -> None:
    assert sniff(folder(tmp_path / "a")).family == "sd15"
    xl = folder(tmp_path / "b", cross_attention_dim=2048, addition_embed_type="text_time")
    assert (sniff(xl).family, sniff(xl).prediction_type, sniff(xl).zero_terminal_snr) == ("sdxl", "epsilon", False)
    noise = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    write_json(xl / "scheduler" / "scheduler_config.json", noise)
    assert (sniff(xl).prediction_type, sniff(xl).zero_terminal_snr) == ("v_prediction", True)
    write_json(xl / "scheduler" / "scheduler_config.json", {"prediction_type": "flow"})
    assert "flow" in refused(xl)[1]
    write_json(xl / "scheduler" / "scheduler_config.json", {"_class_name": "EDMEulerScheduler"})
    assert "EDMEulerScheduler" in refused(xl)[1]
    write_json(xl / "scheduler" / "scheduler_config.json", noise)
    (xl / "text_encoder_2" / "model.safetensors").unlink()
    assert "text_encoder_2" in refused(xl)[1]


@pytest.mark.parametrize(
    ("unet", "word"),
    [
        ({"cross_attention_dim": 1024}, "Stable Diffusion 2"),
        ({"in_channels": 9}, "inpainting"),
        ({"in_channels": 8}, "edit"),
        ({"cross_attention_dim": [1, 2]}, "unknown"),
    ],
)
def test_other_unets(tmp_path: Path, unet: dict[str, object], word: str) -> None:
    code, message = refused(folder(tmp_path / "a", **unet))
    assert code == "model_unsupported"
    assert word in message


def test_incomplete_folders(tmp_path: Path) -> None:
    whole = folder(tmp_path / "whole")
    for number, (part, code) in enumerate(
        [
            ("model_index.json", "model_not_base"),
            ("unet/config.json", "model_not_base"),
            ("vae", "model_not_base"),
            ("tokenizer", "model_not_base"),
            ("vae/diffusion_pytorch_model.safetensors", "model_not_base"),
        ]
    ):
        copy = Path(shutil.copytree(whole, tmp_path / str(number)))
        victim = copy / part
        shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
        found, message = refused(copy)
        assert found == code
        assert part.partition("/")[0].removesuffix(".json") in message


def test_a_folder_of_pickles(tmp_path: Path) -> None:
    path = folder(tmp_path / "a")
    (path / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (path / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04")
    code, message = refused(path)
    assert code == "model_unsupported"
    assert "pickle" in message


def test_flux_and_plain_folders(tmp_path: Path) -> None:
    write_json(
        tmp_path / "flux" / "model_index.json", {"_class_name": "FluxPipeline", "transformer": ["diffusers", "x"]}
    )
    assert "FluxPipeline" in refused(tmp_path / "flux")[1]
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty")[0] == "model_not_base"
    assert refused(tmp_path / "nowhere")[0] == "model_not_base"


@pytest.mark.parametrize(
    ("key", "code", "word"),
    [
        ("lora_unet_down_blocks_0.lora_down.weight", "model_not_base", "LoRA"),
        ("unet.x.lora_A.weight", "model_not_base", "LoRA"),
        ("double_blocks.0.img_attn.qkv.weight", "model_unsupported", "Flux"),
        ("model.diffusion_model.joint_blocks.0.x", "model_unsupported", "Stable Diffusion 3"),
        ("cond_stage_model.model.transformer.resblocks.0.x", "model_unsupported", "Stable Diffusion 2"),
        ("conditioner.embedders.1.model.x", "model_not_base", "U-Net"),
        ("conditioner.embedders.0.model.x", "model_unsupported", "refiner"),
        ("model.diffusion_model.input_blocks.0.0.weight", "model_not_base", "VAE"),
        ("edm_vpred.sigma_max", "model_unsupported", "EDM"),
        ("decoder.conv_in.weight", "model_not_base", "VAE"),
        ("something.else", "model_not_base", "keys"),
    ],
)
def test_single_files(tmp_path: Path, key: str, code: str, word: str) -> None:
    found, message = refused(safetensors(tmp_path / "x.safetensors", key))
    assert found == code
    assert word in message


@pytest.mark.parametrize(
    ("channels", "words", "told"), [(4, 768, ""), (9, 768, "inpainting"), (4, 1024, "unknown"), (4, 0, "unknown")]
)
def test_single_files_of_sd15_by_their_shapes(tmp_path: Path, channels: int, words: int, told: str) -> None:
    shapes = {
        "model.diffusion_model.input_blocks.0.0.weight": [320, channels, 3, 3],
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": [320, words] if words else [],
        "first_stage_model.decoder.conv_in.weight": [1],
        "cond_stage_model.transformer.text_model.final_layer_norm.weight": [1],
        "model_ema.decay": [],
    }
    header = {name: {"dtype": "F16", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    raw = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(raw)) + raw)
    if told:
        code, message = refused(path)
        assert code == "model_unsupported"
        assert told in message
    else:
        assert (sniff(path).family, sniff(path).layout) == ("sd15", "file")


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "model.bin"])
def test_pickles_are_never_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")
    assert "pickle" in refused(tmp_path / name)[1]


@pytest.mark.parametrize(
    "raw",
    [b"", b"x" * 9, b"\xff" * 64, struct.pack("<Q", 4) + b"[1]x" + bytes(8), struct.pack("<Q", 13) + b'{"a":{"b":1}}'],
)
def test_noise_is_no_safetensors_file(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(raw)
    assert refused(tmp_path / "x.safetensors")[0] == "model_not_base"


def test_a_file_cut_short(tmp_path: Path) -> None:
    path = folder(tmp_path / "a")
    safetensors(path / "unet" / "diffusion_pytorch_model.safetensors", "x", data=100, cut=1)
    assert refused(path)[0] == "model_broken"


def test_locate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    mine = folder(tmp_path / "mine")
    assert catalogue.locate(str(mine)).row is None
    assert catalogue.locate("mine").path == mine
    rows = {row.name: row for row in catalogue.list_models() if row.kind == "base"}
    assert not rows["anything-v5"].present
    missing = catalogue.locate("anything-v5")
    assert (missing.missing, missing.family, missing.prediction_type) == (True, "sd15", "epsilon")
    for name, code in (("no-such", "model_unknown"), ("", "model_unknown")):
        with pytest.raises(EngineError) as caught:
            catalogue.locate(name)
        assert caught.value.info.code == code
    folder(tmp_path / "home" / "models" / "anything-v5")
    folder(tmp_path / "home" / "models" / "my merge")
    rows = {row.name: row for row in catalogue.list_models() if row.kind == "base"}
    assert rows["anything-v5"].present
    assert rows["my merge"].family == "sd15"
    assert catalogue.locate("anything-v5").row == rows["anything-v5"]


U = "model.diffusion_model."
SDXL_SHAPES: dict[str, list[int]] = {
    U + "input_blocks.0.0.weight": [320, 4, 3, 3],
    U + "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": [640, 2048],
    U + "middle_block.1.transformer_blocks.9.norm1.weight": [1280],
    "first_stage_model.decoder.conv_in.weight": [1],
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight": [1],
    "conditioner.embedders.1.model.ln_final.weight": [1],
}


def xl_file(path: Path, metadata: dict[str, str] | None = None, **changed: list[int] | None) -> Path:
    """The header of a single-file SDXL; a name's `changed` shape replaces its own, None takes the tensor out."""
    shapes = {name: shape for name, shape in (SDXL_SHAPES | changed).items() if shape is not None}
    header = {name: {"dtype": "F16", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    raw = json.dumps(header | {"__metadata__": metadata or {}}).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw)
    return path


def test_single_files_of_sdxl(tmp_path: Path) -> None:
    whole = sniff(xl_file(tmp_path / "a.safetensors"))
    assert (whole.family, whole.layout, whole.prediction_type) == ("sdxl", "file", "epsilon")
    noob = sniff(xl_file(tmp_path / "b.safetensors", v_pred=[], ztsnr=[]))
    assert (noob.prediction_type, noob.zero_terminal_snr) == ("v_prediction", True)
    told = sniff(xl_file(tmp_path / "c.safetensors", {"modelspec.prediction_type": "v"}))
    assert (told.prediction_type, told.zero_terminal_snr) == ("v_prediction", False)


@pytest.mark.parametrize(
    ("name", "shape", "word"),
    [
        (U + "input_blocks.0.0.weight", [320, 9, 3, 3], "inpainting"),
        (U + "middle_block.1.transformer_blocks.9.norm1.weight", None, "distilled"),
        (U + "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight", [640, 1280], "unknown kind"),
        ("first_stage_model.decoder.conv_in.weight", None, "VAE"),
        ("conditioner.embedders.0.transformer.text_model.final_layer_norm.weight", None, "first text encoder"),
    ],
)
def test_odd_files_of_sdxl(tmp_path: Path, name: str, shape: list[int] | None, word: str) -> None:
    assert word in refused(xl_file(tmp_path / "x.safetensors", **{name: shape}))[1]


def test_looking_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from engine.models import catalogue, sniff; catalogue.list_models();"
        "print(sorted({'torch', 'diffusers', 'transformers', 'peft', 'numpy'} & set(sys.modules)))"
    )
    env = {"LORABAKE_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""}
    told = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_the_embedded_tagger_is_in_the_catalogue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))
    tagger = next(row for row in catalogue.list_models() if row.kind == "tagger")
    assert (tagger.name, tagger.present, tagger.licence) == ("demo", True, "Apache-2.0")
    assert tagger.bytes == sum(file.stat().st_size for file in Path(tagger.path).iterdir())
