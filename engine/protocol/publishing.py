"""What a person asks to publish, what came of it, and what is kept of runs. Only shapes live here."""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.protocol.errors import ErrorInfo
from engine.protocol.estimates import Outcome

PlaceKind = Literal["folder", "a1111", "comfyui", "bundle", "hf"]
KINDS: tuple[PlaceKind, ...] = ("folder", "a1111", "comfyui", "bundle", "hf")
"""Where a LoRA can go: a folder; the models of A1111 or Forge; those of ComfyUI; a folder with card, previews and
recipe; a repository of the Hugging Face hub."""


class PublishParams(msgspec.Struct, frozen=True, kw_only=True):
    """An epoch (None: the one the hint names, else the last) to publish `to` a place: a folder, or `a1111:`,
    `comfyui:`, `bundle:` and a folder, or `hf:` and a repository.

    `name` is the file's, "" that of the bake; `trigger` None leaves the word that the file names. What is there already
    is replaced only with `overwrite`. `dry_run` checks and tells. `public` opens a new repository to everybody.
    """

    run: str
    to: str
    epoch: int | None = None
    name: str = ""
    trigger: str | None = None
    weight: float = 0.8
    overwrite: bool = False
    dry_run: bool = False
    public: bool = False


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What was, or with a dry run would be, published: `files` absolute or, on the hub, in the repository. `taken` are
    those that are there already. `sha256` is of the whole file, `hash` of its tensors as A1111 shows it."""

    run: str
    epoch: int
    kind: PlaceKind
    to: str
    name: str
    trigger: str
    files: list[str]
    taken: list[str] = []
    source_sha256: str = ""
    sha256: str = ""
    hash: str = ""
    url: str = ""
    licence: str = ""
    t: float = 0.0
    notices: list[ErrorInfo] = []
    dry_run: bool = False


class EpochFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an epoch: whether its LoRA is there, its bytes with the previews, whether it was published."""

    epoch: int
    present: bool
    bytes: int = 0
    best: bool = False
    published: list[str] = []
    loss: float | None = None
    held_out: float | None = None
    likeness: float | None = None
    obedience: float | None = None
    path: str = ""


class ParamFact(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter of a run: its value, and where it comes from."""

    name: str
    value: str
    source: Literal["set", "preset", "default"]
    standard: str = ""


class RunResults(msgspec.Struct, frozen=True, kw_only=True):
    """A run's epochs and parameters. `derived` is what the trainer worked out, by name; `parent` the run it was baked
    again from and `children` those that were baked again from it. `bytes` is the disk it takes, `state_bytes` those
    of the state to resume from, `outcome` what it took beside its estimate (None while it goes on, and where none was
    known)."""

    run: str
    name: str
    dir: str
    dataset: str
    base: str
    preset: str
    reg: str = ""
    epochs: list[EpochFacts]
    params: list[ParamFact] = []
    derived: dict[str, str] = {}
    parent: str = ""
    children: list[str] = []
    bytes: int = 0
    state_bytes: int = 0
    trigger: str = ""
    best: int = 0
    hints: list[ErrorInfo] = []
    overtrained: int = 0
    outcome: Outcome | None = None


class PruneParams(msgspec.Struct, frozen=True, kw_only=True):
    """Which epochs of a run go to the trash: all but the best, the last and every `every`th (0: no others). `epochs`
    names them instead; `whole` takes the whole run; `state` only what it would resume from. `dry_run` only tells;
    `restore` brings everything back."""

    run: str
    every: int = 0
    epochs: list[int] = []
    keep_previews: bool = True
    whole: bool = False
    state: bool = False
    dry_run: bool = False
    restore: bool = False


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What went to the trash, or would: epochs and bytes; `kept` with the reason by epoch."""

    run: str
    epochs: list[int]
    bytes: int
    kept: dict[int, str] = {}
    whole: bool = False
    dry_run: bool = False
    trash: str = ""
    restored: int = 0


class TrashParams(msgspec.Struct, frozen=True, kw_only=True):
    """Look at the trash of all runs, or `empty` it for good: of `run` alone where one is named, by its id."""

    run: str = ""
    empty: bool = False


class Trash(msgspec.Struct, frozen=True, kw_only=True):
    """What lies, or lay, in the trash: `runs` by id with their bytes; `emptied` when it is gone."""

    runs: dict[str, int] = {}
    files: int = 0
    bytes: int = 0
    path: str = ""
    emptied: bool = False
