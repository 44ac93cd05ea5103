"""From what a person asked for to complete settings of every picture; what cannot be drawn is refused here. Torch-free.

A grid is the product of its axes; places of one and the same setting share a picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from engine.drawing import history, sources
from engine.drawing.command import command_of
from engine.drawing.prompt import escaped, read
from engine.drawing.sources import Source
from engine.models.catalogue import Located, locate
from engine.protocol.drawing import SAMPLERS, DrawDefaults, Drawn, DrawParams, LoraUse, Shot
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams

MOST_PICTURES = 400
_LIMITS: dict[str, tuple[float, float]] = {
    "width": (16, 4096),
    "height": (16, 4096),
    "steps": (1, 200),
    "cfg": (0, 100),
    "clip_skip": (1, 12),
    "seed": (0, 2**63 - 1),
    "weight": (-10, 10),
    "count": (1, 100),
}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A test ready to be drawn, and what its worker has to be."""

    drawn: Drawn
    base: str
    precision: str


def prepare(asked: DrawParams, created: float) -> Asked:
    """The test, not yet written down.

    Raises EngineError: whatever is wrong with source, base, LoRAs, prompts or numbers.
    """
    if asked.again:
        return _again(asked, created)
    found = sources.source(asked.source)
    base, located = _base(asked, found)
    params = found.job.params if found.job is not None else BakeParams()
    start = _defaults(found, located)
    extra = [_extra(word) for word in asked.loras]
    shots: list[Shot] = []
    if asked.grid:
        rows, columns, cells = _grid(asked, found, start, extra, located.family, shots)
    else:
        rows, columns, cells = [], [], []
        one = _shot(asked, found, start, extra, located.family, _first(asked, start))
        shots = [msgspec.structs.replace(one, seed=one.seed + place) for place in range(_checked("count", asked.count))]
    epoch = asked.epoch if asked.epoch is not None or not found.epochs else max(found.epochs)
    drawn = Drawn(
        id="",
        created=created,
        run="",
        base=base,
        dir="",
        shots=shots,
        source=found.told,
        epoch=epoch,
        rows=rows,
        columns=columns,
        cells=cells,
        out=asked.out,
    )
    drawn = msgspec.structs.replace(drawn, command=command_of(asked, drawn, start))
    return Asked(drawn=drawn, base=base, precision=params.precision)


def defaults(source: str, epoch: int | None) -> DrawDefaults:
    """The test that would be drawn if nothing more were said."""
    asked = DrawParams(source=source, epoch=epoch)
    found = sources.source(source)
    base, located = _base(asked, found)
    return DrawDefaults(shot=_defaults(found, located), base=base, epochs=[0, *found.epochs])


def _again(asked: DrawParams, created: float) -> Asked:
    before = history.find(asked.again)
    for path, sha256 in {(lora.path, lora.sha256) for shot in before.shots for lora in shot.loras}:
        if sources.use(Path(path), 1.0).sha256 != sha256:
            raise EngineError("test_changed", test=before.id, path=path)
    drawn = msgspec.structs.replace(
        before, id="", created=created, run="", state="waiting", done=0, seconds=0.0, error=None, out=asked.out
    )
    return Asked(drawn=drawn, base=before.base, precision="auto")


def _base(asked: DrawParams, found: Source) -> tuple[str, Located]:
    name = asked.base or (found.job.base if found.job is not None else "")
    if not name and found.file is not None:
        name = sources.base_of(found.file)
    if not name:
        raise EngineError("draw_base", source=found.told or "–")
    located = locate(name)
    if located.missing:
        raise EngineError("model_absent", name=name)
    return name if located.row is not None else str(located.path), located


def _defaults(found: Source, located: Located) -> Shot:
    """What a run's own previews were drawn with, the first of them."""
    if found.job is None or found.run is None:
        side = located.row.resolution if located.row is not None and located.row.resolution else 512
        return Shot(prompt="", width=side, height=side)
    params = found.job.params
    prompt = params.preview_prompt.strip()
    if not prompt:
        rows = [row for row in found.run.read_manifest() if not row.reg and not row.validation and row.caption]
        # As the trainer read it: brackets of a caption are letters.
        prompt = escaped(rows[0].caption.replace("\\", "")) if rows else ""
    return Shot(
        prompt=prompt,
        negative=params.preview_negative,
        width=params.resolution,
        height=params.resolution,
        sampler=params.preview_sampler,
        steps=params.preview_steps,
        cfg=params.preview_cfg,
        clip_skip=params.clip_skip,
        seed=params.seed + 1,
    )


def _extra(word: str) -> LoraUse:
    """`NAME` or `PATH`, with `:WEIGHT` behind it."""
    name, colon, number = word.rpartition(":")
    if colon and number:
        try:
            return sources.use(sources.named_lora(name), _checked("weight", float(number)))
        except ValueError:
            pass
    return sources.use(sources.named_lora(word), 1.0)


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between the places of a grid."""

    prompt: str
    seed: int
    cfg: float
    weight: float
    epoch: int | None


def _first(asked: DrawParams, start: Shot) -> _Place:
    return _Place(
        prompt=start.prompt if asked.prompt is None else asked.prompt,
        seed=start.seed if asked.seed is None else asked.seed,
        cfg=start.cfg if asked.cfg is None else asked.cfg,
        weight=asked.weight,
        epoch=asked.epoch,
    )


def _shot(asked: DrawParams, found: Source, start: Shot, extra: Sequence[LoraUse], family: str, place: _Place) -> Shot:
    """One picture's settings: the run's, then the person's, then what the prompt itself says."""
    written = read(place.prompt)
    values: dict[str, Any] = {
        "negative": start.negative if asked.negative is None else asked.negative,
        "width": asked.width or start.width,
        "height": asked.height or start.height,
        "sampler": asked.sampler or start.sampler,
        "steps": asked.steps or start.steps,
        "clip_skip": asked.clip_skip or start.clip_skip,
        "cfg": place.cfg,
        "seed": place.seed,
    }
    values |= {name: _parsed(name, text) for name, text in written.options.items()}
    for name in _LIMITS.keys() & values.keys():
        _checked(name, values[name])
    for side in ("width", "height"):
        if values[side] % 8:
            raise EngineError("param_invalid", name=side, value=values[side], allowed="8, 16, 24 …")
    values["sampler"] = sampler_named(values["sampler"])
    file = sources.epoch_of(found, place.epoch)
    loras = [sources.use(file, _checked("weight", place.weight))] if file is not None else []
    loras += extra
    for one in written.loras:
        _checked("weight", one.weight)
        loras.append(sources.use(sources.named_lora(one.name), one.weight, one.te_weight))
    for lora in loras:
        check_lora(Path(lora.path), family)
    # One of weight 0 is as good as none, down to the last bit.
    return Shot(prompt=written.text, loras=[lora for lora in loras if lora.weight or lora.te_weight], **values)


def check_lora(path: Path, family: str) -> None:
    """Raises EngineError where the file cannot be laid onto a model of `family`."""
    from engine.models.adapter import read_adapter

    adapter = read_adapter(path)
    if adapter.family != family:
        raise EngineError("lora_family", path=path, family=adapter.family or "unknown", other=family)


def sampler_named(word: str) -> str:
    """A sampler by our name or by that of A1111; raises EngineError `param_invalid`."""
    plain = word.strip().lower()
    known = {name: name for name in SAMPLERS} | {title.lower(): name for name, title in SAMPLERS.items()}
    if plain not in known:
        raise EngineError("param_invalid", name="sampler", value=word, allowed=", ".join(SAMPLERS.values()))
    return known[plain]


def _parsed(name: str, text: str) -> Any:
    if name in ("negative", "sampler"):
        return text
    try:
        return float(text) if name == "cfg" else int(text)
    except ValueError:
        low, high = _LIMITS[name]
        raise EngineError("param_invalid", name=name, value=text, allowed=f"{low:g} … {high:g}") from None


def _checked(name: str, value: Any) -> Any:
    low, high = _LIMITS[name]
    if not math.isfinite(value) or not low <= value <= high:
        raise EngineError("param_invalid", name=name, value=value, allowed=f"{low:g} … {high:g}")
    return value


def _grid(
    asked: DrawParams, found: Source, start: Shot, extra: Sequence[LoraUse], family: str, shots: list[Shot]
) -> tuple[list[str], list[str], list[list[int]]]:
    """Row labels, column labels, and the shot of each place; `shots` is filled in the order of the places."""
    first = _first(asked, start)
    axes: dict[str, list[Any]] = {
        "prompt": asked.prompts or [first.prompt],
        "seed": asked.seeds or [first.seed + place for place in range(_checked("count", asked.count))],
        "cfg": asked.cfgs or [first.cfg],
        "epoch": asked.epochs or [first.epoch],
        "weight": asked.weights or [first.weight],
    }
    varying = [name for name in axes if len(axes[name]) > 1]
    across = next((name for name in ("weight", "epoch", "seed", "cfg", "prompt") if name in varying), "weight")
    down = [name for name in axes if name != across]
    size = math.prod(len(values) for values in axes.values())
    if size > MOST_PICTURES:
        raise EngineError("grid_large", count=size, most=MOST_PICTURES)
    seen: dict[bytes, int] = {}

    def number(place: _Place) -> int:
        shot = _shot(asked, found, start, extra, family, place)
        packed = msgspec.json.encode(shot)
        if packed not in seen:
            seen[packed] = len(shots)
            shots.append(shot)
        return seen[packed]

    rows, cells = [], []
    for row in _product({name: axes[name] for name in down}):
        # The prompt last: it is the longest.
        told = [label(name, row[name]) for name in reversed(down) if name in varying]
        rows.append(" · ".join(told) or label("epoch", row.get("epoch", first.epoch)))
        line = []
        if asked.baseline:
            line.append(number(_Place(**{**row, across: axes[across][0], "epoch": 0})))
        line += [number(_Place(**{**row, across: value})) for value in axes[across]]
        cells.append(line)
    columns = ["base"] if asked.baseline else []
    return rows, columns + [label(across, value) for value in axes[across]], cells


def _product(axes: dict[str, list[Any]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{}]
    for name, values in axes.items():
        rows = [{**row, name: value} for row in rows for value in values]
    return rows


def label(axis: str, value: Any) -> str:
    """What stands beside a row or above a column."""
    if axis == "epoch":
        return "last epoch" if value is None else f"epoch {value}" if value else "base"
    return str(value) if axis == "prompt" else f"{axis} {value:g}" if axis != "seed" else f"seed {value}"
