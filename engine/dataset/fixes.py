"""The doctor's safe fixes, each undoable: what a bake would see anyway is written down, what it cannot use is put away.

What to fix, `checks` says; how a file is changed without risk, `edits` knows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from engine.dataset import captions
from engine.dataset.checks import FIXES, SUFFIXES, Diagnosis
from engine.dataset.edits import Edit, Edits, editing
from engine.dataset.encode import encode, plain
from engine.dataset.encodings import guess
from engine.dataset.names import printable
from engine.dataset.scan import ImageFile
from engine.dataset.tell import Tell, silent
from engine.dataset.undo import follow, take_back
from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.records import Finding, Fix, Fixed, FixReport

_WORKERS = 2
_AT_ONCE = 8
"""Pictures held in memory while they wait to be written."""
_NAMED = 5000
_PIXELS: frozenset[str] = frozenset({"rotate", "flatten", "reencode"})


class _Work(msgspec.Struct, frozen=True):
    """One image and everything that shall be done to it."""

    image: ImageFile
    fixes: list[Fix]


def fix(
    diagnosis: Diagnosis,
    *,
    codes: Sequence[str] = (),
    files: Sequence[str] = (),
    tell: Tell = silent,
) -> FixReport:
    """Mend every fixable finding, or only those of the named codes and images; one batch, undone as one.

    Raises EngineError `fix_unknown` for a code without a fix, `dataset_busy`, `path_outside` or
    `dataset_unwritable`; what goes wrong with one file is in `failed`, and that file is as it was.
    """
    for code in codes:
        if code not in FIXES:
            raise EngineError("fix_unknown", code=code, known=", ".join(sorted(FIXES)))
    work = _work(diagnosis, codes, files)
    done: list[Fixed] = []
    failed: list[Finding] = []
    if not work:
        return FixReport(count=0)
    with editing(diagnosis.dataset.path) as edits, ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        for start in range(0, len(work), _AT_ONCE):
            some = work[start : start + _AT_ONCE]
            for one, ready in zip(some, pool.map(lambda job: _prepared(job, diagnosis), some), strict=True):
                trouble = ready if isinstance(ready, ErrorInfo) else _apply(edits, one, ready, diagnosis)
                if trouble is None:
                    done.append(Fixed(file=one.image.name, fixes=one.fixes))
                else:
                    failed.append(_failure(one.image.name, trouble))
                tell(len(done) + len(failed), len(work))
    return FixReport(count=len(done), files=done[:_NAMED], failed=failed[:_NAMED])


def undo(root: Path, tell: Tell = silent) -> FixReport:
    """Take back the youngest round of fixes; files changed since are left alone and named in `failed`.

    Raises EngineError `undo_nothing`, `dataset_busy`, `path_outside` or `dataset_unwritable`.
    """
    _, edits, failed = take_back(root, "fix", tell)
    done = [_undone(edit) for edit in edits]
    return FixReport(count=len(done), files=done[:_NAMED], failed=failed[:_NAMED])


def _undone(edit: Edit) -> Fixed:
    return Fixed(file=edit.name, fixes=msgspec.convert(edit.fixes, list[Fix]))


def _work(diagnosis: Diagnosis, codes: Sequence[str], files: Sequence[str]) -> list[_Work]:
    images = {image.name: image for image in diagnosis.dataset.images}
    wanted: dict[str, list[Fix]] = {}
    for finding in diagnosis.findings:
        chosen = (not codes or finding.code in codes) and (not files or finding.file in files)
        if finding.fix and chosen and finding.file in images:
            fixes = wanted.setdefault(finding.file, [])
            if finding.fix not in fixes:
                fixes.append(finding.fix)
    return [_Work(images[name], ["drop"] if "drop" in fixes else fixes) for name, fixes in wanted.items()]


def _failure(name: str, info: ErrorInfo) -> Finding:
    return Finding(file=name, code=info.code, message=info.message, hint=info.hint, args=info.args)


def _prepared(work: _Work, diagnosis: Diagnosis) -> bytes | ErrorInfo | None:
    """The new bytes of an image whose pixels are fixed, None where they are not touched."""
    facts = diagnosis.facts[work.image.name]
    try:
        stat = os.stat(work.image.path)
        if "decode" not in work.fixes and (stat.st_size, stat.st_mtime_ns) != (facts.size, facts.mtime_ns):
            raise EngineError("file_changed", file=work.image.name)
        return encode(*plain(work.image), name=work.image.name) if _PIXELS.intersection(work.fixes) else None
    except EngineError as error:
        return error.info
    except OSError as error:
        reason = error.strerror or str(error)
        return EngineError("image_unreadable", file=work.image.name, reason=reason).info


def _apply(edits: Edits, work: _Work, data: bytes | None, diagnosis: Diagnosis) -> ErrorInfo | None:
    path = work.image.path
    try:
        if work.fixes == ["drop"]:
            _drop(edits, work.image, diagnosis)
            return None
        if "decode" in work.fixes:
            _decode(edits, path)
        if data is not None or "rename" in work.fixes:
            fixes = [name for name in work.fixes if name != "decode"]
            kind = diagnosis.facts[work.image.name].kind
            target = path.with_suffix(SUFFIXES[kind][0]) if "rename" in fixes else path
            edits.replace(path, data, target, list(fixes))
            if target != path:
                old, new = path.relative_to(edits.root), target.relative_to(edits.root)
                follow(edits.root, os.fsencode(old), os.fsencode(new))
    except EngineError as error:
        return error.info
    except OSError as error:
        reason = error.strerror or str(error)
        return EngineError("dataset_unwritable", path=printable(str(path.parent)), reason=reason).info
    return None


def _drop(edits: Edits, image: ImageFile, diagnosis: Diagnosis) -> None:
    edits.drop(image.path, ["drop"])
    caption = captions.caption_path(image.path)
    shared = any(
        other.path != image.path and other.path.with_suffix("") == image.path.with_suffix("") and other.path.exists()
        for other in diagnosis.dataset.images
    )
    if captions.is_caption(caption) and not shared:
        edits.drop(caption, ["drop"])


def _decode(edits: Edits, image: Path) -> None:
    path = captions.caption_path(image)
    reading = guess(path.read_bytes())
    if reading is None:
        raise EngineError("caption_undecodable", file=printable(path.name))
    edits.replace(path, reading.text.encode("utf-8"), path, ["decode"])
