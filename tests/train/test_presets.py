"""Every shipped preset trains: two real steps on a tiny base of its family, which is loaded once.

Without `--full` every preset is estimated, and of each line of models only some train.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from engine.estimate import estimate
from engine.lora import kohya
from engine.models.load import load_model
from engine.models.model import DiffusionModel
from engine.presets import list_presets, resolve
from engine.protocol import fields
from engine.protocol.events import Finished, Step
from engine.protocol.messages import EstimateParams
from engine.protocol.params import BakeParams
from engine.protocol.records import ModelRow
from tests.tiny import tiny_dataset, tiny_sdxl
from tests.train.conftest import Kitchen

SMALL: dict[str, Any] = {"resolution": 32, "epochs": 1, "repeat": 1, "batch_size": 1, "preview_every_epochs": 0}
"""What makes two steps of two images of it; everything else is the preset's own."""


@pytest.fixture(scope="module")
def bases(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {"sd15": base, "sdxl": tiny_sdxl(tmp_path_factory.mktemp("xl") / "tiny-xl")}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home and a dataset for all: each picture is encoded once per base."""
    folder = tmp_path_factory.mktemp("presets")
    tiny_dataset(folder / "dataset", images=2)
    return folder


@pytest.fixture(scope="module")
def loaded() -> dict[tuple[object, ...], DiffusionModel]:
    return {}


def _trained(name: str, *, full: bool) -> bool:
    """Whether to train it: always with `--full`, else anime of every line of models, and what is set up otherwise."""
    return full or name.split(".")[0] in ("anime", "demo") or name == "style.sdxl"


@pytest.mark.parametrize("name", [row.name for row in list_presets()])
def test_a_preset_estimates_and_trains(
    name: str,
    request: pytest.FixtureRequest,
    bases: dict[str, Path],
    loaded: dict[tuple[object, ...], DiffusionModel],
    shared: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(shared / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def load_once(path: Path, **how: Any) -> DiffusionModel:
        key = (path, *(str(value) for value in how.values()))
        if key not in loaded:
            loaded[key] = load_model(path, **how)
        return copy.deepcopy(loaded[key])

    monkeypatch.setattr("engine.train.setup.load_model", load_once)
    family = next(row.family for row in list_presets() if row.name == name)
    kitchen = Kitchen(shared / "home", bases[family], shared / "dataset")
    row = resolve(name, ModelRow(name="x", kind="base", family=family), 2)
    params = fields.build(row.params)
    asked = EstimateParams(dataset=str(kitchen.dataset), base=str(kitchen.base), params=row.params | SMALL)
    found = estimate(asked, device="CPU")
    assert (found.optimizer_steps, found.image_views) == (2, 2)
    assert found.seconds
    assert found.memory_bytes
    if not _trained(name, full=request.config.getoption("--full")):
        return
    run = kitchen.submit(name, **{n: getattr(params, n) for n in fields.fields()} | SMALL)
    events = kitchen.bake(run)
    assert isinstance(events[-1], Finished)
    assert (events[-1].reason, events[-1].step) == ("done", 2)
    assert all(event.loss is not None for event in events if isinstance(event, Step))
    told = json.loads(kohya.read(run.lora_file(1, "tiny")).metadata["lorabake_params"])
    assert told.keys() == set(BakeParams.__struct_fields__), "each parameter stands in the file's metadata"
    assert all(told[key] == value for key, value in row.params.items() if key not in SMALL)
