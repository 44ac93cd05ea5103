"""The shipped base model: its layout, its size, that it is what its files say, and that it obeys colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from engine.demo.paths import BASE, DATASET

demo_architecture = pytest.importorskip("tools.demo_architecture")
demo_generate = pytest.importorskip("tools.demo_generate", reason="needs the demo-models extra")


@pytest.fixture(scope="module")
def base():
    return demo_generate.load_base(BASE)


def size_of(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def test_it_is_small_enough_to_ship():
    assert size_of(BASE) <= 17_000_000
    assert size_of(BASE.parent) <= 25_000_000


def test_weights_are_half_precision_and_finite():
    for file in BASE.rglob("*.safetensors"):
        tensors = load_file(file)
        assert all(torch.isfinite(t).all() for t in tensors.values()), file
        assert {t.dtype for t in tensors.values()} <= {torch.float16, torch.int64}, file


def test_the_text_encoder_reloads_exactly(base):
    stored = load_file(BASE / "text_encoder" / "model.safetensors")
    loaded = dict(base.text.named_parameters())
    assert len(loaded) == len([k for k in stored if "position_ids" not in k])
    for name, value in stored.items():
        torch.testing.assert_close(loaded[name.removeprefix("text_model.")].half(), value, rtol=0, atol=0)


@pytest.mark.parametrize("text", ["nekomizu, 1girl", "", "Żółć 猫 🐱 \\(a\\) ::", "word " * 200])
def test_any_text_becomes_77_known_tokens(base, text):
    ids = demo_architecture.tokenize(base.tokenizer, [text])
    assert ids.shape == (1, 77)
    assert int(ids.max()) < base.text.config.vocab_size
    assert int(ids[0, 0]) == base.tokenizer.bos_token_id
    assert base.tokenizer.eos_token_id in ids[0].tolist()


def test_latents_have_unit_variance_and_decode_to_the_picture(base):
    files = [p for p in sorted(DATASET.glob("*.png")) if Image.open(p).size[0] == Image.open(p).size[1]]
    pictures = [np.asarray(Image.open(p).convert("RGB").resize((64, 64), Image.Resampling.BOX)) for p in files]
    x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        latents = base.vae.encode(x).latent_dist.mean * base.vae.config.scaling_factor
        y = base.vae.decode(latents / base.vae.config.scaling_factor).sample.clamp(-1, 1)
    assert latents.shape[1:] == (4, 16, 16)
    assert 0.6 < float(latents.std()) < 1.5
    assert float((10 * torch.log10(4 / (y - x).pow(2).mean((1, 2, 3)))).mean()) > 20


def test_a_picture_depends_on_its_own_seed_alone(base):
    alone = demo_generate.generate(base, ["1girl"], steps=3)
    together = demo_generate.generate(base, ["1girl", "1boy"], steps=3)
    assert np.abs(alone[0].astype(int) - together[0]).max() <= 1


def test_backgrounds_obey_the_prompt(base):
    colours = {"red": (226, 88, 88), "green": (146, 216, 146), "blue": (140, 182, 250), "black": (46, 46, 54)}
    prompts = [f"monster, no humans, toon style, white body, {name} background" for name in colours for _ in range(2)]
    pictures = demo_generate.generate(base, prompts, steps=12)
    corners = np.concatenate([pictures[:, 4:16, 4:12], pictures[:, 4:16, 52:60]], 2).mean((1, 2))
    wanted = np.array(list(colours.values()), float)
    nearest = np.linalg.norm(corners[:, None] - wanted[None], axis=2).argmin(1)
    assert (nearest == np.repeat(np.arange(4), 2)).mean() >= 0.85
