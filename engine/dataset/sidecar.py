"""LoRABake's own facts about a dataset, in `<dataset>/.lorabake/dataset.json`: repeats, crops, marks, mirrored views.

Every change is one atomic write under a lock, so two viewers never lose each other's work. How a change is taken
back, `edits` knows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from engine.dataset.names import inside, printable
from engine.protocol.errors import EngineError
from engine.protocol.files import Lock, atomic_write, make_private_dir
from engine.protocol.records import Crop

FOLDER = ".lorabake"
MAX_REPEAT = 5000

# A POSIX lock keeps other processes out, this one the other threads of ours.
_threads = threading.Lock()


Repeat = Annotated[int, msgspec.Meta(ge=0, le=MAX_REPEAT)]


class Sidecar(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """By image name: `repeats`, its own repeat (0 leaves the image out of bakes), `crops`, the part that trains,
    `flips`, how often it trains mirrored as well (None: as often as itself), `marks`, its letters, and `linked`, where
    a file that was added in place really lies. `folder_repeats` are by folder ("." for the top), `mark_repeats` by
    letter."""

    version: int = 1
    repeats: dict[str, Repeat] = {}
    crops: dict[str, Crop] = {}
    flips: dict[str, Repeat | None] = {}
    marks: dict[str, str] = {}
    folder_repeats: dict[str, Repeat] = {}
    mark_repeats: dict[str, Repeat] = {}
    linked: dict[str, str] = {}


BY_IMAGE = ("repeats", "crops", "flips", "marks", "linked")
"""The tables that are keyed by the name of an image."""

Facts = Mapping[str, Mapping[str, Any]]
"""Table → name → value, `ABSENT` for none."""

ABSENT = "absent"
"""Stands for no entry, since None means something in `flips`; no table holds this word as a value."""


# Worked out here, under the import lock: two threads doing that at once bring the process down (msgspec).
msgspec.json.Decoder(Sidecar)


def sidecar_path(dataset: Path) -> Path:
    """Where the facts of a dataset are kept."""
    return dataset / FOLDER / "dataset.json"


def read_sidecar(dataset: Path) -> Sidecar:
    """The facts kept for a dataset, empty ones when there are none; raises EngineError `sidecar_unreadable`."""
    path = sidecar_path(dataset)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Sidecar)
    except FileNotFoundError:
        return Sidecar()
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from None


def set_repeat(dataset: Path, images: list[str], repeat: int | None) -> None:
    """Give the named images their own repeat (0 leaves them out), or take it away with None.

    Raises EngineError `param_invalid`, `dataset_unwritable`, `path_outside` when the sidecar is a link that leads
    elsewhere, or `sidecar_unreadable` (the broken file is kept).
    """
    if repeat is not None and not 0 <= repeat <= MAX_REPEAT:
        raise EngineError("param_invalid", name="repeat", value=repeat, allowed=f"0 … {MAX_REPEAT}")

    def changed(before: Sidecar) -> Sidecar:
        repeats = {**before.repeats}
        for name in images:
            if repeat is None:
                repeats.pop(name, None)
            else:
                repeats[name] = repeat
        return msgspec.structs.replace(before, repeats=dict(sorted(repeats.items())))

    change(dataset, changed)


def set_crops(dataset: Path, crops: Mapping[str, Crop | None]) -> None:
    """Give the named images these crops, or take them away with None; raises EngineErrors as `set_repeat` does."""

    def changed(before: Sidecar) -> Sidecar:
        after = {name: crop for name, crop in {**before.crops, **crops}.items() if crop is not None}
        return msgspec.structs.replace(before, crops=dict(sorted(after.items())))

    change(dataset, changed)


def move(dataset: Path, old: str, new: str) -> None:
    """What is known of the image `old` is known of `new` from now on; raises EngineErrors as `set_repeat` does."""

    def changed(before: Sidecar) -> Sidecar:
        tables = {
            table: {new if name == old else name: value for name, value in getattr(before, table).items()}
            for table in BY_IMAGE
        }
        return msgspec.structs.replace(before, **tables)

    change(dataset, changed)


def current(kept: Sidecar, facts: Facts) -> dict[str, dict[str, Any]]:
    """What stands now in the places that `facts` would change."""
    return {table: {name: getattr(kept, table).get(name, ABSENT) for name in values} for table, values in facts.items()}


def with_facts(kept: Sidecar, facts: Facts) -> Sidecar:
    """The facts with these values in their places; raises msgspec.ValidationError for a value that cannot be one."""
    plain = msgspec.to_builtins(kept)
    for table, values in facts.items():
        merged = {**plain.get(table, {}), **{name: msgspec.to_builtins(value) for name, value in values.items()}}
        plain[table] = dict(sorted((name, value) for name, value in merged.items() if value != ABSENT))
    return msgspec.convert(plain, Sidecar)


def change(dataset: Path, changed: Callable[[Sidecar], Sidecar]) -> None:
    """Replace the facts by what `changed` makes of them; raises EngineErrors as `set_repeat` does."""
    path = sidecar_path(dataset)
    lock = Lock(path.parent / "lock")
    for part in (path.parent, path, lock.path):
        if not inside(dataset, part):
            raise EngineError("path_outside", path=printable(str(part)), root=printable(str(dataset)))
    try:
        with _threads:
            make_private_dir(path.parent)
            with lock:
                before = read_sidecar(dataset)
                after = changed(before)
                if after != before:
                    atomic_write(path, msgspec.json.format(msgspec.json.encode(after), indent=1) + b"\n")
    except OSError as error:
        raise EngineError(
            "dataset_unwritable", path=printable(str(dataset)), reason=error.strerror or str(error)
        ) from None


def _unreadable(path: Path, reason: str) -> EngineError:
    return EngineError("sidecar_unreadable", path=printable(str(path)), reason=reason)
