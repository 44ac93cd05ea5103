"""Looks at the previews of a finished bake with a tagger: how like the dataset each epoch is, how well it obeys.

Likeness is measured along the way from what the untouched base draws to what the dataset shows, both as the tagger's
probabilities: 0 is the base, 1 the dataset. What follows from the figures is `publish.judged`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.dataset.captions import split_tags
from engine.protocol.errors import EngineError
from engine.protocol.events import Preview
from engine.protocol.files import atomic_write
from engine.protocol.journal import JournalReader
from engine.protocol.records import ManifestEntry
from engine.publish.judged import FILE, Judged, Seen
from engine.runs.folder import RunFolder
from engine.tagging import contracts
from engine.tagging.contracts import Tagger
from engine.tagging.session import Session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]

_IMAGES = 48
"""So many images tell what a dataset is like; more only take time."""
_COMMON = 0.5
"""A tag in this share of the captions is a trait of the subject: its showing is likeness, not obedience."""
_TINY = 1e-6


def judge(run: RunFolder) -> Judged | None:
    """Measure, keep it with the run, return it; None without previews, dataset or a tagger that is on this machine.

    Raises EngineError where the tagger is broken.
    """
    job = run.read_job()
    pictures = _previews(run)
    entries = [row for row in run.read_manifest() if not row.reg and not row.validation]
    tagger = tagger_for(job.base)
    if tagger is None or not entries or 0 not in pictures or len(pictures) < 2:
        return None
    eye = Eye(tagger, entries)
    seen = {}
    base = eye.mean(path for path, _ in pictures[0])
    for epoch, rows in pictures.items():
        scores = eye.scores([path for path, _ in rows])
        seen[epoch] = Seen(
            likeness=eye.likeness(scores.mean(axis=0), base),
            obedience=eye.obedience(scores, [prompt for _, prompt in rows]),
        )
    found = Judged(tagger=tagger.name, epochs=seen)
    atomic_write(run.path / FILE, msgspec.json.encode(found) + b"\n")
    return found


def tagger_for(base: str) -> Tagger | None:
    """The embedded tagger for the embedded base, whose pictures no other knows; else the first one that is here."""
    for name in contracts.known():
        tagger = contracts.find(name)
        if tagger.present and (name == "demo") == (base == "demo"):
            return tagger
    return None


class Eye:
    """A tagger that knows a dataset."""

    def __init__(self, tagger: Tagger, entries: Sequence[ManifestEntry]) -> None:
        self._session = Session(tagger)
        self._general = [
            n for n, label in enumerate(self._session.labels) if label.category in ("general", "character")
        ]
        names = (self._session.labels[n].name.replace("_", " ").lower() for n in self._general)
        self._places = {name: place for place, name in enumerate(names)}
        step = max(1, len(entries) // _IMAGES)
        self._dataset = self.mean(Path(entry.file) for entry in entries[::step][:_IMAGES])
        captions = [{tag.lower() for tag in split_tags(entry.caption)} for entry in entries]
        tags = {tag for caption in captions for tag in caption}
        self._common = {tag for tag in tags if sum(tag in row for row in captions) >= _COMMON * len(captions)}

    def scores(self, paths: Sequence[Path]) -> Scores:
        """[pictures, tags]; raises EngineError for a picture that cannot be read."""
        from engine.tagging.pixels import square

        contract, side = self._session.tagger.contract, self._session.shape.side
        found: Scores = self._session.scores([square(path, contract, side) for path in paths])[:, self._general]
        return found

    def mean(self, paths: Iterable[Path]) -> Scores:
        """[tags]: the mean over pictures."""
        mean: Scores = self.scores(list(paths)).mean(axis=0)
        return mean

    def likeness(self, mean: Scores, base: Scores) -> float:
        """How far `mean` has come from `base` to the dataset."""
        way: Any = self._dataset - base
        return float((mean - base) @ way / max(_TINY, float(way @ way)))

    def obedience(self, scores: Scores, prompts: Sequence[str]) -> float:
        """The mean probability of what each prompt asks for beyond the subject itself; 0 where it asks for nothing
        that the tagger knows."""
        found = [
            float(row[self._places[tag]])
            for row, prompt in zip(scores, prompts, strict=True)
            for tag in {word.lower() for word in split_tags(prompt)} - self._common
            if tag in self._places
        ]
        return sum(found) / len(found) if found else 0.0


def _previews(run: RunFolder) -> dict[int, list[tuple[Path, str]]]:
    """File and prompt of every preview that is there, by epoch."""
    found: dict[int, dict[int, tuple[Path, str]]] = {}
    for event in JournalReader(run.journal).read_all():
        if isinstance(event, Preview) and Path(event.path).stem.startswith("preview-"):
            path = run.path / event.path
            if path.is_file():
                found.setdefault(event.epoch, {})[event.index] = (path, event.prompt)
    return {epoch: [rows[index] for index in sorted(rows)] for epoch, rows in sorted(found.items())}


def try_to_judge(run: RunFolder) -> None:
    """As `judge`; a bake is whole without it, so that no fault of a tagger or a picture is one of the bake."""
    try:
        judge(run)
    except (EngineError, OSError, ValueError, MemoryError) as error:
        print(f"the previews were not judged: {error}", flush=True)
