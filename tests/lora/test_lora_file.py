"""The saved file: read back, loaded by diffusers, initial weights, metadata and hashes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from engine.dataset.plan import make_plan
from engine.dataset.scan import scan
from engine.lora import kohya
from engine.lora.inject import Network, inject
from engine.lora.metadata import Moment, Origin, metadata
from engine.lora.packing import packed
from engine.models.load import load_model
from engine.models.model import DiffusionModel
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams
from engine.protocol.records import Job
from tests.tiny import tiny_base, tiny_dataset

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


def trained(base: Path, params: BakeParams) -> tuple[DiffusionModel, Network]:
    """A model with a LoRA whose weights are as if it had learned something."""
    model = load_model(base, device=CPU, dtype=torch.float32)
    network = inject(model, params)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in network.modules:
            module.up.copy_(torch.randn(module.up.shape, generator=generator) * 0.3)
    return model, network


def answer(model: DiffusionModel) -> Tensor:
    noise = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        words = model.encode_text(["a cat, red", "smile"], clip_skip=1, max_token_length=75)
        return model.predict(noise, torch.tensor([20, 700]), words, [])


@pytest.mark.parametrize("conv", [0, 3])
def test_diffusers_reproduces_the_trained_unet(base: Path, tmp_path: Path, conv: int) -> None:
    from diffusers import StableDiffusionPipeline

    params = BakeParams(network_dim=4, network_alpha=2, conv_dim=conv, conv_alpha=1)
    model, network = trained(base, params)
    file = tmp_path / "lora.safetensors"
    kohya.save(file, network, {})
    pipe = StableDiffusionPipeline.from_pretrained(base, torch_dtype=torch.float32, local_files_only=True)

    def theirs() -> Tensor:
        ids = pipe.tokenizer(["a cat, red", "smile"], padding="max_length", max_length=77, return_tensors="pt")
        noise = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            hidden = pipe.text_encoder(ids.input_ids)[0]
            return pipe.unet(noise, torch.tensor([20, 700]), encoder_hidden_states=hidden).sample

    before, mine = theirs(), answer(model)
    pipe.load_lora_weights(file)  # raises ValueError on a key it does not know
    after = theirs()
    assert (before - mine).abs().max() > 0.05
    assert (after - mine).abs().max() < 1e-3
    with network.disabled():
        assert torch.allclose(answer(model), before, atol=1e-5)
    assert torch.equal(answer(model), mine), "enabling puts everything back"
    parts = (pipe.unet, pipe.text_encoder)
    placed = [
        float(p.detach().double().sum()) for part in parts for name, p in part.named_parameters() if "lora_" in name
    ]
    stored = [float(tensor.double().sum()) for tensor in kohya.read(file).tensors.values()]
    assert len(placed) == 2 * len(network.modules), "every tensor of the file found its place"
    assert sorted(placed) == pytest.approx(sorted(stored))


def test_read_back(base: Path, tmp_path: Path) -> None:
    _, network = trained(base, BakeParams(network_dim=4, network_alpha=2))
    file = tmp_path / "lora.safetensors"
    saved = kohya.save(file, network, {"ss_output_name": "née"})
    assert saved.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert saved.bytes == file.stat().st_size
    back = kohya.read(file)
    assert back.metadata["ss_output_name"] == "née"
    assert set(back.alphas.values()) == {2.0}
    for name, tensor in network.tensors().items():
        assert torch.equal(back.tensors[name], tensor.half().float())
    _, other = trained(base, BakeParams(network_dim=4, network_alpha=2, seed=1))
    other.load_tensors(back.tensors)
    assert all(torch.equal(t, back.tensors[n]) for n, t in other.tensors().items())


def test_foreign_weights_are_not_loaded(base: Path) -> None:
    _, network = trained(base, BakeParams(network_dim=4))
    tensors = dict(network.tensors())
    name = sorted(tensors)[0]
    with pytest.raises(KeyError):
        network.load_tensors({n: t for n, t in tensors.items() if n != name})
    with pytest.raises(ValueError, match="shape"):
        network.load_tensors(tensors | {name: torch.zeros(1, 1)})


def test_a_broken_file_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(b"\x80\x04pickle")
    with pytest.raises(EngineError) as caught:
        kohya.read(file)
    assert caught.value.info.code == "model_broken"


def test_the_start_is_a_function_of_seed_and_name(base: Path) -> None:
    def start(seed: int, dim: int = 4, text: float = 1.0) -> dict[str, Tensor]:
        model = load_model(base, device=CPU, dtype=torch.float32)
        return dict(inject(model, BakeParams(network_dim=dim, seed=seed, text_encoder_lr=text)).tensors())

    first, again, other = start(1), start(1, text=0.0), start(2)
    torch.manual_seed(99)
    for name, tensor in again.items():
        assert torch.equal(tensor, first[name]), "not a matter of what else is trained"
    down = next(name for name in first if name.endswith("down.weight"))
    assert not torch.equal(first[down], other[down])
    for name, tensor in first.items():
        if name.endswith("up.weight"):
            assert not tensor.any()
        else:
            # Kaiming uniform with a = √5 has the bound 1 / √fan_in.
            bound = tensor[0].numel() ** -0.5
            assert 0.8 * bound < tensor.abs().max() <= bound


def test_network_dropout_falls_on_the_inner_values(base: Path) -> None:
    model, network = trained(base, BakeParams(network_dim=8, network_dropout=0.5, unet_lr=0))
    module = network.modules[0]
    inside = module.layer.lora_A["default"]
    x = torch.randn(64, module.down.shape[1])
    model.text_encoders[0][1].train()
    torch.manual_seed(0)
    dropped = inside(x)
    share = (dropped == 0).float().mean()
    assert 0.3 < share < 0.7
    model.text_encoders[0][1].eval()
    whole = inside(x)
    assert not (whole == 0).any()
    assert torch.allclose(dropped[dropped != 0], 2 * whole[dropped != 0])


@pytest.fixture(scope="module")
def fields(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("data") / "set"
    tiny_dataset(folder / "10_cat", images=3)
    params = BakeParams(resolution=32, epochs=2, network_dim=4, conv_dim=2, clip_skip=2, noise_offset=0.05)
    job = Job(id="r1", kind="bake", name="猫", created=0, dataset=str(folder), params=params)
    plan = make_plan(scan(folder), None, params)
    model, network = trained(base, params)
    moment = Moment(epoch=1, step=30, started=100.0, finished=200.0)
    file = tmp_path_factory.mktemp("out") / "lora.safetensors"
    kohya.save(file, network, metadata(job, plan, model, network, "fp32", moment, Origin(base=("0a1b2c3d", "ff" * 32))))
    return kohya.read(file).metadata


def test_metadata_that_readers_look_for(fields: dict[str, str]) -> None:
    assert fields["ss_base_model_version"] == "sd_v1"
    assert fields["ss_v2"] == "False"
    assert fields["ss_output_name"] == "猫"
    assert fields["ss_network_module"] == "networks.lora"
    assert fields["ss_network_dim"] == "4"
    assert json.loads(fields["ss_network_args"]) == {"conv_dim": 2, "conv_alpha": 1.0}
    assert fields["ss_clip_skip"] == "2"
    assert fields["ss_noise_offset"] == "0.05"
    assert fields["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert fields["modelspec.resolution"] == "32x32"
    assert json.loads(fields["ss_dataset_dirs"]) == {"10_cat": {"n_repeats": 10, "img_count": 3}}
    tags = json.loads(fields["ss_tag_frequency"])["10_cat"]
    assert tags["nekomizu"] == tags["smile"] == 3
    assert fields["ss_num_train_images"] == "30"
    assert fields["modelspec.trigger_phrase"] == "nekomizu"
    assert fields["modelspec.hash_sha256"] == f"0x{fields['sshs_model_hash']}"
    assert (fields["ss_sd_model_hash"], fields["ss_new_sd_model_hash"]) == ("0a1b2c3d", "ff" * 32)
    assert fields["ss_max_train_steps"] == "60"


def test_every_field_of_kohyas_own_file_is_there(fields: dict[str, str]) -> None:
    own = json.loads((Path(__file__).parent / "data" / "kohya_metadata_sd15.json").read_text())
    assert own.keys() - {"ss_sd_scripts_commit_hash"} <= fields.keys()


def test_hashes_are_kohyas(base: Path, tmp_path: Path) -> None:
    """sshs_model_hash: sha256 after the header, so it does not depend on any metadata."""
    _, network = trained(base, BakeParams(network_dim=64))
    kohya.save(tmp_path / "a.safetensors", network, {"ss_x": "1"})
    kohya.save(tmp_path / "b.safetensors", network, {"ss_x": "1", "modelspec.title": "other"})
    data = (tmp_path / "a.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    a, b = kohya.read(tmp_path / "a.safetensors").metadata, kohya.read(tmp_path / "b.safetensors").metadata
    assert a["sshs_model_hash"] == hashlib.sha256(data[start:]).hexdigest() == b["sshs_model_hash"]
    assert a["sshs_legacy_hash"] == b["sshs_legacy_hash"]
    assert len(a["sshs_legacy_hash"]) == 8


def test_a_header_stays_below_what_readers_take(base: Path, tmp_path: Path) -> None:
    """However many tags there are: quotation marks grow when JSON is written into JSON, and so does other writing."""
    _, network = trained(base, BakeParams(network_dim=4))
    tags = {f'"{i}" 標籤 \\ {"x" * 40}': 1 for i in range(20_000)} | {"often": 9}
    told = {"ss_tag_frequency": json.dumps({"set": tags}, ensure_ascii=False), "ss_output_name": "mine"}
    saved = kohya.save(tmp_path / "a.safetensors", network, told)
    size = int.from_bytes((tmp_path / "a.safetensors").read_bytes()[:8], "little")
    assert 512 * 1024 < size < 1 << 20
    back = kohya.read(tmp_path / "a.safetensors").metadata
    left = json.loads(back["ss_tag_frequency"])["set"]
    assert left["often"] == 9
    assert saved.tags == (20_001, len(left))
    assert back["ss_output_name"] == "mine"
    other = kohya.save(tmp_path / "b.safetensors", network, {"ss_comment": "x" * (1 << 21), "ss_output_name": "mine"})
    assert other.tags is None
    assert "ss_comment" not in kohya.read(tmp_path / "b.safetensors").metadata


@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_the_file_in_the_precision_asked_for(base: Path, tmp_path: Path, precision: Any) -> None:
    _, network = trained(base, BakeParams(network_dim=4))
    with torch.no_grad():
        network.modules[0].up[0, 0] = 1e6
    kohya.save(tmp_path / "a.safetensors", network, {}, precision)
    wanted = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[precision]
    with safe_open(tmp_path / "a.safetensors", framework="pt") as handle:
        tensors = [handle.get_tensor(name) for name in handle.keys()]  # noqa: SIM118
    assert {tensor.dtype for tensor in tensors} == {wanted}
    assert all(torch.isfinite(tensor).all() for tensor in tensors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_bytes_are_those_of_safetensors_own_function(dtype: torch.dtype) -> None:
    shapes = ((3, 4), (), (0, 2), (1, 2, 1, 1))
    tensors = {f"{i}.weight": torch.ones(shape).to(dtype) for i, shape in enumerate(shapes)}
    tensors["a"] = torch.arange(5.0)
    assert packed(tensors, {"about": "猫"}) == safetensors.torch.save(tensors, {"about": "猫"})
    assert packed(tensors) == safetensors.torch.save(tensors)
