"""The state a bake resumes from: LoRA, optimizer, counters, as safetensors and JSON in the run's `state/`.

A generation is complete once its manifest exists, written last; the one before stays until the next is complete.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import safetensors.torch
from torch import Tensor

from engine.lora.packing import packed
from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_write, make_private_dir
from engine.runs.tuning import Change

_ENTRY_BYTES = 100
"""Of a tensor's entry in the header of a safetensors file, besides its name."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a bake stands.

    `step` optimizer steps are taken, `closed` epochs have their file, previews and validation; `elapsed` seconds of
    training over all boots; `threads` decides the order of sums on a processor; `fingerprint` names job and plan;
    `measured` is the held-out loss by epoch, `changes` what was set while it went on.
    """

    step: int = 0
    closed: int = -1
    elapsed: float = 0.0
    threads: int = 1
    fingerprint: str = ""
    scaler: dict[str, float] = {}
    measured: dict[int, float] = {}
    changes: list[Change] = []


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest: the progress and the sha256 of every file by name."""

    format: int = 1
    progress: Progress
    files: dict[str, str]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A state as read back: tensors by name, as `Network.tensors` and `optim.state_tensors` give them."""

    progress: Progress
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]


def save(folder: Path, progress: Progress, weights: dict[str, Tensor], optimizer: dict[str, Tensor]) -> int:
    """Write a generation and drop all but the one before it; returns its bytes. Raises OSError on a full disk."""
    make_private_dir(folder)
    serial = max((_serial(path) for path in folder.glob("state-*.json")), default=0) + 1
    files, size = {}, 0
    for part, tensors in (("weights", weights), ("optimizer", optimizer)):
        data = _pack(tensors)  # one after the other: with large ranks each is a good part of the memory
        name = f"{part}-{serial:06d}.safetensors"
        atomic_write(folder / name, data)
        files[name], size = hashlib.sha256(data).hexdigest(), size + len(data)
        del data
    generation = Generation(progress=progress, files=files)
    atomic_write(folder / f"state-{serial:06d}.json", msgspec.json.encode(generation))
    _drop_before(folder, serial - 1)
    return size


def size_of(*tensors: dict[str, Tensor]) -> int:
    """About how many bytes `save` writes of these."""
    return sum(value.nbytes + len(name) + _ENTRY_BYTES for named in tensors for name, value in named.items())


def latest(folder: Path) -> tuple[State | None, list[str]]:
    """The youngest intact state (None: there is none) and the names of younger ones that are not intact."""
    broken: list[str] = []
    for manifest in sorted(folder.glob("state-*.json"), key=_serial, reverse=True):
        try:
            return _read(folder, manifest), broken
        except (OSError, ValueError, KeyError, msgspec.DecodeError, safetensors.SafetensorError):
            broken.append(manifest.name)
    return None, broken


def check(run: str, progress: Progress, fingerprint: str, branched: str = "") -> None:
    """Raises EngineError `state_mismatch` when the state was made by another job or plan than this one, or than the
    one it was branched from."""
    if progress.fingerprint not in (fingerprint, branched or fingerprint):
        raise EngineError("state_mismatch", run=run, reason="it was saved under other parameters or images")


def _read(folder: Path, manifest: Path) -> State:
    generation = msgspec.json.decode(manifest.read_bytes(), type=Generation)
    parts: dict[str, dict[str, Tensor]] = {}
    for name, expected in generation.files.items():
        if Path(name).name != name:
            raise ValueError(name)
        data = (folder / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != expected:
            raise ValueError(name)
        parts[name.partition("-")[0]] = safetensors.torch.load(data)
    return State(progress=generation.progress, weights=parts["weights"], optimizer=parts["optimizer"])


def _pack(tensors: dict[str, Tensor]) -> bytes:
    return packed({name: value.detach().cpu().contiguous() for name, value in tensors.items()})


def _drop_before(folder: Path, serial: int) -> None:
    for path in folder.iterdir():
        if path.suffix in (".json", ".safetensors") and _serial(path) < serial:
            path.unlink(missing_ok=True)


def _serial(path: Path) -> int:
    digits = path.stem.rpartition("-")[2]
    return int(digits) if digits.isdigit() else 0
