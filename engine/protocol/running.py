"""What a viewer asks of runs and the queue (submit, branch, watch, control, move) and hears of one it watches. Only
shapes live here.

`messages` offers them beside the others; what is done is the business of `engine.handlers.runs`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from engine.protocol.columns import Packed
from engine.protocol.control import Action


class Submit(msgspec.Struct, frozen=True, kw_only=True):
    """A bake to put at the end of the queue, or a probe of it; `start` wakes the runner. `when` is a time or quiet
    hours as `engine.runs.schedule` reads them, `retries` how often a worker that dies is replaced,
    `parent` the run that it bakes again."""

    dataset: str
    reg: str = ""
    base: str = "demo"
    preset: str = ""
    params: dict[str, Any] = {}
    name: str = ""
    out: str = ""
    start: bool = True
    kind: Literal["bake", "fake", "probe"] = "bake"
    when: str = ""
    retries: int = 0
    parent: str = ""


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """A new bake from an old one, with other parameters where `params` says so: from the weights of `epoch`, from its
    saved `state`, or (neither) from the beginning on the dataset as it is now."""

    run: str
    epoch: int | None = None
    state: bool = False
    params: dict[str, Any] = {}
    name: str = ""
    out: str = ""
    start: bool = True
    when: str = ""
    retries: int = 0


class RunParams(msgspec.Struct, frozen=True, kw_only=True):
    """A run by id, unique prefix, name, or `last`."""

    run: str


class WatchParams(msgspec.Struct, frozen=True, kw_only=True):
    """Replay a run's journal from after `seq`, then follow it until `runs.unwatch`.

    With `brief` a history of which much is new comes as `Past`, from its beginning on: far less than its events.
    """

    run: str
    seq: int = 0
    brief: bool = False


class ControlParams(msgspec.Struct, frozen=True, kw_only=True):
    """Ask a live run for something; the answer comes as `ack` events in its journal. `values` are for `set`."""

    run: str
    action: Action
    values: dict[str, float] = {}


class MoveParams(msgspec.Struct, frozen=True, kw_only=True):
    """Move a waiting job by `by` places (negative: towards the front)."""

    run: str
    by: int


class BoardParams(msgspec.Struct, frozen=True, kw_only=True):
    """Write TensorBoard's event files of a run into the folder `out` ("": tensorboard/ in the run's own)."""

    run: str
    out: str = ""


class BoardReport(msgspec.Struct, frozen=True, kw_only=True):
    """Where they are, and how many numbers and pictures they hold."""

    out: str
    entries: int


class ScheduleParams(msgspec.Struct, frozen=True, kw_only=True):
    """Say when a waiting job may start ("" at once), or how often its worker is replaced; None leaves it as it is."""

    run: str
    when: str | None = None
    retries: int | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="batch"):
    """Events of a watched run, in order and byte for byte as journaled; `live` is false while history is replayed."""

    run: str
    events: list[msgspec.Raw]
    live: bool


class Past(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="past"):
    """A part of a run's history in brief, for who asked for it: the first part (`begins`) replaces all that was known.

    First come the `events` that are no steps, each with the last step before it; then the numbers of all steps as
    `columns`. `seq` is the last event that the history holds, `gaps` how many are missing from the journal; after the
    last part batches follow.
    """

    run: str
    begins: bool
    seq: int
    gaps: int
    events: list[msgspec.Raw] = []
    columns: Packed | None = None
