"""A published file as its readers find it: A1111's, ComfyUI's and kohya's rules, diffusers itself."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from engine.protocol.errors import EngineError
from engine.protocol.publishing import Published, PublishParams
from engine.publish import ledger
from engine.publish.deliver import publish
from tests.results.conftest import Bench


def put(to: str, **changes: Any) -> Published:
    return publish(
        PublishParams(run="last", to=to, **{"epoch": 2, "name": "red cat", "trigger": "nekomizu"} | changes), _quiet
    )


def _quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


def header_of(path: Path) -> tuple[dict[str, Any], int]:
    with open(path, "rb") as handle:
        (size,) = struct.unpack("<Q", handle.read(8))
        return json.loads(handle.read(size)), size


@pytest.fixture
def webui(tmp_path: Path) -> Path:
    folder = tmp_path / "stable-diffusion-webui"
    (folder / "models" / "Lora").mkdir(parents=True)
    return folder


def test_a1111_finds_it_under_its_name_and_takes_it_for_sd1(bench: Bench, webui: Path) -> None:
    done = put(f"a1111:{webui}")
    lora = webui / "models" / "Lora" / "red cat.safetensors"
    assert [Path(file) for file in done.files] == [lora.with_suffix(".json"), lora.with_suffix(".png"), lora]
    metadata = header_of(lora)[0]["__metadata__"]
    # Its rule: `sdxl_…` is SDXL, ss_v2 "True" SD2, any other metadata SD1.
    assert not metadata["ss_base_model_version"].startswith("sdxl_")
    assert metadata["ss_v2"] == "False"
    assert metadata["ss_output_name"] == "red cat"
    assert json.loads(metadata["ss_tag_frequency"])
    beside = json.loads(lora.with_suffix(".json").read_text("utf-8"))
    assert beside["activation text"] == "nekomizu"
    assert (beside["sd version"], beside["preferred weight"]) == ("SD1", 0.8)
    # The hash it shows is that of the tensors, and the file as a whole is what was told.
    data = lora.read_bytes()
    assert metadata["sshs_model_hash"] == done.hash == hashlib.sha256(data[8 + header_of(lora)[1] :]).hexdigest()
    assert done.sha256 == hashlib.sha256(data).hexdigest()


def test_comfyui_and_kohya_know_every_key(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "ComfyUI" / "models" / "loras").mkdir(parents=True)
    put(f"comfyui:{tmp_path / 'ComfyUI'}")
    path = tmp_path / "ComfyUI" / "models" / "loras" / "red cat.safetensors"
    header, size = header_of(path)
    assert size < 1 << 20
    tensors = {name: row for name, row in header.items() if name != "__metadata__"}
    modules = {name.partition(".")[0] for name in tensors}
    assert {name.split("_")[1] for name in modules} == {"unet", "te"}
    for module in modules:
        down, up = tensors[f"{module}.lora_down.weight"], tensors[f"{module}.lora_up.weight"]
        assert tensors[f"{module}.alpha"]["shape"] == []
        assert down["shape"][0] == up["shape"][1]
        # A text encoder's modules carry the level `text_model`, the U-Net's diffusers' names with underscores.
        assert module.startswith(
            (
                "lora_te_text_model_encoder_layers_",
                "lora_unet_down_blocks_",
                "lora_unet_up_blocks_",
                "lora_unet_mid_block_",
            )
        )
    assert len(tensors) == 3 * len(modules)


def test_only_names_and_hashes_differ_from_the_bakes_own_file(bench: Bench, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    from engine.lora.kohya import hashes, read

    put(str(tmp_path / "out"))
    mine, own = tmp_path / "out" / "red cat.safetensors", bench.run.lora_file(2, "tiny")
    tensors = load_file(mine)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in load_file(own).items())
    before, after = read(own).metadata, read(mine).metadata
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed <= {"ss_output_name", "modelspec.title", "modelspec.trigger_phrase", "sshs_legacy_hash"}
    # As the trainer would have worked them out.
    told = {name: value for name, value in after.items() if not name.startswith(("sshs", "modelspec.hash"))}
    assert hashes(tensors, told) == {name: after[name] for name in hashes(tensors, told)}


def test_diffusers_loads_it(bench: Bench, tmp_path: Path) -> None:
    from diffusers.loaders.lora_pipeline import StableDiffusionLoraLoaderMixin

    put(str(tmp_path / "out"))
    state, alphas = StableDiffusionLoraLoaderMixin.lora_state_dict(
        str(tmp_path / "out"), weight_name="red cat.safetensors"
    )
    assert any(name.startswith("unet.") for name in state)
    assert any(name.startswith("text_encoder.") for name in state)
    assert alphas


def test_a_bundle_has_card_recipe_and_previews_and_no_path_of_this_machine(bench: Bench, tmp_path: Path) -> None:
    import tomllib

    from engine.protocol import fields

    put(f"bundle:{tmp_path / 'out'}")
    folder = tmp_path / "out" / "red cat"
    recipe = tomllib.loads((folder / "recipe.toml").read_text("utf-8"))
    assert fields.build(recipe["params"]).epochs == 3
    card = (folder / "README.md").read_text("utf-8")
    assert "`nekomizu`" in card
    assert "<lora:red cat:0.8>" in card
    assert (folder / "previews" / "1.png").read_bytes() == bench.run.preview_file(2, 1).read_bytes()
    for text in (card, (folder / "recipe.toml").read_text("utf-8")):
        assert str(tmp_path) not in text


def test_nothing_is_written_over_unasked(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "red cat.safetensors").write_bytes(b"mine")
    assert put(str(out), dry_run=True).taken == [str(out / "red cat.safetensors")]
    with pytest.raises(EngineError) as raised:
        put(str(out))
    assert raised.value.info.code == "publish_taken"
    assert (out / "red cat.safetensors").read_bytes() == b"mine"
    assert ledger.published(bench.run) == []
    put(str(out), overwrite=True)
    # The very same again is no conflict.
    put(str(out))
    assert len(ledger.published(bench.run)) == 1


@pytest.mark.parametrize(
    ("to", "changes", "code"),
    [
        ("OUT", {"name": "a/b"}, "publish_name"),
        ("OUT", {"name": "a,b"}, "publish_name"),
        ("OUT", {"name": "a:b"}, "publish_name"),
        ("OUT", {"name": "…" * 200}, "publish_name"),
        ("OUT", {"trigger": "a\x1b[2J"}, "publish_trigger"),
        ("OUT", {"trigger": "<lora:x:1>"}, "publish_trigger"),
        ("OUT", {"epoch": 9}, "epoch_missing"),
        ("a1111:OUT", {}, "publish_no_ui"),
        ("comfyui:OUT", {}, "publish_no_ui"),
        ("bundle:", {}, "publish_place"),
    ],
)
def test_what_cannot_be_published_is_refused(bench: Bench, tmp_path: Path, to: str, changes: Any, code: str) -> None:
    with pytest.raises(EngineError) as raised:
        put(to.replace("OUT", str(tmp_path / "out")), **changes)
    assert raised.value.info.code == code
    assert not (tmp_path / "out").exists()


def test_reminders_of_licence_and_people(bench: Bench) -> None:
    import msgspec

    from engine.publish.card import Facts
    from engine.publish.deliver import _notices

    facts = Facts(job=bench.run.read_job(), name="a", trigger="a", epoch=1, epochs=3, family="sd15", base="GuoFeng3")
    nc = msgspec.structs.replace(facts, licence="cc-by-nc-sa-4.0", commercial=False)
    assert [info.code for info in _notices(nc, "real.sd15", "a")] == ["notice_non_commercial", "notice_real_person"]
    assert [info.code for info in _notices(facts, "anime", "")] == ["notice_no_trigger"]
