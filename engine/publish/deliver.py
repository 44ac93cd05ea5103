"""Publishes an epoch: gathers its files under their new names, then puts them where they go, all or none.

Texts are `card`'s, folders `places`', metadata `rename`'s, the network `hub`'s.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine import presets
from engine.drawing.sources import epoch_files
from engine.models.adapter import read_adapter
from engine.models.catalogue import list_models
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.events import Finished, Preview
from engine.protocol.files import DISK_FULL, atomic_write
from engine.protocol.journal import JournalReader
from engine.protocol.publishing import Published, PublishParams
from engine.publish import card, ledger
from engine.publish.places import Place, check_name, check_trigger, place
from engine.publish.rename import renamed
from engine.runs.folder import RunFolder, find

Tell = Callable[[int, int], None]
_PEOPLE = ("real", "2.5d")


def publish(asked: PublishParams, tell: Tell) -> Published:
    """Do it, or with `dry_run` only check it, and return what came of it.

    Raises EngineError: `draw_no_bake`, `epoch_missing`, a name, trigger or place that cannot be; `publish_taken`
    where something is in the way, `out_unwritable`, or one of the hub's.
    """
    run = find(asked.run)
    job = run.read_job()
    if job.kind not in ("bake", "fake"):
        raise EngineError("draw_no_bake", run=run.id)
    epoch, source = _epoch(run, asked.epoch)
    name = check_name(asked.name or job.name)
    adapter = read_adapter(source)
    trigger = adapter.metadata.get("modelspec.trigger_phrase", "") if asked.trigger is None else asked.trigger
    trigger = check_trigger(trigger)
    target = place(asked.to, name)
    facts = _facts(run, asked, epoch, name, trigger)
    data = renamed(source, {"ss_output_name": name, "modelspec.title": name, "modelspec.trigger_phrase": trigger})
    digest = _tensor_hash(data)
    facts = msgspec.structs.replace(facts, hash=digest)
    files = _files(run, target, facts, data)
    entry = Published(
        run=run.id,
        epoch=epoch,
        kind=target.kind,
        to=target.told,
        name=name,
        trigger=trigger,
        files=[file if target.kind == "hf" else str(target.folder / file) for file in files],
        taken=_taken(target, files),
        source_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
        sha256=hashlib.sha256(data).hexdigest(),
        hash=digest,
        licence=facts.licence,
        t=time.time(),
        notices=_notices(facts, job.preset, trigger),
        dry_run=asked.dry_run,
    )
    if asked.dry_run:
        return entry
    if entry.taken and not asked.overwrite:
        raise EngineError("publish_taken", path=entry.taken[0], count=len(entry.taken))
    if target.kind == "hf":
        from engine.publish.hub import upload

        url = upload(run, target.repository, files, overwrite=asked.overwrite, public=asked.public, tell=tell)
        entry = msgspec.structs.replace(entry, url=url)
    else:
        _write(target.folder, files, tell)
    entry = msgspec.structs.replace(entry, taken=[])
    ledger.note(run, entry)
    return entry


def _epoch(run: RunFolder, epoch: int | None) -> tuple[int, Path]:
    files = epoch_files(run, run.read_job())
    if epoch is None:
        epoch = best_of(run)
        epoch = epoch if epoch in files else max(files, default=0)
    if epoch not in files:
        there = ", ".join(map(str, files)) or "–"
        raise EngineError("epoch_missing", run=run.id, epoch=epoch, epochs=there)
    return epoch, files[epoch]


def best_of(run: RunFolder) -> int:
    """The epoch that the trainer's hint names, 0 for none."""
    found = [event for event in JournalReader(run.journal).read_all() if isinstance(event, Finished)]
    return found[-1].best if found else 0


def _facts(run: RunFolder, asked: PublishParams, epoch: int, name: str, trigger: str) -> card.Facts:
    job = run.read_job()
    adapter = read_adapter(epoch_files(run, job)[epoch])
    told = adapter.metadata
    known = presets.bases().get(job.base)
    row = next((row for row in list_models() if row.kind == "base" and row.name == job.base), None)
    manifest = run.read_manifest()
    drawn = {
        event.index: event.prompt
        for event in JournalReader(run.journal).read_all()
        if isinstance(event, Preview) and event.epoch == epoch
    }
    samples = [
        (f"previews/{index}.png", prompt)
        for index, prompt in sorted(drawn.items())
        if run.preview_file(epoch, index).is_file()
    ]
    return card.Facts(
        job=job,
        name=name,
        trigger=trigger,
        epoch=epoch,
        epochs=job.params.epochs,
        family=adapter.family,
        base=row.title if row is not None and row.title else Path(job.base).name,
        hub_base=(known.diffusers or known.hub) if known is not None else "",
        licence=known.licence if known is not None else "",
        commercial=known.commercial if known is not None else True,
        images=sum(not row.reg and not row.validation for row in manifest),
        rank=told.get("ss_network_dim", ""),
        alpha=told.get("ss_network_alpha", ""),
        steps=int(told["ss_steps"]) if re.fullmatch(r"\d{1,9}", told.get("ss_steps", "")) else 0,
        weight=asked.weight,
        samples=samples,
    )


def _files(run: RunFolder, target: Place, facts: card.Facts, data: bytes) -> dict[str, bytes]:
    """What is written, by its name in the destination; the LoRA last, so that it is never there without the rest."""
    previews = {
        file: run.preview_file(facts.epoch, int(Path(file).stem)).read_bytes() for file, _prompt in facts.samples
    }
    lora = {f"{facts.name}.safetensors": data}
    if target.kind == "folder":
        return lora
    if target.kind in ("a1111", "comfyui"):
        picture = {f"{facts.name}.png": content for content in list(previews.values())[:1]}
        return {f"{facts.name}.json": card.side_file(facts), **picture, **lora}
    texts = {"README.md": card.model_card(facts), "recipe.toml": card.recipe(facts)}
    return {**texts, **previews, **lora}


def _taken(target: Place, files: dict[str, bytes]) -> list[str]:
    """What is there already and is not just this."""
    if target.kind == "hf":
        return []
    there = [(target.folder / file, content) for file, content in files.items()]
    return [str(path) for path, content in there if path.exists() and not _same(path, content)]


def _same(path: Path, content: bytes) -> bool:
    try:
        return path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def _write(folder: Path, files: dict[str, bytes], tell: Tell) -> None:
    try:
        for done, (file, content) in enumerate(files.items()):
            tell(done, len(files))
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if not _same(path, content):
                atomic_write(path, content, mode=0o644)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise EngineError("publish_full", path=folder) from None
        raise EngineError("out_unwritable", path=folder, reason=error.strerror or error) from None
    tell(len(files), len(files))


def _notices(facts: card.Facts, preset: str, trigger: str) -> list[ErrorInfo]:
    rows = []
    if not facts.commercial:
        rows.append(describe("notice_non_commercial", base=facts.base, licence=facts.licence))
    elif facts.licence and facts.licence.lower() not in ("apache-2.0", "mit"):
        rows.append(describe("notice_licence", base=facts.base, licence=facts.licence))
    if preset.partition(".")[0] in _PEOPLE:
        rows.append(describe("notice_real_person"))
    if not trigger:
        rows.append(describe("notice_no_trigger"))
    return rows


def _tensor_hash(data: bytes) -> str:
    start = 8 + int.from_bytes(data[:8], "little")
    return hashlib.sha256(memoryview(data)[start:]).hexdigest()
