"""A real bake on the embedded base: from the command line to a file that diffusers loads and that changes a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.protocol.events import Finished, Phase, Step, decode_event
from tests.cli.conftest import Lorabake

# A busy machine of two cores takes minutes where an idle one takes half of one.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path, dict[str, str]]:
    """The lines, the output folder and the demo's parts of one short bake."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("real")
    lorabake = Lorabake(folder / "home")
    parts: dict[str, str] = json.loads(lorabake.run("demo", "--where", "--json").stdout)
    dataset = folder / "mira"
    dataset.mkdir()
    for index, path in enumerate(sorted(Path(parts["dataset"]).rglob("*.png"))[:3]):
        Image.open(path).save(dataset / f"{index}.png")
        (dataset / f"{index}.txt").write_text(path.with_suffix(".txt").read_text(encoding="utf-8"), encoding="utf-8")
    words = ("--set", "epochs=2", "--set", "repeat=2", "--set", "preview_steps=2", "--set", "batch_size=2")
    done = lorabake.run(
        "bake", "--dataset", str(dataset), "--base", "demo", *words, "--out", str(folder / "out"), "--json", timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), folder / "out", parts


def test_the_stream_is_events_and_ends_with_finished(baked: tuple[list[str], Path, dict[str, str]]) -> None:
    lines, _out, _parts = baked
    events = [decode_event(line.encode()) for line in lines]
    assert None not in events
    assert [event.seq for event in events if event] == list(range(1, len(lines) + 1))
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.reason, last.epoch) == ("done", 2)
    plan = next(event.plan for event in events if isinstance(event, Phase) and event.plan)
    assert plan.image_views == 3 * 2 * 2
    steps = [event for event in events if isinstance(event, Step)]
    assert [step.step for step in steps] == list(range(1, plan.steps + 1))
    assert all(step.loss is not None for step in steps)


def test_out_holds_the_epochs(baked: tuple[list[str], Path, dict[str, str]]) -> None:
    _lines, out, _parts = baked
    assert sorted(path.name for path in out.glob("*.safetensors")) == ["mira-e01.safetensors", "mira-e02.safetensors"]


def test_the_file_loads_in_diffusers_and_changes_the_picture(baked: tuple[list[str], Path, dict[str, str]]) -> None:
    import numpy as np
    import torch
    from diffusers import StableDiffusionPipeline

    _lines, out, parts = baked
    pipe = StableDiffusionPipeline.from_pretrained(parts["base"], safety_checker=None, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)

    def picture() -> np.ndarray:
        drawn = pipe(
            "1girl, solo",
            num_inference_steps=2,
            guidance_scale=1.0,
            height=64,
            width=64,
            generator=torch.Generator().manual_seed(1),
            output_type="np",
        )
        return drawn.images[0]

    before, again = picture(), picture()
    assert np.array_equal(before, again)
    pipe.load_lora_weights(str(out), weight_name="mira-e02.safetensors")
    assert not np.array_equal(before, picture())
    pipe.unload_lora_weights()
    assert np.array_equal(before, picture())
