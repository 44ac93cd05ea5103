"""What a LoRA file tells a person: its layers in numbers, its metadata in facts, its hash checked. Torch-free.

Metadata is whatever its maker wrote: every value is read as if it were hostile, and shortened.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from engine.dataset.names import printable
from engine.models.adapter import HEADER_LIMIT, PARTS, Adapter, Layer, read_adapter
from engine.models.sniff import header_of
from engine.protocol.adapters import LoraFolder, LoraInfo, LoraPart
from engine.protocol.errors import ErrorInfo, describe

_LINE = 300
_TAGS = 20
_FOLDERS = 50
_VERSIONS = {"sd15": "sd_", "sdxl": "sdxl"}


def lora_info(path: Path) -> LoraInfo:
    """Everything about the LoRA at `path`; reads the file once, to check its hash.

    Raises EngineError as `read_adapter`, and `lora_broken` for a file that cannot be read to its end.
    """
    adapter = read_adapter(path)
    told = adapter.metadata
    hashed = _sha256(path, 8 + adapter.header_bytes)
    stored = (told.get("sshs_model_hash") or told.get("modelspec.hash_sha256", "")).lower().removeprefix("0x")
    resolution = _resolution(told)
    return LoraInfo(
        path=printable(str(path)),
        bytes=path.stat().st_size,
        kind=adapter.kind,
        dialect=adapter.dialect,
        family=adapter.family,
        dtype=_text(adapter.dtype),
        parameters=_count(path),
        parts=[_part(name, rows) for name in PARTS if (rows := [x for x in adapter.layers if x.part == name])],
        dora=any(layer.dora for layer in adapter.layers),
        hash=hashed,
        hash_state="none" if not stored else "ok" if stored == hashed else "differs",
        header_bytes=adapter.header_bytes,
        title=_first(told, "ss_output_name", "modelspec.title"),
        trigger=_first(told, "modelspec.trigger_phrase", "trained_words"),
        base=_first(told, "ss_sd_model_name"),
        base_version=_first(told, "ss_base_model_version", "modelspec.architecture"),
        base_hash=_first(told, "ss_new_sd_model_hash", "ss_sd_model_hash"),
        prediction=_first(told, "modelspec.prediction_type"),
        resolution=resolution,
        clip_skip=_first(told, "ss_clip_skip", "modelspec.encoder_layer"),
        epoch=_whole(told.get("ss_epoch")),
        epochs=_whole(told.get("ss_num_epochs")),
        steps=_whole(told.get("ss_steps")),
        images=_whole(told.get("ss_num_train_images")),
        reg_images=_whole(told.get("ss_num_reg_images")),
        batch_size=_first(told, "ss_total_batch_size", "ss_batch_size_per_device"),
        unet_lr=_first(told, "ss_unet_lr", "ss_learning_rate"),
        text_encoder_lr=_first(told, "ss_text_encoder_lr"),
        optimizer=_first(told, "ss_optimizer"),
        scheduler=_first(told, "ss_lr_scheduler"),
        seed=_first(told, "ss_seed"),
        comment=_first(told, "ss_training_comment", "modelspec.description"),
        made_by=_first(told, "modelspec.implementation_version", "ss_sd_scripts_commit_hash", "software"),
        finished=_real(told.get("ss_training_finished_at")),
        folders=_folders(told.get("ss_dataset_dirs")),
        reg_folders=_folders(told.get("ss_reg_dataset_dirs")),
        tags=_tags(told.get("ss_tag_frequency")),
        metadata=len(told),
        problems=_problems(adapter),
    )


def _part(name: str, layers: list[Layer]) -> LoraPart:
    plain = [layer for layer in layers if layer.kernel == 1]
    large = [layer for layer in layers if layer.kernel > 1]
    return LoraPart(
        part=name,
        modules=len(layers),
        ranks=_often(layer.rank for layer in plain),
        alphas=_often(layer.alpha for layer in plain),
        convolutions=len(large),
        conv_ranks=_often(layer.rank for layer in large),
        conv_alphas=_often(layer.alpha for layer in large),
    )


def _problems(adapter: Adapter) -> list[ErrorInfo]:
    rows: list[ErrorInfo] = []
    plain = [layer for layer in adapter.layers if layer.kind == "LoRA"]
    if unpaired := [x for x in plain if not {"down", "up"} <= x.tensors.keys()]:
        rows.append(describe("lora_unpaired", count=len(unpaired), first=_text(unpaired[0].module)))
    if silent := [layer for layer in plain if layer.alpha is None]:
        rows.append(describe("lora_no_alpha", count=len(silent)))
    if adapter.header_bytes > HEADER_LIMIT:
        rows.append(describe("lora_header", kib=adapter.header_bytes // 1024))
    version = adapter.metadata.get("ss_base_model_version", "")
    wanted = _VERSIONS.get(adapter.family, "")
    if adapter.metadata and wanted and not version.startswith(wanted):
        rows.append(describe("lora_version", family=adapter.family, version=_text(version) or "-"))
    if adapter.unknown:
        rows.append(describe("lora_unknown", count=len(adapter.unknown), first=_text(min(adapter.unknown))))
    return rows


def _sha256(path: Path, start: int) -> str:
    with open(path, "rb") as handle:
        handle.seek(start)
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _count(path: Path) -> int:
    """How many numbers the tensors hold; alphas included."""
    total = 0
    for name, row in header_of(path).items():
        shape = row.get("shape") if name != "__metadata__" else None
        if isinstance(shape, list) and all(isinstance(side, int) for side in shape):
            total += math.prod(shape)
    return total


def _often(values: Iterable[Any]) -> list[Any]:
    """The values that occur, commonest first, at most eight."""
    return [value for value, _ in Counter(values).most_common(8)]


def _first(told: dict[str, str], *names: str) -> str:
    """The first of these that says something."""
    for name in names:
        value = told.get(name, "")
        if value not in ("", "None", "null"):
            return _text(value)
    return ""


def _text(value: object) -> str:
    # A JSON header can spell half a surrogate pair, which no line to a viewer may hold.
    line = str(value)[: 4 * _LINE].encode("utf-8", "backslashreplace").decode().strip()
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"


def _whole(value: object) -> int:
    number = _real(value)
    return int(number) if 0 <= number < 1e15 else 0


def _real(value: object) -> float:
    try:
        number = float(str(value)[:40])
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _json(text: str | None) -> dict[str, Any]:
    # msgspec refuses what is nested too deep with an error of its own in place of an endless recursion.
    try:
        value = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _folders(text: str | None) -> list[LoraFolder]:
    rows = []
    for name, facts in list(_json(text).items())[:_FOLDERS]:
        if isinstance(facts, dict):
            images, repeats = _whole(facts.get("img_count")), _whole(facts.get("n_repeats"))
            rows.append(LoraFolder(name=_text(name), images=images, repeats=repeats))
    return rows


def _tags(text: str | None) -> dict[str, int]:
    """The commonest tags over all folders."""
    counts: Counter[str] = Counter()
    for tags in _json(text).values():
        if isinstance(tags, dict):
            for tag, count in tags.items():
                counts[_text(tag)] += _whole(count)
    return dict(counts.most_common(_TAGS))


def _resolution(told: dict[str, str]) -> str:
    return _first(told, "modelspec.resolution") or _first(told, "ss_resolution").strip("()").replace(", ", "x")
