"""Which images a folder holds, by their names alone: any layout, in natural order, with the caption beside each.

Nothing is opened here, so that a list of thousands can be shown at once; what is in the files, `scan` reads.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engine.dataset import captions
from engine.dataset.decode import EXTENSIONS
from engine.dataset.names import inside, printable, to_name
from engine.dataset.sidecar import Sidecar, read_sidecar
from engine.protocol.errors import EngineError, ErrorInfo, describe

KOHYA_FOLDER = re.compile(r"(\d{1,4})_")
"""The folder of a repeat, as kohya's trainers want it."""
_NUMBER = re.compile(r"\d{1,18}")


class Entry(NamedTuple):
    """One image file: its name, its path below the dataset as the file system spells it, the repeat of its folder, and
    the ending of the caption file beside it ("" for none)."""

    name: str
    relative: str
    folder_repeat: int | None
    caption: str


class Listing(NamedTuple):
    """The images of a folder in natural order, LoRABake's facts about them, and what was found wrong on the way.

    `twins` are the paths of images that share a caption with another one."""

    root: Path
    entries: list[Entry]
    kept: Sidecar
    twins: frozenset[str]
    findings: list[ErrorInfo]


def listing(path: Path) -> Listing:
    """The images below `path`.

    Raises EngineError `dataset_missing`, `dataset_not_folder`, `dataset_unreadable` or `dataset_empty`.
    """
    root = checked(path)
    findings: list[ErrorInfo] = []
    try:
        kept = read_sidecar(root)
    except EngineError as error:
        kept = Sidecar()
        findings.append(error.info)
    try:
        entries = _unique(sorted(_walk(root, kept, findings), key=_natural))
    except OSError as error:
        raise folder_unreadable(root, error) from None
    if not entries:
        raise EngineError("dataset_empty", path=printable(str(root)))
    return Listing(root, entries, kept, _shared_captions(entries, findings), findings)


def checked(path: Path) -> Path:
    """The absolute path of a folder that exists; raises EngineErrors as `listing` does."""
    root = Path(os.path.abspath(os.path.expanduser(path)))
    try:
        if not root.exists():
            raise EngineError("dataset_missing", path=printable(str(root)))
        if not root.is_dir():
            raise EngineError("dataset_not_folder", path=printable(str(root)))
    except (OSError, ValueError) as error:
        raise folder_unreadable(root, error) from None
    return root


def folder_unreadable(path: Path, error: Exception) -> EngineError:
    """The EngineError `dataset_unreadable` for what the system said."""
    reason = (isinstance(error, OSError) and error.strerror) or str(error)
    return EngineError("dataset_unreadable", path=printable(str(path)), reason=reason)


def folder_of(name: str) -> str:
    """The folder of an image by its name, "." for the top."""
    return name.rpartition("/")[0] or "."


def folder_repeat(name: str, kept: Sidecar) -> int | None:
    """The repeat of an image's folder: of the nearest one that has any, set here or told by its name."""
    folder = name.rpartition("/")[0]
    while folder:
        if folder in kept.folder_repeats:
            return kept.folder_repeats[folder]
        match = KOHYA_FOLDER.match(folder.rpartition("/")[2])
        if match:
            return int(match[1])
        folder = folder.rpartition("/")[0]
    return kept.folder_repeats.get(".")


def _walk(root: Path, kept: Sidecar, findings: list[ErrorInfo]) -> Iterator[Entry]:
    """Every image file below `root`; hidden folders, links that lead outside and odd files are left out."""
    top = os.fspath(root)
    pending: list[tuple[str, int | None]] = [("", kept.folder_repeats.get("."))]
    while pending:
        relative, repeat = pending.pop()
        try:
            with os.scandir(os.path.join(top, relative)) as found:
                entries = list(found)
        except OSError as error:
            if not relative:
                raise
            findings.append(folder_unreadable(root / relative, error).info)
            continue
        words = {entry.name: entry for entry in entries if entry.name.endswith(captions.EXTENSIONS)}
        for entry in entries:
            own = entry.name
            if own[0] == "." or own == "__MACOSX":
                continue
            stem, dot, ending = own.rpartition(".")
            below = f"{relative}/{own}" if relative else own
            if entry.is_dir(follow_symlinks=False):
                match = KOHYA_FOLDER.match(own)
                said = int(match[1]) if match else repeat
                pending.append((below, kept.folder_repeats.get(to_name(below), said)))
            elif entry.is_symlink() and _leads_to_folder(entry):
                findings.append(describe("folder_link", path=printable(below)))
            elif f".{ending.lower()}" in EXTENSIONS and stem and dot:
                name = to_name(below)
                if entry.is_symlink() and not inside(root, Path(entry.path)) and not in_place(root, kept, name):
                    findings.append(describe("path_outside", path=printable(below), root=printable(top)))
                elif _is_file(entry, name, findings):
                    yield Entry(name, name if name == below else below, repeat, _caption_beside(stem, words))


def _leads_to_folder(link: os.DirEntry[str]) -> bool:
    try:
        return link.is_dir()
    except OSError:  # to itself
        return False


def _is_file(entry: os.DirEntry[str], name: str, findings: list[ErrorInfo]) -> bool:
    with contextlib.suppress(OSError):  # a link to itself
        if entry.is_file():
            return True
    findings.append(describe("image_not_file", file=name))
    return False


def in_place(root: Path, kept: Sidecar, name: str) -> bool:
    """Whether an image is a link that a person asked for, and still leads where it led."""
    target = kept.linked.get(name)
    return target is not None and os.path.realpath(root / name) == target


def _caption_beside(stem: str, words: dict[str, os.DirEntry[str]]) -> str:
    for extension in captions.EXTENSIONS:
        entry = words.get(stem + extension)
        # What the listing knows without asking the disk again; a link is looked at closely.
        if entry is not None and (
            entry.is_file(follow_symlinks=False) or (entry.is_symlink() and captions.is_caption(Path(entry.path)))
        ):
            return extension
    return ""


def _natural(entry: Entry) -> tuple[str, str]:
    """Sort key that puts 2.png before 10.png."""
    return _NUMBER.sub(lambda number: f"\1{number[0]:0>18}", entry.name.casefold()), entry.name


def _unique(entries: list[Entry]) -> list[Entry]:
    """Two spellings of one name (composed and decomposed) keep apart: the later one keeps its own spelling."""
    if len({entry.name for entry in entries}) == len(entries):
        return entries
    seen: set[str] = set()
    result = []
    for entry in entries:
        name = entry.name if entry.name not in seen else printable(entry.relative)
        if name not in seen:
            seen.add(name)
            result.append(entry._replace(name=name))
    return result


def _shared_captions(entries: list[Entry], findings: list[ErrorInfo]) -> frozenset[str]:
    stems = [entry.relative.rpartition(".")[0] for entry in entries]
    if len(set(stems)) == len(stems):
        return frozenset()
    first: dict[str, Entry] = {}
    twins: set[str] = set()
    for stem, entry in zip(stems, entries, strict=True):
        other = first.setdefault(stem, entry)
        if other is not entry:
            twins.update((other.relative, entry.relative))
            findings.append(describe("same_stem", file=entry.name, other=other.name))
    return frozenset(twins)
