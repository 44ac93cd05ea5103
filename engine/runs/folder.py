"""A run's folder: the path of everything in it, its job.toml, and finding a run by what a person calls it.

Which runs wait and in which order is `queue`; what a run has come to is `state`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import tomllib
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import msgspec
import tomli_w

from engine import home
from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_write, make_private_dir
from engine.protocol.records import Job, ManifestEntry

_SLUG_LENGTH = 32
_NAME_BYTES = 120
_STAGING = ".new-"


class RunFolder:
    """Every path of one run. Making an instance touches nothing on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        """The run's identifier is the name of its folder."""
        return self.path.name

    @property
    def job_toml(self) -> Path:
        """What was asked for; written once."""
        return self.path / "job.toml"

    @property
    def manifest_json(self) -> Path:
        """Every training image with hash, caption and repeat, as frozen at submit."""
        return self.path / "manifest.json"

    @property
    def journal(self) -> Path:
        """The events; only the process that holds `lock` appends."""
        return self.path / "events.jsonl"

    @property
    def history(self) -> Path:
        """The journal in brief; see `history`. Can be deleted."""
        return self.path / "history.bin"

    @property
    def control(self) -> Path:
        """What people asked of the live run; anybody appends."""
        return self.path / "control.jsonl"

    @property
    def console(self) -> Path:
        """Whatever the worker and its libraries printed."""
        return self.path / "console.log"

    @property
    def lock(self) -> Path:
        """Held by the live worker, and for a moment by the runner that closes a dead worker's journal."""
        return self.path / "lock"

    @property
    def ticket(self) -> Path:
        """Whether the run is to be started; see `queue`."""
        return self.path / "ticket.json"

    @property
    def measured_json(self) -> Path:
        """Of a bake that ended: its estimate beside the truth. Of a probe: the facts of the bake it stands for."""
        return self.path / "measured.json"

    @property
    def state_dir(self) -> Path:
        """The latest state to resume from."""
        return self.path / "state"

    def epoch_dir(self, epoch: int) -> Path:
        """What epoch `epoch` left behind; 0 is the untrained base."""
        return self.path / "epochs" / f"{epoch:02d}"

    def lora_file(self, epoch: int, name: str) -> Path:
        """The LoRA of an epoch; `name` is the job's name."""
        return self.epoch_dir(epoch) / f"{name}-e{epoch:02d}.safetensors"

    def preview_file(self, epoch: int, index: int) -> Path:
        """Preview picture `index` (from 1) of an epoch."""
        return self.epoch_dir(epoch) / f"preview-{index}.png"

    def relative(self, path: Path) -> str:
        """`path` as events name it: relative to the run's folder."""
        return path.relative_to(self.path).as_posix()

    def read_job(self) -> Job:
        """The job; raises EngineError `params_unreadable` when job.toml is missing, torn or foreign."""
        try:
            return msgspec.convert(tomllib.loads(self.job_toml.read_text("utf-8")), Job)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise EngineError("params_unreadable", path=self.job_toml, reason=error) from None

    def write_job(self, job: Job) -> None:
        """Freeze the job, as TOML that a person can read."""
        table = msgspec.to_builtins(job)
        if job.kind != "tag":
            del table["tagging"]
        if job.kind != "reg":
            del table["prompts"], table["count"]
        if not job.forecast.source:
            del table["forecast"]
        atomic_write(self.job_toml, tomli_w.dumps(table).encode("utf-8"))

    def read_manifest(self) -> list[ManifestEntry]:
        """The frozen images; [] for a run without a dataset."""
        try:
            return msgspec.json.decode(self.manifest_json.read_bytes(), type=list[ManifestEntry])
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as error:
            raise EngineError("params_unreadable", path=self.manifest_json, reason=error) from None

    def write_manifest(self, entries: list[ManifestEntry]) -> None:
        """Freeze the images."""
        atomic_write(self.manifest_json, msgspec.json.format(msgspec.json.encode(entries), indent=1) + b"\n")


def slug(name: str) -> str:
    """`name` as a part of a run id: ASCII letters, digits and single hyphens; "bake" when nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:_SLUG_LENGTH].strip("-") or "bake"


def safe_name(name: str) -> str:
    """`name` as a file stem on any system: letters of every script, digits and `-_. `; "bake" when empty."""
    kept = "".join(c if c.isalnum() or c in "-_. " else "_" for c in unicodedata.normalize("NFC", name))
    while len(kept.encode("utf-8")) > _NAME_BYTES:
        kept = kept[:-1]
    return kept.strip(" .-_") or "bake"


def unique_name(wanted: str, taken: set[str]) -> str:
    """`wanted`, or `wanted-2`, `wanted-3`, … : the first that is not taken (without regard to case)."""
    lowered = {name.casefold() for name in taken}
    name, count = wanted, 2
    while name.casefold() in lowered:
        name, count = f"{wanted}-{count}", count + 1
    return name


def free_name(wanted: str) -> str:
    """`wanted` made safe, and unique among the names of all runs."""
    taken = set()
    for run in all_runs():
        with contextlib.suppress(EngineError):
            taken.add(run.read_job().name)
    return unique_name(safe_name(wanted), taken)


def run_ids() -> list[str]:
    """The identifiers of all complete runs, oldest first."""
    with os.scandir(home.runs_dir()) as entries:
        return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False))


def run_folder(run: str) -> RunFolder:
    """The folder of the run with exactly this id."""
    return RunFolder(home.runs_dir() / run)


def all_runs() -> Iterator[RunFolder]:
    """Every run, oldest first."""
    root = home.runs_dir()
    return (RunFolder(root / run) for run in run_ids())


def staging_folder() -> RunFolder:
    """An empty folder that is no run yet; fill it, then `publish` it under its identifier."""
    return RunFolder(Path(tempfile.mkdtemp(prefix=_STAGING, dir=home.runs_dir())))


def sweep() -> None:
    """Remove what submitters left that were killed half-way. Call it under the queue's lock."""
    for left in home.runs_dir().glob(f"{_STAGING}*"):
        shutil.rmtree(left, ignore_errors=True)
    for part in home.home().glob(".queue.json.*.part"):
        part.unlink(missing_ok=True)


def reserve_id(name: str, when: str) -> str:
    """An unused identifier `when-slug`, with `-2`, `-3`, … where it is taken. Call it under the queue's lock."""
    root = home.runs_dir()
    return unique_name(f"{when}-{slug(name)}", {entry.name for entry in root.iterdir()})


def publish(staged: RunFolder, run: str) -> RunFolder:
    """Turn a filled staging folder into the run `run` in one rename."""
    final = make_private_dir(home.runs_dir()) / run
    os.rename(staged.path, final)
    return RunFolder(final)


def find(run: str) -> RunFolder:
    """The run that a person means: id, unique prefix of an id, name, or `last` (the youngest).

    Raises EngineError `run_unknown` or `run_ambiguous`.
    """
    ids = run_ids()
    root = home.runs_dir()
    if run == "last" and ids:
        return RunFolder(max((root / i for i in ids), key=_created))
    if run in ids:
        return RunFolder(root / run)
    matches = [i for i in ids if run and i.startswith(run)] or [i for i in ids if _name(root / i) == run]
    if not matches:
        raise EngineError("run_unknown", run=run)
    if len(matches) > 1:
        raise EngineError("run_ambiguous", run=run, matches=", ".join(matches[:5]))
    return RunFolder(root / matches[0])


def _created(path: Path) -> tuple[float, str]:
    """When it was asked for; a worker that only keeps a base warm for tests is nobody's last run."""
    try:
        job = RunFolder(path).read_job()
    except EngineError:
        return 0.0, path.name
    return (job.created if job.kind != "test" else 0.0), path.name


def _name(path: Path) -> str:
    try:
        return RunFolder(path).read_job().name
    except EngineError:
        return ""
