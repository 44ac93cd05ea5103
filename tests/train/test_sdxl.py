"""A whole bake on a base of SDXL's layout: previews, kill and resume bit for bit, and a file that diffusers reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from engine.dataset.plan import make_plan
from engine.dataset.scan import scan
from engine.lora import kohya
from engine.models.load import load_model
from engine.models.model import DiffusionModel, Frame
from engine.protocol.events import Event, Finished, Preview, Step
from engine.protocol.params import BakeParams
from engine.runs.folder import RunFolder
from engine.train.cache import frame_of
from tests.tiny import tiny_dataset, tiny_sdxl
from tests.train.conftest import Kitchen
from tests.train.test_exactness import same

CPU = torch.device("cpu")
FRAMES = [Frame((48, 32), (8, 0), (32, 32)), Frame((32, 32), (0, 0), (32, 32))]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sdxl(tmp_path_factory.mktemp("xl") / "tiny-xl")


@pytest.fixture(scope="module")
def shop(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Kitchen:
    home = tmp_path_factory.mktemp("home")
    return Kitchen(home, base, tiny_dataset(home / "dataset", images=2))


@pytest.fixture(scope="module")
def baked(shop: Kitchen) -> tuple[RunFolder, list[Event]]:
    """Two epochs with previews, both text encoders and the convolutions trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORABAKE_HOME", str(shop.home))
        patch.setenv("OMP_NUM_THREADS", "1")
        run = shop.submit("straight", **PARAMS)
        return run, shop.bake(run)


PARAMS: dict[str, Any] = {
    "repeat": 1,
    "conv_dim": 2,
    "network_alpha": 4.0,
    "conv_alpha": 2.0,
    "preview_every_epochs": 2,
    "max_token_length": 150,
    "preview_sampler": "euler",
}


def test_a_whole_bake_with_previews(baked: tuple[RunFolder, list[Event]]) -> None:
    run, events = baked
    assert isinstance(events[-1], Finished)
    assert (events[-1].reason, events[-1].step) == ("done", 4)
    steps = [event for event in events if isinstance(event, Step)]
    assert all(event.loss is not None and event.grad_norm for event in steps)
    previews = [event for event in events if isinstance(event, Preview)]
    assert [event.epoch for event in previews] == [0] * 4 + [2] * 4
    before, after = (Image.open(run.path / previews[i].path) for i in (0, 4))
    assert before.size == (32, 32)
    assert before.tobytes() != after.tobytes()


def test_killed_and_resumed(
    shop: Kitchen, baked: tuple[RunFolder, list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(shop.home))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    broken = shop.submit("broken", **PARAMS)
    assert shop.bake_and_die(broken, lambda event: isinstance(event, Step) and event.step == 3)
    shop.bake(broken)
    same(shop, broken, baked[0])


def test_a_second_bake_goes_on_from_the_file(
    shop: Kitchen, baked: tuple[RunFolder, list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With rates that move nothing it ends as it began, in the sizes of the file and in the precision asked for."""
    monkeypatch.setenv("LORABAKE_HOME", str(shop.home))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    first = baked[0].path / baked[0].lora_file(2, "tiny")
    again = {"network_weights": str(first), "dim_from_weights": True, "save_precision": "fp32", "network_dim": 1}
    still = {"epochs": 1, "repeat": 1, "unet_lr": 1e-9, "text_encoder_lr": 1e-9, "weight_decay": 0.0}
    run = shop.submit("again", **again, **still)
    shop.bake(run)
    before, after = kohya.read(first), kohya.read(run.lora_file(1, "tiny"))
    assert after.alphas == before.alphas
    assert after.metadata["ss_network_dim"] == "4"
    assert after.metadata["lorabake_network_weights"].startswith(first.name)
    for name, tensor in before.tensors.items():
        assert (after.tensors[name] - tensor).abs().max() < 1e-6


def test_names_and_metadata(baked: tuple[RunFolder, list[Event]]) -> None:
    run, events = baked
    assert isinstance(events[-1], Finished)
    file = kohya.read(run.path / events[-1].files[-1])
    keys = set(file.alphas)
    assert {key.split("_")[1] for key in keys} == {"unet", "te1", "te2"}
    assert "lora_unet_middle_block_1_transformer_blocks_1_attn2_to_out_0" in keys
    assert "lora_unet_output_blocks_2_2_conv" in keys
    assert "lora_te2_text_model_encoder_layers_0_self_attn_q_proj" in keys
    assert all(any(p in key for p in ("input_blocks", "middle_block", "output_blocks", "_te")) for key in keys)
    assert file.metadata["ss_base_model_version"] == "sdxl_base_v1-0"
    assert file.metadata["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"


def answer(model: DiffusionModel) -> Tensor:
    noise = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        words = model.encode_text(["a cat, red", "smile"], clip_skip=1, max_token_length=75)
        return model.predict(noise, torch.tensor([20, 700]), words, FRAMES)


def test_diffusers_reads_the_file_and_answers_alike(base: Path, baked: tuple[RunFolder, list[Event]]) -> None:
    """Its pipeline encodes the words in its own way, so this holds encoders, pooled text, sizes and weights."""
    from diffusers import StableDiffusionXLPipeline

    from engine.lora.inject import inject

    run, events = baked
    assert isinstance(events[-1], Finished)
    file = run.path / events[-1].files[-1]
    model = load_model(base, device=CPU, dtype=torch.float32)
    plain = answer(model)
    network = inject(model, run.read_job().params)
    network.load_tensors(kohya.read(file).tensors)
    mine = answer(model)
    pipe = StableDiffusionXLPipeline.from_pretrained(base, torch_dtype=torch.float32, local_files_only=True)

    def theirs() -> Tensor:
        noise = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            hidden, _, pooled, _ = pipe.encode_prompt(["a cat, red", "smile"], do_classifier_free_guidance=False)
            ids = torch.cat([pipe._get_add_time_ids(f.original, f.crop, f.target, torch.float32, 40) for f in FRAMES])
            told = {"text_embeds": pooled, "time_ids": ids}
            return pipe.unet(
                noise, torch.tensor([20, 700]), encoder_hidden_states=hidden, added_cond_kwargs=told
            ).sample

    assert (theirs() - plain).abs().max() < 1e-4
    pipe.load_lora_weights(file)  # raises ValueError on a key it does not know
    assert (mine - plain).abs().max() > 0.01
    assert (theirs() - mine).abs().max() < 1e-3
    parts = (pipe.unet, pipe.text_encoder, pipe.text_encoder_2)
    counted = sum(1 for part in parts for name, _ in part.named_parameters() if "lora_" in name)
    assert counted == 2 * len(network.modules), "every tensor of the file found its place"


def test_sizes_and_crop_reach_the_unet(base: Path) -> None:
    model = load_model(base, device=CPU, dtype=torch.float32)
    words = model.encode_text(["a"], clip_skip=1, max_token_length=75)
    noise = torch.ones((1, 4, 8, 8))
    frames = [FRAMES[1], Frame((64, 32), (0, 0), (32, 32)), Frame((32, 32), (5, 0), (32, 32))]
    answers = [model.predict(noise, torch.tensor([9]), words, [frame]) for frame in frames]
    assert not torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[0], answers[2])


def test_the_crop_told_is_the_real_one(tmp_path: Path) -> None:
    """trainers.md 1.5: 800 × 1200 into 832 × 1216 is scaled to 832 × 1248 and loses 16 rows above, none at the left."""
    folder = tiny_dataset(tmp_path / "set", images=1)
    Image.new("RGB", (800, 1200)).save(folder / "0.png")
    (item,) = make_plan(scan(folder), None, BakeParams(resolution=1024)).items
    assert item.fit.bucket == (832, 1216)
    assert frame_of(item) == Frame(original=(1200, 800), crop=(16, 0), target=(1216, 832))
