"""Loading a diffusers folder: precision, words into embeddings, pictures into latents; broken files are sentences."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.models.load import load_model, vae_hash
from engine.models.model import DiffusionModel
from engine.protocol.errors import EngineError
from tests.tiny import tiny_base

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def model(base: Path) -> DiffusionModel:
    return load_model(base, device=CPU, dtype=torch.float32)


def test_facts_come_from_the_configs(model: DiffusionModel) -> None:
    assert (model.vae_factor, model.size_multiple, model.prediction_type) == (4, 8, "epsilon")
    assert not any(p.requires_grad for p in model.unet.parameters())


def test_the_vae_stays_in_fp32(base: Path) -> None:
    half = load_model(base, device=CPU, dtype=torch.bfloat16)
    assert next(half.unet.parameters()).dtype == torch.bfloat16
    assert next(half.text_encoders[0][1].parameters()).dtype == torch.bfloat16
    assert {p.dtype for p in half.vae.parameters()} == {torch.float32}


def test_what_was_laid_aside_is_read_again(base: Path, tmp_path: Path) -> None:
    lent = Path(shutil.copytree(base, tmp_path / "lent"))
    model = load_model(lent, device=CPU, dtype=torch.bfloat16)
    picture = torch.rand(3, 32, 32)

    def answers() -> list[torch.Tensor]:
        posterior, words = model.encode_image(picture), model.encode_text(["a"], clip_skip=2, max_token_length=75)
        return [posterior.mean, posterior.std, model.decode(posterior.mean[None]), words.hidden]

    before = [answer.detach() for answer in answers()]
    for _ in range(2):
        model.lay_aside_vae()
        model.lay_aside_text()
        parts = (model.vae, model.text_encoders[0][1])
        assert all(p.is_meta for part in parts for p in part.parameters())
        assert all(torch.equal(a, b) for a, b in zip(answers(), before, strict=True))
        parts = (model.vae, model.text_encoders[0][1])
        assert not any(p.is_meta or p.requires_grad for part in parts for p in part.parameters())
    model.lay_aside_vae()
    shutil.rmtree(lent / "vae")
    with pytest.raises(EngineError) as caught:
        model.decode(before[0][None])
    assert caught.value.info.code == "model_broken"


def test_words_against_transformers_own_way(base: Path, model: DiffusionModel) -> None:
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(base / "text_encoder", dtype=torch.float32)
    long = ", ".join(f"tag {i}" for i in range(60))
    ids = tokenizer([long], padding="max_length", truncation=True, max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        out = encoder(ids, output_hidden_states=True)
        one = model.encode_text([long], clip_skip=1, max_token_length=75).hidden
        two = model.encode_text([long], clip_skip=2, max_token_length=75).hidden
        assert torch.allclose(one, out.last_hidden_state, atol=1e-5)
        assert torch.allclose(two, encoder.final_layer_norm(out.hidden_states[-2]), atol=1e-5)
        assert not torch.allclose(one, two, atol=1e-2)


@pytest.mark.parametrize("length", [150, 225])
def test_long_captions_are_read_in_windows(base: Path, model: DiffusionModel, length: int) -> None:
    """kohya: windows of 75 between BOS and EOS, encoded apart, joined as BOS + 75·n + EOS."""
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(base / "text_encoder", dtype=torch.float32)
    text = "abcdefghij" * 30
    plain = tokenizer(text, add_special_tokens=False).input_ids
    assert len(plain) > length
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    with torch.no_grad():
        parts = [
            encoder(torch.tensor([[bos, *plain[i : i + 75], eos]])).last_hidden_state for i in range(0, length, 75)
        ]
        expected = torch.cat([parts[0][:, :1], *(p[:, 1:-1] for p in parts), parts[-1][:, -1:]], dim=1)
        mine = model.encode_text([text], clip_skip=1, max_token_length=length).hidden
    assert mine.shape[1] == length + 2
    assert torch.allclose(mine, expected, atol=1e-5)


def test_latents_round_trip_through_scale(model: DiffusionModel) -> None:
    pixels = torch.rand(3, 32, 48) * 2 - 1
    posterior = model.encode_image(pixels)
    assert posterior.mean.shape == (4, 8, 12)
    assert (posterior.std > 0).all()
    again = model.decode(model.scale(posterior.mean[None]))
    direct = model.vae.decode(posterior.mean[None]).sample
    assert again.shape == (1, 3, 32, 48)
    assert torch.allclose(again, (direct / 2 + 0.5).clamp(0, 1), atol=1e-5)


def broken(base: Path, folder: Path) -> Path:
    return Path(shutil.copytree(base, folder))


def test_missing_tensors_are_noticed(base: Path, tmp_path: Path) -> None:
    path = broken(base, tmp_path / "x")
    file = path / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["conv_in.weight"]
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(EngineError) as caught:
        load_model(path, device=CPU, dtype=torch.float32)
    assert caught.value.info.code == "model_broken"
    assert "conv_in.weight" in caught.value.info.message


@pytest.mark.parametrize(
    "file", ["scheduler/scheduler_config.json", "text_encoder/config.json", "tokenizer/vocab.json"]
)
def test_damaged_files_are_sentences(base: Path, tmp_path: Path, file: str) -> None:
    path = broken(base, tmp_path / "x")
    (path / file).write_text("{")
    with pytest.raises(EngineError) as caught:
        load_model(path, device=CPU, dtype=torch.float32)
    assert caught.value.info.code == "model_broken"


def test_the_vae_hash_follows_its_weights(base: Path, tmp_path: Path) -> None:
    other = tiny_base(tmp_path / "other", seed=1)
    assert vae_hash(base) == vae_hash(broken(base, tmp_path / "copy"))
    assert vae_hash(base) != vae_hash(other)
