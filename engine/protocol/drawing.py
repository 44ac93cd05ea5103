"""What a person asks to have drawn with a LoRA, and the record that stays of it. Only shapes live here.

Resolving names and refusing what cannot be drawn is `engine.drawing.request`; drawing is `engine.drawing.session`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.protocol.errors import ErrorInfo

SAMPLERS: dict[str, str] = {
    "euler_a": "Euler a",
    "euler": "Euler",
    "heun": "Heun",
    "lms": "LMS",
    "dpm2": "DPM2",
    "dpm2_a": "DPM2 a",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_karras": "DPM++ 2M Karras",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "ddim": "DDIM",
    "pndm": "PLMS",
    "unipc": "UniPC",
}
"""Our name of a sampler → the one that A1111 and its relatives show and write into pictures."""


class LoraUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A LoRA file as a picture uses it; `te_weight` is that of its text encoder part, None: the same as `weight`.
    `name` is how a prompt calls it, `sha256` of its bytes when it was asked for."""

    path: str
    weight: float = 1.0
    te_weight: float | None = None
    name: str = ""
    sha256: str = ""


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides one picture, except the base model: the prompt without `<lora:…>` and `--` words, sizes
    in pixels, `clip_skip` as A1111 counts."""

    prompt: str
    negative: str = ""
    width: int = 512
    height: int = 512
    sampler: str = "euler_a"
    steps: int = 24
    cfg: float = 7.0
    clip_skip: int = 1
    seed: int = 1
    loras: list[LoraUse] = []


class DrawParams(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures to draw with an epoch of a run, or with files.

    `source` is a run (id, prefix, name, `last`) or a LoRA file, "" for the base alone; `epoch` None is the last one
    saved, 0 the base without it. `loras` are more of them as `NAME` or `PATH`, with `:WEIGHT` behind. What is None, 0
    or "" is taken from the run's own previews. `again` is an earlier test to draw once more, `out` a folder that gets
    copies. The lists are the axes of a grid; `baseline` adds a column of the base alone.
    """

    source: str = ""
    epoch: int | None = None
    base: str = ""
    loras: list[str] = []
    weight: float = 1.0
    prompt: str | None = None
    negative: str | None = None
    width: int = 0
    height: int = 0
    sampler: str = ""
    steps: int = 0
    cfg: float | None = None
    clip_skip: int = 0
    seed: int | None = None
    count: int = 1
    again: str = ""
    out: str = ""
    grid: bool = False
    epochs: list[int] = []
    weights: list[float] = []
    prompts: list[str] = []
    seeds: list[int] = []
    cfgs: list[float] = []
    baseline: bool = True


TestState = Literal["waiting", "drawing", "done", "failed"]


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A test or grid as it is kept: `shots` in the order of the files `01.png`, `02.png` … of its folder `dir`.

    `rows` and `columns` label the table of a grid, `cells` has the shot of each place (several may share one); empty
    for a plain test. `run` is the job that draws it, `source` and `epoch` what was asked for, `command` the line that
    draws it again. `seconds` is from the request reaching the worker to the last file.
    """

    id: str
    created: float
    run: str
    base: str
    dir: str
    shots: list[Shot]
    source: str = ""
    epoch: int | None = None
    rows: list[str] = []
    columns: list[str] = []
    cells: list[list[int]] = []
    out: str = ""
    command: str = ""
    state: TestState = "waiting"
    done: int = 0
    seconds: float = 0.0
    sheet: str = ""
    error: ErrorInfo | None = None


class DrawnParams(msgspec.Struct, frozen=True, kw_only=True):
    """A test by id, the beginning of one, or `last`."""

    id: str


class DrawDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """A test as it would be drawn if nothing more were said, for a form to begin with; `loras` by name."""

    shot: Shot
    base: str
    epochs: list[int]
