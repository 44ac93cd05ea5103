"""Going on from a LoRA: a file from elsewhere, in any dialect, acts here as in diffusers; what does not fit is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine import footprint
from engine.lora.inject import Network, inject
from engine.lora.start import Start, begin, load_start
from engine.models.adapter import read_start
from engine.models.load import load_model
from engine.models.model import DiffusionModel
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams
from engine.runs.folder import RunFolder
from tests.lora.test_lora_file import answer
from tests.tiny import tiny_base, tiny_sdxl

CPU = torch.device("cpu")
SAME = BakeParams(network_dim=4, network_alpha=2, conv_dim=3, conv_alpha=1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


def model_of(base: Path) -> DiffusionModel:
    return load_model(base, device=CPU, dtype=torch.float32)


def elsewhere(network: Network) -> dict[str, Tensor]:
    """A kohya file of these layers with weights of its own, as another trainer would have written it."""
    generator = torch.Generator().manual_seed(5)
    rows = {n: torch.randn(t.shape, generator=generator) * 0.3 for n, t in network.tensors().items()}
    return rows | {f"{m.target.key}.alpha": torch.tensor(m.target.alpha) for m in network.modules}


def in_peft(network: Network, kohya: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same in the names of diffusers, which has no alpha: it goes into `up`."""
    rows = {}
    for module in network.modules:
        key, path = module.target.key, module.target.path
        name = f"unet.{path}" if module.part == "unet" else f"text_encoder.text_model.{path}"
        rows[f"{name}.lora_A.weight"] = kohya[f"{key}.lora_down.weight"]
        rows[f"{name}.lora_B.weight"] = kohya[f"{key}.lora_up.weight"] * module.target.alpha / module.target.rank
    return rows


@pytest.fixture(scope="module")
def file(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Tensor]:
    """The file, its twin in diffusers' names, and what diffusers' pipeline answers with it."""
    from diffusers import StableDiffusionPipeline

    network = inject(model_of(base), SAME)
    folder = tmp_path_factory.mktemp("file")
    tensors = elsewhere(network)
    save_file(tensors, folder / "kohya.safetensors")
    save_file({n: t.contiguous() for n, t in in_peft(network, tensors).items()}, folder / "peft.safetensors")
    pipe = StableDiffusionPipeline.from_pretrained(base, torch_dtype=torch.float32, local_files_only=True)
    pipe.load_lora_weights(folder / "kohya.safetensors")
    noise = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(2))
    ids = pipe.tokenizer(["a cat, red", "smile"], padding="max_length", max_length=77, return_tensors="pt")
    with torch.no_grad():
        hidden = pipe.text_encoder(ids.input_ids)[0]
        theirs = pipe.unet(noise, torch.tensor([20, 700]), encoder_hidden_states=hidden).sample
    return folder / "kohya.safetensors", folder / "peft.safetensors", theirs


def started(base: Path, file: Path, params: BakeParams, run: Path) -> tuple[DiffusionModel, Network, list[str]]:
    """A model with a network that goes on from the file, and the codes of what was said."""
    model = model_of(base)
    start = begin(RunFolder(run), model, fields_of(params, file))
    assert start is not None
    network = inject(model, params, start.sizes)
    return model, network, [info.code for info in load_start(file, network)]


def fields_of(params: BakeParams, file: Path) -> BakeParams:
    import msgspec

    return msgspec.structs.replace(params, network_weights=str(file))


@pytest.mark.parametrize(
    ("which", "params", "said"),
    [
        (0, SAME, []),
        (1, SAME, ["notice_start_alpha"]),
        (0, BakeParams(network_dim=4, network_alpha=4, conv_dim=3, conv_alpha=1), ["notice_start_alpha"]),
        (0, BakeParams(network_dim=64, dim_from_weights=True), []),
        (1, BakeParams(network_dim=64, dim_from_weights=True), []),
        (0, BakeParams(network_dim=4, network_alpha=2, conv_dim=3, conv_alpha=1, use_dora=True), []),
    ],
    ids=["kohya", "diffusers", "other alpha", "its dims", "diffusers, its dims", "as DoRA"],
)
def test_it_acts_as_in_diffusers(
    base: Path, tmp_path: Path, file: tuple[Path, Path, Tensor], which: int, params: BakeParams, said: list[str]
) -> None:
    model, network, codes = started(base, file[which], params, tmp_path)
    assert codes == said
    assert (answer(model) - file[2]).abs().max() < 1e-3
    if params.dim_from_weights:
        assert {module.target.rank for module in network.modules} == {4, 3}
        assert footprint.lora_parameters(fields_of(params, file[which]), "sd15") == network.parameter_count()


def test_layers_left_out_and_layers_at_nothing(base: Path, tmp_path: Path, file: tuple[Path, Path, Tensor]) -> None:
    params = BakeParams(network_dim=4, network_alpha=2, text_encoder_lr=0)
    assert started(base, file[0], params, tmp_path)[2] == ["notice_start_left"]
    (tmp_path / "second").mkdir()
    few = {n: t for n, t in elsewhere(inject(model_of(base), SAME)).items() if "attn1" in n}
    save_file(few, tmp_path / "few.safetensors")
    _, network, codes = started(base, tmp_path / "few.safetensors", SAME, tmp_path / "second")
    assert codes == ["notice_start_fresh"]
    fresh = [module for module in network.modules if "attn1" not in module.target.key]
    assert not any(module.up.any() for module in fresh)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        (BakeParams(network_dim=8, conv_dim=3), "lora_rank"),
        (BakeParams(network_dim=4, unet_lr=0, text_encoder_lr=0), "lora_nothing"),
    ],
)
def test_what_does_not_fit(
    base: Path, tmp_path: Path, file: tuple[Path, Path, Tensor], params: BakeParams, code: str
) -> None:
    with pytest.raises(EngineError) as caught:
        started(base, file[0], params, tmp_path)
    assert caught.value.info.code == code
    assert str(file[0]) in caught.value.info.message


@pytest.mark.parametrize(
    ("tensors", "code"),
    [
        ({"lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": [4, 32]}, "lora_family"),
        ({"lora_unet_mid_block_attentions_0_proj_in.hada_w1_a": [4, 32]}, "lora_kind"),
        ({"lora_unet_x.lora_down.weight": [4, 2], "lora_unet_x.dora_scale": [2, 1]}, "lora_dora"),
        ({"weight": [1]}, "lora_not"),
    ],
)
def test_what_cannot_be_gone_on_from(base: Path, tmp_path: Path, tensors: dict[str, Any], code: str) -> None:
    save_file({name: torch.zeros(shape) for name, shape in tensors.items()}, tmp_path / "a.safetensors")
    with pytest.raises(EngineError) as caught:
        started(base, tmp_path / "a.safetensors", SAME, tmp_path)
    assert caught.value.info.code == code


@pytest.mark.parametrize("odd", ["alpha 0", "alpha nan", "rank 0", "weight inf"])
def test_numbers_that_cannot_be_are_a_sentence(
    base: Path, tmp_path: Path, file: tuple[Path, Path, Tensor], odd: str
) -> None:
    tensors = load_file(file[0])
    key = next(name.removesuffix(".alpha") for name in tensors if name.endswith(".alpha"))
    down, up = tensors[f"{key}.lora_down.weight"], tensors[f"{key}.lora_up.weight"]
    match odd.split():
        case "alpha", value:
            tensors[f"{key}.alpha"] = torch.tensor(float(value))
        case "rank", _:
            tensors |= {f"{key}.lora_down.weight": down[:0], f"{key}.lora_up.weight": up[:, :0].contiguous()}
        case _:
            down.view(-1)[0] = float("inf")
    save_file(tensors, tmp_path / "a.safetensors")
    # A header does not tell of the weights themselves.
    look = read_start if odd != "weight inf" else lambda path, *_: load_start(path, inject(model_of(base), SAME))
    with pytest.raises(EngineError) as caught:
        look(tmp_path / "a.safetensors", "sd15", SAME)
    assert caught.value.info.code == "lora_broken"


def test_a_magnitude_means_what_it_means_here_or_is_refused(base: Path, tmp_path: Path) -> None:
    """On a square layer both have as many numbers: LyCORIS' [1, in] and [out, 1], PEFT's [out]."""
    params = BakeParams(network_dim=4, network_alpha=2, text_encoder_lr=0, use_dora=True)
    network = inject(model_of(base), params)
    square = next(m for m in network.modules if m.down.shape[1:] == m.up.shape[:1] and "attn1" in m.target.key)
    key, size = square.target.key, square.down.shape[1]
    plain = {name: tensor for name, tensor in network.tensors().items() if name.startswith(key)}
    marked = torch.arange(1.0, size + 1)
    file = tmp_path / "a.safetensors"
    save_file(plain | {f"{key}.dora_scale": marked[None]}, file)
    load_start(file, network)
    assert square.magnitude is not None
    assert torch.equal(square.magnitude.detach().flatten(), marked)
    peft = f"unet.{square.target.path}"
    halves = {f"{peft}.lora_A.weight": square.down.detach(), f"{peft}.lora_B.weight": square.up.detach()}
    for other in (
        plain | {f"{key}.dora_scale": marked[:, None].contiguous()},
        halves | {f"{peft}.lora_magnitude_vector": marked},
    ):
        save_file(other, file)
        with pytest.raises(EngineError) as caught:
            load_start(file, network)
        assert caught.value.info.code == "lora_kind"


def test_the_start_is_kept_with_the_run(base: Path, tmp_path: Path, file: tuple[Path, Path, Tensor]) -> None:
    """A resumed bake needs the sizes, but the file may be gone."""
    params = fields_of(BakeParams(dim_from_weights=True), tmp_path / "moved.safetensors")
    (tmp_path / "moved.safetensors").write_bytes(file[0].read_bytes())
    model, run = model_of(base), RunFolder(tmp_path)
    first = begin(run, model, params)
    (tmp_path / "moved.safetensors").unlink()
    again = begin(run, model, params)
    assert isinstance(again, Start)
    assert again == first
    assert again.sizes


def test_sdxl_in_the_names_of_diffusers(tmp_path: Path) -> None:
    """Some trainers write `lora_unet_down_blocks_…` for SDXL; the layers are the same."""
    path = tiny_sdxl(tmp_path / "xl")
    network = inject(model_of(path), SAME)
    tensors = elsewhere(network)
    names = {m.target.key: f"lora_unet_{m.target.path.replace('.', '_')}" for m in network.modules if m.part == "unet"}
    other = {
        names.get(n.partition(".")[0], n.partition(".")[0]) + "." + n.partition(".")[2]: t for n, t in tensors.items()
    }
    assert other.keys() != tensors.keys()
    save_file(other, tmp_path / "a.safetensors")
    assert load_start(tmp_path / "a.safetensors", network) == []
    for name, tensor in network.tensors().items():
        assert torch.equal(tensor, tensors[name])
