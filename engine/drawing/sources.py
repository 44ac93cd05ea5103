"""Which file a person means by a run, an epoch, a path or the name in `<lora:…>`. Torch-free."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from pathlib import Path

import msgspec

from engine import home
from engine.models.adapter import read_adapter
from engine.models.catalogue import list_models
from engine.protocol.drawing import LoraUse
from engine.protocol.errors import EngineError
from engine.protocol.records import Job
from engine.runs import folder as folders
from engine.runs.folder import RunFolder, safe_name

_EPOCH_FILE = re.compile(r"-e(\d+)\.safetensors")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What a test is of: a run and its epochs, or a file alone, or nothing but a base."""

    run: RunFolder | None = None
    job: Job | None = None
    epochs: dict[int, Path] = {}
    file: Path | None = None
    told: str = ""


def epoch_files(run: RunFolder, job: Job) -> dict[int, Path]:
    """The LoRA files of a run that are still there, by epoch."""
    found = {}
    for path in sorted(run.path.glob("epochs/*/*.safetensors")):
        match = _EPOCH_FILE.search(path.name)
        if match and path.name.startswith(safe_name(job.name)):
            found[int(match[1])] = path
    return found


def source(word: str) -> Source:
    """The run or file that is meant; raises EngineError `run_unknown`, `run_ambiguous`, `draw_no_bake`, `lora_not`."""
    if not word:
        return Source()
    if os.sep in word or word.endswith(".safetensors"):
        path = Path(os.path.abspath(Path(word).expanduser()))
        inside = _run_of(path)
        if inside is not None:
            return msgspec.structs.replace(inside, file=path)
        read_adapter(path)
        return Source(file=path, told=str(path))
    run = folders.find(word)
    return of_run(run)


def of_run(run: RunFolder) -> Source:
    """A run as a source; raises EngineError `draw_no_bake` where it bakes nothing."""
    job = run.read_job()
    if job.kind not in ("bake", "fake"):
        raise EngineError("draw_no_bake", run=run.id)
    return Source(run=run, job=job, epochs=epoch_files(run, job), told=run.id)


def _run_of(path: Path) -> Source | None:
    root = home.runs_dir()
    if root in path.parents and path.exists():
        return of_run(RunFolder(root / path.relative_to(root).parts[0]))
    return None


def epoch_of(found: Source, epoch: int | None) -> Path | None:
    """The file of an epoch (None: the file named, else the last); None for 0, the base alone.

    Raises EngineError `epoch_missing`.
    """
    if epoch is None:
        if found.file is not None:
            return found.file
        epoch = max(found.epochs, default=-1 if found.run is not None else 0)
    if epoch == 0:
        return None
    if epoch not in found.epochs:
        there = ", ".join(map(str, found.epochs)) or "–"
        raise EngineError("epoch_missing", run=found.told, epoch=max(epoch, 0), epochs=there)
    return found.epochs[epoch]


def named_lora(word: str) -> Path:
    """The file of a LoRA by its path, or by its name: of an epoch's file, of a run (its last epoch), of a file in
    models/loras. Raises EngineError `lora_name`."""
    if os.sep in word:
        path = Path(os.path.abspath(Path(word).expanduser()))
        for one in (path, path.with_name(path.name + ".safetensors")):
            if one.is_file():
                return one
        raise EngineError("lora_name", name=word)
    plain = word.removesuffix(".safetensors")
    for run in reversed(list(folders.all_runs())):
        for path in run.path.glob("epochs/*/*.safetensors"):
            if path.stem == plain:
                return path
    own = home.models_dir() / "loras" / f"{plain}.safetensors"
    if own.is_file():
        return own
    try:
        found = of_run(folders.find(plain))
    except EngineError:
        found = Source()
    if found.epochs:
        return found.epochs[max(found.epochs)]
    raise EngineError("lora_name", name=word)


def use(path: Path, weight: float, te_weight: float | None = None) -> LoraUse:
    """The file with its hash as of now; raises EngineError `lora_broken`."""
    try:
        stat = path.stat()
        digest = _sha256(str(path), stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise EngineError("lora_broken", path=path, reason=error.strerror or error) from None
    return LoraUse(path=str(path), weight=weight, te_weight=te_weight, name=path.stem, sha256=digest)


@functools.lru_cache(maxsize=256)
def _sha256(path: str, _size: int, _changed: int) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def base_of(path: Path) -> str:
    """The base model that a file says it was made on, if that is on this machine; "" where it cannot be told."""
    told = read_adapter(path).metadata.get("ss_sd_model_name", "")
    rows = [row for row in list_models() if row.kind == "base" and row.present]
    match = [row.name for row in rows if told and told in (row.name, Path(row.path).name)]
    return match[0] if match else ""
