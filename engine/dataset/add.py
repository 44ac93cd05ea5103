"""Adds images to a dataset, and takes some out of it: each round is one batch that can be taken back.

What is there to be added, `sources` finds; how files change without risk, `edits` knows.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from engine.dataset import captions
from engine.dataset.decode import read_header
from engine.dataset.edits import TRASH, Edits, editing
from engine.dataset.listing import Listing, listing
from engine.dataset.names import fitting, printable, to_name
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.sidecar import ABSENT, BY_IMAGE, FOLDER
from engine.dataset.sources import Found, Notice, Refusal, Source, copy, copy_caption, find_sources
from engine.dataset.tell import Tell, silent
from engine.dataset.undo import take_back
from engine.protocol.datasets import Added, AddHow, AddReport
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.records import Finding

_GROUP = 32
"""Files that become visible together: one flush of the journal for all of them."""
_NAMED = 2000


class _Staged(NamedTuple):
    source: Source
    target: Path
    files: list[tuple[Path, Path]]
    renamed: bool
    links_to: str


def add(path: Path, names: list[str], *, how: AddHow = "copy", limit: int = 1000, tell: Tell = silent) -> AddReport:
    """Take the images of files, folders and archives into the dataset `path`, with their captions.

    Images that are there already (by content) are left out and named; a name that is taken becomes another one. Raises
    EngineError `dataset_busy`, `dataset_unwritable`, `dataset_not_folder` or `path_outside`, or `add_cancelled` when
    `tell` raises `cancelled`, and nothing is added then; trouble with single sources is in `skipped`.
    """
    root = Path(os.path.abspath(os.path.expanduser(path)))
    new = not os.path.lexists(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise EngineError("dataset_not_folder", path=printable(str(root))) from None
    except OSError as error:
        raise EngineError("dataset_unwritable", path=printable(str(root)), reason=error.strerror or error) from None
    before = _present(root)
    wanted = list(find_sources(names))
    adding = _Adding(root, before, how)
    try:
        with editing(root, "add") as edits, ExitStack() as open_archives:
            staging = edits.staging()
            try:
                adding.run(edits, staging, wanted, limit, tell, open_archives)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except EngineError as error:
        if error.info.code != "cancelled":
            raise
        _leave(root, adding, new)
        done, total = error.info.args["done"], error.info.args["total"]
        raise EngineError("add_cancelled", done=done, total=total) from None
    return adding.report()


def _leave(root: Path, adding: _Adding, new: bool) -> None:
    """Take back what a round that was ended had added: its files are copies or links of what the person has."""
    if adding.added:
        change, _, failed = take_back(root, "add")
        if not failed:
            shutil.rmtree(root / FOLDER / TRASH / change.batch, ignore_errors=True)
    if new and os.listdir(root) == [FOLDER]:
        shutil.rmtree(root, ignore_errors=True)


def _present(root: Path) -> Listing | None:
    try:
        return listing(root)
    except EngineError as error:
        if error.info.code == "dataset_empty":
            return None
        raise


class _Adding:
    def __init__(self, root: Path, before: Listing | None, how: AddHow) -> None:
        self.root = root
        self.how = how
        self.count = len(before.entries) if before else 0
        self.added: list[Added] = []
        self.skipped: list[Finding] = []
        self.notices: list[Finding] = []
        self._by_length: dict[int, list[tuple[Path, str]]] = {}
        self._by_content: dict[str, str] = {}
        self._stems: dict[Path, set[str]] = {}
        for entry in before.entries if before else ():
            with contextlib.suppress(OSError):
                path = root / entry.relative
                self._by_length.setdefault(path.stat().st_size, []).append((path, entry.name))

    def run(
        self,
        edits: Edits,
        staging: Path,
        wanted: Sequence[Found],
        limit: int,
        tell: Tell,
        archives: ExitStack,
    ) -> None:
        """Stage and place the sources in groups."""
        archive: tuple[Path, zipfile.ZipFile | None] | None = None
        group: list[_Staged] = []
        over = 0
        for number, source in enumerate(wanted, 1):
            if isinstance(source, Refusal):
                self._refuse(source.title, source.why)
            elif isinstance(source, Notice):
                self.notices.append(_finding(source.title, source.what))
            elif limit and self.count + len(group) >= limit:
                over += 1
            else:
                if source.entry and (archive is None or archive[0] != source.path):
                    archive = source.path, archives.enter_context(zipfile.ZipFile(source.path))
                staged = self._stage(staging / f"{number}.part", source, archive[1] if archive else None)
                if staged is not None:
                    group.append(staged)
            if len(group) == _GROUP:
                self._place(edits, group)
                group = []
            if number % 8 == 0 or number == len(wanted):
                tell(number, len(wanted))
        self._place(edits, group)
        if over:
            self._refuse("", describe("add_limit", limit=limit, count=over))

    def report(self) -> AddReport:
        """What was done."""
        return AddReport(
            path=printable(str(self.root)),
            added=len(self.added),
            images=self.count,
            files=self.added[:_NAMED],
            skipped=self.skipped[:_NAMED],
            skipped_count=len(self.skipped),
            notices=self.notices[:_NAMED],
        )

    def _stage(self, part: Path, source: Source, archive: zipfile.ZipFile | None) -> _Staged | None:
        """The source as files in the staging folder, None where it is not taken."""
        try:
            return self._staged(part, source, archive)
        except EngineError as error:
            part.unlink(missing_ok=True)
            self._refuse(source.title, error.info)
        except (OSError, ValueError) as error:
            part.unlink(missing_ok=True)
            reason = (isinstance(error, OSError) and error.strerror) or printable(str(error))
            self._refuse(source.title, describe("add_unreadable", file=source.title, reason=reason))
        return None

    def _staged(self, part: Path, source: Source, archive: zipfile.ZipFile | None) -> _Staged:
        links_to = ""
        if self.how == "in_place" and not source.entry:
            links_to = os.path.realpath(source.path)
            os.symlink(links_to, part)
        elif not (self.how == "link" and not source.entry and _linked(source.path, part)):
            copy(source, part, archive)
        read_header(part, source.title)
        digest = _content(part)
        twin = self._twin(part, digest)
        if twin:
            raise EngineError("add_duplicate", file=source.title, other=twin)
        target, renamed = self._free(source)
        self._by_content[digest] = self._name(target)
        words = part.with_suffix(".words")
        trouble = copy_caption(source, words, archive)
        if trouble is not None:
            self.notices.append(_finding(self._name(target), trouble))
        files = [(part, target)]
        if words.exists():
            ending = Path(source.caption_entry or source.caption or "").suffix
            files.insert(0, (words, target.with_suffix(ending)))
        return _Staged(source, target, files, renamed, links_to)

    def _free(self, source: Source) -> tuple[Path, bool]:
        """Where the source shall lie, and whether its name was taken: no two images share a stem, and so a caption."""
        folder = (self.root / source.relative).parent
        stem, ending = os.path.splitext(os.path.basename(source.relative))
        taken = self._stems.get(folder)
        if taken is None:
            present = os.listdir(folder) if folder.is_dir() else []
            taken = self._stems[folder] = {os.path.splitext(name)[0].casefold() for name in present}
        name, count = stem, 2
        while name.casefold() in taken:
            name, count = fitting(stem, f"-{count}"), count + 1
        taken.add(name.casefold())
        return folder / f"{name}{ending}", name != stem

    def _place(self, edits: Edits, group: list[_Staged]) -> None:
        if not group:
            return
        edits.create([pair for staged in group for pair in staged.files])
        links = {self._name(staged.target): staged.links_to for staged in group if staged.links_to}
        if links:
            edits.set_facts({"linked": links})
        for staged in group:
            name = self._name(staged.target)
            self.added.append(Added(file=name, source=staged.source.title))
            if staged.renamed:
                info = describe("add_renamed", file=staged.source.title, name=name)
                self.notices.append(_finding(name, info))
        self.count += len(group)

    def _name(self, path: Path) -> str:
        return to_name(str(path.relative_to(self.root)))

    def _twin(self, part: Path, digest: str) -> str:
        """The name of an image with the same bytes, "" for none. Files of another length are never read."""
        for path, name in self._by_length.pop(part.stat().st_size, ()):
            with contextlib.suppress(OSError):
                self._by_content.setdefault(_content(path), name)
        return self._by_content.get(digest, "")

    def _refuse(self, title: str, why: ErrorInfo) -> None:
        self.skipped.append(_finding(title, why))


def remove(dataset: Dataset, images: Sequence[ImageFile], tell: Tell = silent) -> tuple[int, list[Finding]]:
    """Put images and their captions into the dataset's trash, and forget their repeats, crops and marks.

    How many, and what failed. Raises EngineError `dataset_busy`, `dataset_unwritable` or `path_outside`.
    """
    failed: list[Finding] = []
    gone = {image.path for image in images}
    stems = {image.path.with_suffix("") for image in dataset.images if image.path not in gone}
    with editing(dataset.path, "remove") as edits:
        done: list[str] = []
        for number, image in enumerate(images, 1):
            caption = captions.caption_path(image.path)
            try:
                edits.drop(image.path, ["drop"])
                done.append(image.name)
                if captions.is_caption(caption) and image.path.with_suffix("") not in stems:
                    edits.drop(caption, ["drop"])
            except FileNotFoundError:
                failed.append(_finding(image.name, describe("image_missing", file=image.name)))
            except OSError as error:
                reason = error.strerror or str(error)
                info = describe("dataset_unwritable", path=printable(str(image.path.parent)), reason=reason)
                failed.append(_finding(image.name, info))
            tell(number, len(images))
        edits.set_facts({table: dict.fromkeys(done, ABSENT) for table in BY_IMAGE})
    return len(done), failed


def _linked(path: Path, target: Path) -> bool:
    """Whether a hard link could be made; across disks and on some of them it cannot."""
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError:
        return False
    return True


def _content(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _finding(file: str, info: ErrorInfo) -> Finding:
    return Finding(file=file, code=info.code, message=info.message, hint=info.hint, args=info.args)
