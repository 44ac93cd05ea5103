"""What goes wrong in a bake is a sentence, and nothing finished is lost."""

from __future__ import annotations

import itertools
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.protocol.errors import EngineError
from engine.protocol.events import Checkpoint, Error, Event, Phase, Resumed, Step, Warning
from engine.protocol.journal import JournalWriter
from engine.protocol.params import BakeParams
from engine.runs.folder import RunFolder
from engine.train import checkpoint, faults
from engine.train.report import SKIPPED_STEPS, Clock, Reporter
from tests.train.conftest import Kitchen, Straight, at_step, losses


def failure(kitchen: Kitchen, run: RunFolder, hook: Any = lambda run, event: None) -> tuple[str, list[Event]]:
    """The code a bake fails with, and its journal; the `error` event is the last one and says the same."""
    with pytest.raises(EngineError) as caught:
        kitchen.bake(run, hook)
    events = kitchen.events(run)
    assert isinstance(events[-1], Error)
    assert events[-1].error.code == caught.value.info.code
    return caught.value.info.code, events


def test_a_nonfinite_loss_stops_at_once_and_names_the_images(kitchen: Kitchen) -> None:
    run = kitchen.submit("run", unet_lr=10.0, max_grad_norm=0.0, lr_scheduler="constant", lr_warmup=0, epochs=20)
    code, events = failure(kitchen, run)
    assert code == "nonfinite_loss"
    last = [e for e in events if isinstance(e, Step)][-1]
    assert last.nonfinite or last.grad_norm is None
    error = events[-1]
    assert isinstance(error, Error)
    assert ".png" in error.error.message
    state, torn = checkpoint.latest(run.state_dir)
    if state is not None:
        assert not torn
        assert all(torch.isfinite(t).all() for t in state.weights.values())


def test_loss_scaling_may_skip_steps_but_not_all(tmp_path: Path) -> None:
    """In fp16 an infinite gradient now and then is normal; a bake that moves nothing any more is told."""
    journal = JournalWriter(tmp_path / "journal.jsonl", "run")
    report = Reporter(journal, Clock(0.0), scaled=True)

    def steps(count: int, norm: float) -> None:
        for step in range(count):
            numbers = torch.tensor([0.1, norm])
            report.step(step + 1, 1, numbers, {}, ["a.png"], params=BakeParams(), steps=1000)

    for _ in range(2):
        steps(SKIPPED_STEPS, math.inf)
        steps(1, 1.0)
    with pytest.raises(EngineError) as caught:
        steps(SKIPPED_STEPS + 2, math.nan)
    assert caught.value.info.code == "nonfinite_loss"
    assert "a.png" in caught.value.info.message


def test_a_torn_state_is_said_and_the_one_before_used(kitchen: Kitchen, straight: Straight) -> None:
    run, expected = kitchen.submit("run"), losses(kitchen.events(straight()))
    kitchen.bake(run, at_step(max(expected) // 2 + 2, "stop"))
    files = sorted(run.state_dir.glob("weights-*.safetensors"))
    assert len(files) == 2, "the generation before is kept"
    files[-1].write_bytes(files[-1].read_bytes()[:-1] + b"\x00")
    events = kitchen.bake(run)
    assert [e.code for e in events if isinstance(e, Warning)] == ["state_broken"]
    assert any(isinstance(e, Resumed) for e in events)
    assert losses(events) == expected


def test_without_any_intact_state_the_bake_starts_over(kitchen: Kitchen) -> None:
    run = kitchen.submit("run")
    whole = losses(kitchen.bake(run, at_step(3, "stop")))
    texts = itertools.cycle(("{}", '{"progress": {}, "files": {}}'))
    for file, text in zip(sorted(run.state_dir.glob("state-*.json")), texts, strict=False):
        file.write_text(text)
    events = kitchen.bake(run)
    assert losses(events).items() >= whole.items()


def test_foreign_files_in_out_are_left_alone(kitchen: Kitchen, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "tiny-e02.safetensors").write_text("mine")
    code, _ = failure(kitchen, kitchen.submit("run", out=str(out)))
    assert code == "out_exists"
    assert (out / "tiny-e02.safetensors").read_text() == "mine"


def test_out_gets_every_epoch_also_after_a_resume(kitchen: Kitchen, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    run = kitchen.submit("run", out=str(out), preview_every_epochs=1)
    kitchen.bake(run, at_step(12, "stop"))
    kitchen.bake(run)
    names = {f"tiny-e{e:02d}-preview-{i}.png" for e in range(3) for i in range(1, 5)}
    assert {p.name for p in out.iterdir()} == names | {"tiny-e01.safetensors", "tiny-e02.safetensors"}
    assert (out / "tiny-e02.safetensors").read_bytes() == run.lora_file(2, "tiny").read_bytes()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("can't allocate memory: 9 bytes"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_every_kind_of_memory_error_is_told(kitchen: Kitchen, error: Exception) -> None:
    run = kitchen.submit("run")
    journal = JournalWriter(run.journal, run.id)
    stage = faults.Stage(journal)
    stage.enter("train")
    with pytest.raises(EngineError) as caught, faults.journaled(run, run.read_job(), journal, stage):
        raise error
    assert caught.value.info.code == "out_of_memory"
    assert caught.value.info.args["phase"] == "train"
    assert "batch_size" in caught.value.info.hint
    last = kitchen.events(run)[-1]
    assert isinstance(last, Error)
    assert last.error == caught.value.info


def test_out_of_memory_keeps_the_finished_epochs_and_says_what_helps(kitchen: Kitchen) -> None:
    """The allocator itself refuses, in the second epoch."""
    run = kitchen.submit("run", batch_size=8, network_dim=64, repeat=3)

    def hook(run: RunFolder, event: Event) -> None:
        if isinstance(event, Step) and event.epoch == 2:
            torch.empty(1 << 46, dtype=torch.uint8)

    code, events = failure(kitchen, run, hook)
    assert code == "out_of_memory"
    last = events[-1]
    assert isinstance(last, Error)
    assert "batch_size = 4 (" in last.error.hint
    assert "gradient_checkpointing = true (" in last.error.hint
    assert run.lora_file(1, "tiny").exists()
    events = kitchen.bake(run)
    assert any(isinstance(event, Resumed) for event in events)
    assert run.lora_file(2, "tiny").exists()


@pytest.mark.parametrize(
    ("phase", "word", "other"),
    [("cache", "resolution = ", "batch_size"), ("baseline", "preview_every_epochs = 0", "batch_size")],
)
def test_what_helps_is_of_the_phase_in_which_memory_ran_out(
    kitchen: Kitchen, phase: str, word: str, other: str
) -> None:
    run = kitchen.submit("run", batch_size=8, resolution=256, preview_every_epochs=1)

    def hook(run: RunFolder, event: Event) -> None:
        if isinstance(event, Phase) and event.name == phase:
            torch.empty(1 << 46, dtype=torch.uint8)

    code, events = failure(kitchen, run, hook)
    assert code == "out_of_memory"
    assert isinstance(events[-1], Error)
    assert word in events[-1].error.hint
    assert other not in events[-1].error.hint


def test_an_image_that_changed_meanwhile_is_not_trained_on(kitchen: Kitchen) -> None:
    run = kitchen.submit("run")
    kitchen.bake(run, at_step(2, "stop"))
    shutil.rmtree(kitchen.home / "cache")
    (kitchen.dataset / "0.png").write_bytes(b"no picture")
    code, _ = failure(kitchen, run)
    assert code == "image_unreadable"


def test_latents_are_computed_once_and_never_stale(kitchen: Kitchen) -> None:
    short = {"epochs": 1, "repeat": 1}
    first = losses(kitchen.bake(kitchen.submit("first", **short)))
    folder = kitchen.home / "cache" / "latents"
    made = {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}
    assert len(made) == 5
    assert losses(kitchen.bake(kitchen.submit("again", **short))) == first
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")} == made
    victim = next(iter(made))
    victim.write_bytes(b"torn")
    assert losses(kitchen.bake(kitchen.submit("torn", **short))) == first
    kitchen.bake(kitchen.submit("larger", resolution=48, **short))
    assert len(list(folder.rglob("*.safetensors"))) > len(made), "another fit is another latent"


def test_nothing_to_train(kitchen: Kitchen) -> None:
    code, _ = failure(kitchen, kitchen.submit("run", unet_lr=0, text_encoder_lr=0))
    assert code == "nothing_to_train"


def test_a_disk_that_fills_up_while_writing_keeps_the_state_before(tmp_path: Path) -> None:
    weights = {"a": torch.zeros(4)}
    checkpoint.save(tmp_path, checkpoint.Progress(step=1), weights, {})
    (tmp_path / "weights-000002.safetensors").write_bytes(b"half")  # what a torn attempt leaves
    state, broken = checkpoint.latest(tmp_path)
    assert state is not None
    assert state.progress.step == 1
    assert not broken
    checkpoint.save(tmp_path, checkpoint.Progress(step=2), weights, {})
    assert [e.step for e in [checkpoint.latest(tmp_path)[0].progress]] == [2]  # type: ignore[union-attr]


def test_every_epoch_has_its_checkpoint_events(kitchen: Kitchen) -> None:
    run = kitchen.submit("run", epochs=3, save_every_epochs=2)
    events = kitchen.bake(run)
    epochs = [e for e in events if isinstance(e, Checkpoint) and e.kind == "epoch"]
    assert [e.epoch for e in epochs] == [2, 3], "every second one and the last"
    for event in epochs:
        assert (run.path / event.path).stat().st_size == event.bytes


def test_a_module_dropout_that_leaves_everything_out_is_a_step_without_change(kitchen: Kitchen) -> None:
    """Peers die here: nothing of such a step has a gradient."""
    run = kitchen.submit("run", unet_lr=0, module_dropout=0.97, gradient_accumulation=2, epochs=1)
    events = kitchen.bake(run)
    assert None not in losses(events).values()
    assert any(event.grad_norm == 0 for event in events if isinstance(event, Step))
    assert run.lora_file(1, "tiny").exists()
