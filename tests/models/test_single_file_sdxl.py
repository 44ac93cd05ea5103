"""SDXL in one file: names against diffusers' own converters, and a whole small file loaded with its hints."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers.loaders import single_file_utils as theirs
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection

from engine.models import ldm
from engine.models.clip import windows
from engine.models.families import sdxl
from engine.models.load import load_model
from tests.models.test_single_file import vocabulary

CPU = torch.device("cpu")
FULL = {part: dict(config) for part, config in sdxl.FILE_CONFIGS.items()}
WORDS = {"vocab_size": 600, "intermediate_size": 32, "num_hidden_layers": 2}
SMALL = {
    "unet": {
        "block_out_channels": (16, 16, 32),
        "attention_head_dim": (1, 2, 4),
        "norm_num_groups": 8,
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + 1280,
    },
    "vae": {"block_out_channels": (8, 8, 16, 16), "norm_num_groups": 4},
    "text_encoder": WORDS,
    "text_encoder_2": WORDS,
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, nn.Module]]:
    """A file of SDXL's topology with few channels, as the original code writes it, and the modules it is made of."""
    torch.manual_seed(0)
    configs = {part: FULL[part] | change for part, change in SMALL.items()}
    parts: dict[str, nn.Module] = {
        "unet": UNet2DConditionModel(**configs["unet"]),
        "vae": AutoencoderKL(**configs["vae"]),
        "text_encoder": CLIPTextModel(CLIPTextConfig(**configs["text_encoder"])),
        "text_encoder_2": CLIPTextModelWithProjection(CLIPTextConfig(**configs["text_encoder_2"])),
    }
    file = {ldm.unet_name(n, ldm.SDXL): t for n, t in parts["unet"].state_dict().items()}
    file |= {ldm.vae_name(n): t for n, t in parts["vae"].state_dict().items()}
    file |= {ldm.TEXT_XL + n.removeprefix("text_model."): t for n, t in parts["text_encoder"].state_dict().items()}
    file |= in_open_clip(parts["text_encoder_2"].state_dict())
    file |= {"v_pred": torch.tensor([]), "ztsnr": torch.tensor([]), "denoiser.sigmas": torch.ones(1000)}
    folder = tmp_path_factory.mktemp("xl")
    vocabulary(folder / "tokenizer")
    save_file({name: tensor.contiguous() for name, tensor in file.items()}, folder / "small.safetensors")
    return folder / "small.safetensors", parts


def in_open_clip(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Query, key and value in one tensor, the projection turned."""
    joint: dict[str, list[Tensor]] = {}
    for name, tensor in sorted(tensors.items(), key=lambda row: "qkv".find(row[0].partition("_attn.")[2][:1])):
        turned = tensor.t() if name.endswith("text_projection.weight") else tensor
        joint.setdefault(ldm.open_clip_name(name), []).append(turned)
    return {name: torch.cat(pieces) for name, pieces in joint.items()}


def test_each_tensor_of_the_unet_goes_where_diffusers_puts_it() -> None:
    with torch.device("meta"):
        own = UNet2DConditionModel(**FULL["unet"]).state_dict()
    marked = {ldm.unet_name(name, ldm.SDXL): torch.full((1, 1), float(i)) for i, name in enumerate(own)}
    assert len(marked) == len(own) == 1680
    converted = theirs.convert_ldm_unet_checkpoint(dict(marked), FULL["unet"] | {"class_embed_type": None})
    assert {name: int(t.flatten()[0]) for name, t in converted.items()} == {name: i for i, name in enumerate(own)}


def test_each_tensor_of_bigg_goes_where_diffusers_puts_it(small: tuple[Path, dict[str, nn.Module]]) -> None:
    own = small[1]["text_encoder_2"].state_dict()
    model = SimpleNamespace(config=SimpleNamespace(hidden_size=1280))
    converted = theirs.convert_open_clip_checkpoint(model, in_open_clip(own), prefix=ldm.OPEN_CLIP)
    assert converted.keys() == own.keys()
    assert all(torch.equal(converted[name], tensor) for name, tensor in own.items())


def test_a_file_gives_the_numbers_that_are_in_it(
    small: tuple[Path, dict[str, nn.Module]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))
    for part, change in SMALL.items():
        monkeypatch.setitem(sdxl.FILE_CONFIGS, part, FULL[part] | change)
    path, parts = small
    model = load_model(path, device=CPU, dtype=torch.float32)
    encoders = dict(model.text_encoders)
    for mine, name in (
        (model.unet, "unet"),
        (model.vae, "vae"),
        (encoders["lora_te1"], "text_encoder"),
        (encoders["lora_te2"], "text_encoder_2"),
    ):
        own = parts[name].state_dict()
        assert mine.state_dict().keys() == own.keys()
        assert all(torch.equal(tensor, own[key]) for key, tensor in mine.state_dict().items()), name
    again = model.read("lora_te2").state_dict()  # as after it was laid aside
    assert all(torch.equal(again[key], tensor) for key, tensor in parts["text_encoder_2"].state_dict().items())
    assert (model.family, model.prediction_type, model.zero_terminal_snr) == ("sdxl", "v_prediction", True)
    assert float(model.scale(torch.ones(()))) == pytest.approx(0.13025)
    first, second = (windows(t, ["ab"], 150)[0] for t in model.tokenizers)
    assert first[0].tolist() == [49406, *first[0, 1:2].tolist(), *[49407] * 75]
    # bigG: one end mark, then "!", which is token 0; a window without words begins with its end mark.
    assert second[0, 2:].tolist() == [49407, *[0] * 74]
    assert second[1].tolist() == [49406, 49407, *[0] * 75]
