"""TensorBoard's files hold what the journal says; without their writer a sentence tells what to install."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path

import pytest
from PIL import Image

from engine.protocol import events
from engine.protocol.errors import EngineError
from engine.protocol.journal import JournalWriter
from engine.runs import board
from engine.runs.folder import RunFolder

HAS_WRITER = importlib.util.find_spec("tensorboardX") is not None


def journal(run: RunFolder) -> None:
    """Three steps, of which a resume took the third back, a held-out loss, a picture and one that is gone."""
    run.path.mkdir()
    Image.new("RGB", (8, 8), (200, 20, 20)).save(run.path / "one.png")
    writer = JournalWriter(run.journal, run.id)
    for step, loss in ((1, 0.5), (2, 0.4), (3, 0.9)):
        writer.emit(events.Step, step=step, epoch=1, loss=loss, lr={"unet": 1e-4})
    writer.emit(events.Resumed, step=2)
    writer.emit(events.Step, step=3, epoch=1, loss=0.25, lr={"unet": 5e-5}, grad_norm=2.0)
    writer.emit(events.Validation, step=3, epoch=1, loss=0.75)
    for name in ("one.png", "gone.png"):
        writer.emit(events.Preview, epoch=1, step=3, index=1, path=name, seed=1, prompt="mira")
    writer.close()


@pytest.mark.skipif(HAS_WRITER, reason="tensorboardX is installed")
def test_without_the_writer_it_says_what_to_install(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    journal(run)
    with pytest.raises(EngineError) as refused:
        board.write(run, tmp_path / "out")
    assert refused.value.info.code == "tensorboard_missing"
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not HAS_WRITER, reason="tensorboardX is an extra")
def test_every_number_and_picture_once(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    journal(run)
    assert board.write(run, tmp_path / "out") == 9
    (written,) = (tmp_path / "out").iterdir()
    numbers, pictures = _read(written)
    assert numbers == {
        ("loss/train", 1): 0.5,
        ("loss/train", 2): 0.4,
        ("loss/train", 3): 0.25,
        ("lr/unet", 1): 1e-4,
        ("lr/unet", 2): 1e-4,
        ("lr/unet", 3): 5e-5,
        ("gradient norm", 3): 2.0,
        ("loss/validation", 3): 0.75,
    }
    assert pictures == {("preview/1", 3): (8, 8)}


def _read(path: Path) -> tuple[dict[tuple[str, int], float], dict[tuple[str, int], tuple[int, int]]]:
    """The records of an event file: length, its checksum, an Event, its checksum."""
    from tensorboardX.proto.event_pb2 import Event  # type: ignore[import-not-found]

    numbers: dict[tuple[str, int], float] = {}
    pictures: dict[tuple[str, int], tuple[int, int]] = {}
    data = path.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        event = Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]
        for value in event.summary.value:
            # The writer spells blanks as underscores.
            key = value.tag.replace("_", " "), event.step
            if value.HasField("image"):
                pictures[key] = value.image.width, value.image.height
            else:
                numbers[key] = pytest.approx(value.simple_value)
    return numbers, pictures
