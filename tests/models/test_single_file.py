"""Single-file checkpoints: names against diffusers' own converter, a whole file loaded, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders import single_file_utils as theirs
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTokenizer
from transformers.models.clip.modeling_clip import CLIPTextModel

from engine.models import catalogue, ldm
from engine.models.clip import windows
from engine.models.families import sd15
from engine.models.load import load_model
from engine.models.model import DiffusionModel
from engine.models.sniff import sniff
from engine.models.vocabulary import find_vocabulary
from engine.protocol.errors import EngineError

CPU = torch.device("cpu")
SMALL = {
    "unet": {"block_out_channels": (32, 32, 64, 64), "cross_attention_dim": 768, "norm_num_groups": 8},
    "vae": {"block_out_channels": (8, 8, 16, 16), "norm_num_groups": 4},
    "text_encoder": {"intermediate_size": 64, "num_hidden_layers": 2},
}
FULL = {part: dict(config) for part, config in sd15.FILE_CONFIGS.items()}


def vocabulary(folder: Path, words: int = 49408) -> Path:
    """Files of the form of CLIP's: all bytes, then words merged from letters, then the two marks."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) for b in visible] + [chr(256 + i) for i in range(256 - len(visible))]
    merges = [(a, b + end) for a in letters for b in letters for end in ("", "</w>")][: words - 514]
    vocab = [*letters, *(x + "</w>" for x in letters), *(a + b for a, b in merges), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(vocab)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    return folder


def modules(changes: dict[str, dict[str, Any]]) -> tuple[nn.Module, nn.Module, nn.Module]:
    configs = {part: FULL[part] | changes.get(part, {}) for part in SMALL}
    return (
        UNet2DConditionModel(**configs["unet"]),
        AutoencoderKL(**configs["vae"]),
        CLIPTextModel(CLIPTextConfig(**configs["text_encoder"])),
    )


def in_ldm_names(parts: tuple[nn.Module, nn.Module, nn.Module]) -> dict[str, Tensor]:
    """A checkpoint as the original code writes it: attention of the VAE as 1×1 convolutions."""
    unet, vae, text = (part.state_dict() for part in parts)
    file = {ldm.unet_name(name): tensor for name, tensor in unet.items()}
    for name, tensor in vae.items():
        conv = ".attentions." in name and name.endswith(".weight") and tensor.ndim == 2
        file[ldm.vae_name(name)] = tensor[:, :, None, None] if conv else tensor
    assert not file.keys() & {ldm.text_names(name)[0] for name in text}
    return file | {ldm.text_names(name)[0]: tensor for name, tensor in text.items()}


def test_every_name_of_sd15_against_diffusers_converter() -> None:
    with torch.device("meta"):
        parts = modules({})
    file = in_ldm_names(parts)
    assert len(file) == 686 + 248 + 196, "as many tensors as v1-5-pruned-emaonly has, but for betas and positions"
    unet, vae, text = (part.state_dict() for part in parts)
    config = {"layers_per_block": 2, "down_block_types": (1,) * 4, "up_block_types": (1,) * 4}
    assert shapes(theirs.convert_ldm_unet_checkpoint(dict(file), config)) == shapes(unet)
    assert shapes(theirs.convert_ldm_vae_checkpoint(dict(file), config)) == shapes(vae)
    converted = theirs.convert_ldm_clip_checkpoint(dict(file))
    assert {n.removeprefix("text_model."): t for n, t in shapes(converted).items()} == shapes(text)


def test_each_tensor_goes_where_diffusers_puts_it() -> None:
    """Names alone could be permuted: here each tensor carries its own number."""
    with torch.device("meta"):
        parts = modules({})
    file = in_ldm_names(parts)
    marked = {name: torch.full((1, 1), float(i)) for i, name in enumerate(file)}
    config = {"layers_per_block": 2, "down_block_types": (1,) * 4, "up_block_types": (1,) * 4}
    unet, vae, _ = (part.state_dict() for part in parts)
    for converted, own, name_of in (
        (theirs.convert_ldm_unet_checkpoint(dict(marked), config), unet, ldm.unet_name),
        (theirs.convert_ldm_vae_checkpoint(dict(marked), config), vae, ldm.vae_name),
    ):
        assert {name: float(t.flatten()[0]) for name, t in converted.items()} == {
            name: float(marked[name_of(name)][0, 0]) for name in own
        }


@pytest.mark.parametrize("name", ["class_embedding.linear_1.weight", "down_blocks.0.motion_modules.0.x.weight", "x"])
def test_names_of_other_networks(name: str) -> None:
    with pytest.raises(KeyError):
        ldm.unet_name(name)
    with pytest.raises(KeyError):
        ldm.vae_name(name)


def shapes(tensors: dict[str, Tensor]) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in tensors.items()}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[nn.Module, nn.Module, nn.Module]]:
    """A file of SD 1.5's topology with few channels, in fp16, with leftovers of its training; and what is in it."""
    torch.manual_seed(0)
    parts = modules(SMALL)
    for part in parts:
        part.half().float().eval()
    folder = tmp_path_factory.mktemp("single")
    tensors = {name: tensor.half().contiguous() for name, tensor in in_ldm_names(parts).items()}
    extra = {
        "model_ema.diffusion_modelinput_blocks00weight": torch.ones(3),
        "alphas_cumprod": torch.ones(1000),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None],
    }
    save_file(tensors | extra, folder / "small.safetensors")
    vocabulary(folder / "tokenizer")
    return folder / "small.safetensors", parts


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for part, change in SMALL.items():
        monkeypatch.setitem(sd15.FILE_CONFIGS, part, FULL[part] | change)
    return tmp_path / "home"


def load(path: Path, dtype: torch.dtype = torch.float32) -> DiffusionModel:
    return load_model(path, device=CPU, dtype=dtype)


def test_a_file_gives_the_numbers_that_are_in_it(
    small: tuple[Path, tuple[nn.Module, nn.Module, nn.Module]],
) -> None:
    path, (unet, vae, text) = small
    model = load(path)
    assert (model.family, model.prediction_type, model.vae_factor) == ("sd15", "epsilon", 8)
    assert not any(p.requires_grad or p.is_meta for p in [*model.unet.parameters(), *model.vae.parameters()])
    noisy, times, words = torch.randn(1, 4, 16, 16), torch.tensor([500]), torch.randn(1, 77, 768)
    ids = torch.arange(77)[None]
    with torch.no_grad():
        mine = model.unet(noisy, times, encoder_hidden_states=words).sample
        assert torch.equal(mine, unet(noisy, times, encoder_hidden_states=words).sample)
        picture = torch.rand(1, 3, 32, 32)
        assert torch.equal(model.vae.encode(picture).latent_dist.mean, vae.encode(picture).latent_dist.mean)
        assert torch.equal(model.vae.decode(noisy).sample, vae.decode(noisy).sample)
        encoder = model.text_encoders[0][1]
        assert torch.allclose(encoder(ids).last_hidden_state, text(ids).last_hidden_state, atol=1e-5)
    for part, name in ((model.vae, "vae"), (encoder, "lora_te")):
        again = model.read(name).state_dict()  # as after it was laid aside
        assert all(torch.equal(again[key], tensor) for key, tensor in part.state_dict().items())


def test_its_words_are_clips(small: tuple[Path, tuple[nn.Module, nn.Module, nn.Module]]) -> None:
    path, _ = small
    model = load(path)
    tokenizer = CLIPTokenizer.from_pretrained(path.parent / "tokenizer")
    mine = windows(model.tokenizer, ["ab cd, e"], 75)  # type: ignore[attr-defined]
    assert mine.shape == (1, 1, 77)
    plain = tokenizer("ab cd, e", add_special_tokens=False).input_ids
    assert mine[0, 0].tolist() == [49406, *plain, *[49407] * (76 - len(plain))]
    assert model.encode_text(["ab cd"], clip_skip=2, max_token_length=75).hidden.shape == (1, 77, 768)


def test_half_precision_keeps_the_vae_in_fp32(small: tuple[Path, tuple[nn.Module, nn.Module, nn.Module]]) -> None:
    model = load(small[0], torch.bfloat16)
    assert {p.dtype for p in model.unet.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in model.text_encoders[0][1].parameters()} == {torch.bfloat16}
    assert {p.dtype for p in model.vae.parameters()} == {torch.float32}


def changed(small: Path, to: Path, **replaced: Any) -> Path:
    """A copy without the tensors that begin with `drop`, with those of `put`."""
    tensors = {n: t for n, t in load_file(small).items() if not n.startswith(replaced.get("drop", "?"))}
    to.parent.mkdir(exist_ok=True)
    if not (to.parent / "tokenizer").exists():
        (to.parent / "tokenizer").symlink_to(small.parent / "tokenizer")
    save_file(tensors | replaced.get("put", {}), to)
    return to


def test_linear_attention_old_text_names_and_other_vaes(
    small: tuple[Path, tuple[nn.Module, nn.Module, nn.Module]], tmp_path: Path
) -> None:
    path, _ = small
    tensors = load_file(path)
    flat = {n: t[:, :, 0, 0] for n, t in tensors.items() if ".mid.attn_1." in n and t.ndim == 4}
    assert len(flat) == 8
    prefix, short = ldm.TEXT
    old = {short + n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    other = changed(path, tmp_path / "old.safetensors", drop=prefix, put=flat | old)
    one, two = load(path), load(other)
    for mine, same in ((one.vae, two.vae), (one.text_encoders[0][1], two.text_encoders[0][1])):
        pairs = zip(mine.state_dict().values(), same.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    assert one.vae_hash == load(path).vae_hash
    bias = ldm.VAE + "decoder.conv_in.bias"
    assert load(changed(path, tmp_path / "b" / "v.safetensors", put={bias: tensors[bias] + 1})).vae_hash != one.vae_hash


def refused(path: Path) -> tuple[str, str]:
    with pytest.raises(EngineError) as caught:
        load(path)
    return caught.value.info.code, caught.value.info.message


def test_a_tensor_too_few_or_of_another_shape(
    small: tuple[Path, tuple[nn.Module, nn.Module, nn.Module]], tmp_path: Path
) -> None:
    name = "model.diffusion_model.out.2.bias"
    code, message = refused(changed(small[0], tmp_path / "few" / "x.safetensors", drop=name))
    assert code == "model_broken"
    assert name in message
    code, message = refused(changed(small[0], tmp_path / "shape" / "x.safetensors", put={name: torch.ones(5)}))
    assert code == "model_broken"
    assert name in message


@pytest.mark.parametrize(
    ("part", "word"), [("first_stage_model.", "VAE"), ("cond_stage_model.", "text encoder")], ids=str
)
def test_a_file_without_a_part(
    small: tuple[Path, tuple[nn.Module, nn.Module, nn.Module]], tmp_path: Path, part: str, word: str
) -> None:
    code, message = refused(changed(small[0], tmp_path / "x" / "x.safetensors", drop=part))
    assert code == "model_not_base"
    assert word in message


def test_where_the_words_may_lie(
    small: tuple[Path, tuple[nn.Module, nn.Module, nn.Module]], tmp_path: Path, home: Path
) -> None:
    alone = tmp_path / "alone" / "mine.safetensors"
    alone.parent.mkdir()
    alone.symlink_to(small[0])
    with pytest.raises(EngineError) as caught:
        catalogue.locate(str(alone))
    assert caught.value.info.code == "vocabulary_missing"
    assert refused(alone)[0] == "vocabulary_missing"
    vocabulary(home / "models" / "short" / "tokenizer", words=2000)
    with pytest.raises(EngineError):
        find_vocabulary(alone)
    hub = tmp_path / "hub" / "models--openai--clip-vit-large-patch14" / "snapshots" / "abc"
    for folder in (hub, home / "models" / "some-model" / "tokenizer", alone.parent / "tokenizer"):
        vocabulary(folder)
        assert find_vocabulary(alone) == folder
    assert catalogue.locate(str(alone)).family == "sd15"


def test_files_in_the_models_folder_have_names(
    small: tuple[Path, tuple[nn.Module, nn.Module, nn.Module]], home: Path
) -> None:
    (home / "models").mkdir(parents=True)
    for name in ("anything-v5.safetensors", "my merge.safetensors"):
        (home / "models" / name).write_bytes(small[0].read_bytes())
    vocabulary(home / "models" / "tokenizer")
    rows = {row.name: row for row in catalogue.list_models()}
    assert rows["anything-v5"].present
    assert rows["anything-v5"].bytes == rows["my merge.safetensors"].bytes == small[0].stat().st_size
    assert "anything-v5.safetensors" not in rows
    assert catalogue.locate("anything-v5").path == home / "models" / "anything-v5.safetensors"
    assert sniff(home / "models" / "my merge.safetensors").layout == "file"
