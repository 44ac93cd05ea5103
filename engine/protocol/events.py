"""The closed list of events a run can journal. The bytes in the journal are the bytes on the pipe.

Only shapes live here; appending and reading is `journal`, meaning for the screen is the viewer's store.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.protocol.errors import ErrorInfo


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a bake is going to do, known once its data is read. Counts are whole numbers, seconds are wall time."""

    images: int = 0
    reg_images: int = 0
    image_views: int = 0
    epochs: int = 0
    steps: int = 0
    steps_per_epoch: int = 0
    previews_per_epoch: int = 0
    base: str = ""
    family: str = ""
    device: str = ""
    precision: str = ""
    batch: int = 0
    network_modules: int = 0
    trainable_parameters: int = 0


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    """What every event carries.

    `seq` is +1 for the run's whole life, resumes included; `boot` changes with each worker process;
    `t` is Unix time in seconds.
    """

    run: str
    seq: int
    boot: str
    t: float


class Phase(Event, frozen=True, tag="phase"):
    """The worker entered a stage of its work."""

    name: Literal[
        "prepare", "load", "cache", "baseline", "train", "preview", "save", "validate", "tag", "draw", "export"
    ]
    plan: Plan | None = None


class Progress(Event, frozen=True, tag="progress"):
    """How far the current phase is, in units of its own (images, pictures, files); `per_s` of them in a second."""

    phase: str
    done: int
    total: int
    eta_s: float | None = None
    per_s: float | None = None


class Step(Event, frozen=True, tag="step"):
    """One optimizer step was taken (the loss is the mean over its micro-batches).

    `images` is the number of samples this step saw, `it_s` smoothed optimizer steps per second, `eta_s` the
    seconds until the whole bake ends, `elapsed_s` the seconds trained so far over all boots. With a weight-norm limit
    (`scale_weight_norms`) `norms_scaled` layers were scaled back to it; `norm_mean` and `norm_max` are the norms after
    that.
    """

    step: int
    epoch: int
    loss: float | None
    nonfinite: bool = False
    lr: dict[str, float] = {}
    grad_norm: float | None = None
    images: int = 0
    it_s: float | None = None
    eta_s: float | None = None
    elapsed_s: float | None = None
    norms_scaled: int | None = None
    norm_mean: float | None = None
    norm_max: float | None = None


class Preview(Event, frozen=True, tag="preview"):
    """A preview picture was written; `path` is relative to the run's folder, epoch 0 is the untrained base."""

    epoch: int
    step: int
    index: int
    path: str
    seed: int
    prompt: str


class Checkpoint(Event, frozen=True, tag="checkpoint"):
    """A file that can be used or resumed from was completed; `path` is relative to the run's folder."""

    kind: Literal["epoch", "state"]
    epoch: int
    step: int
    path: str
    bytes: int = 0
    sha256: str = ""


class Validation(Event, frozen=True, tag="validation"):
    """Mean loss on the held-out images with fixed noise and timesteps."""

    epoch: int
    step: int
    loss: float | None


class Tagged(Event, frozen=True, tag="tagged"):
    """Tagging came to its end: of `images`, `scored` have scores, `changed` another caption (`added` and `removed` tags
    in all), `kept` their own; `failed` could not be read."""

    images: int
    scored: int = 0
    changed: int = 0
    added: int = 0
    removed: int = 0
    kept: int = 0
    failed: int = 0


class Tested(Event, frozen=True, tag="tested"):
    """A test (by its identifier) has `done` of `total` pictures; its record tells the rest."""

    test: str
    state: Literal["drawing", "done", "failed"]
    done: int = 0
    total: int = 0
    error: ErrorInfo | None = None


class Warning(Event, frozen=True, tag="warning"):
    """Something a person should know; the run goes on. `code` and `args` as in `errors.SENTENCES`."""

    code: str
    message: str
    hint: str = ""
    args: dict[str, str] = {}


class Error(Event, frozen=True, tag="error"):
    """Why the run is about to end; always journaled before any rescue is tried."""

    error: ErrorInfo
    detail: str = ""


class Paused(Event, frozen=True, tag="paused"):
    """The worker stands still after `step`, its state saved."""

    step: int


class Resumed(Event, frozen=True, tag="resumed"):
    """The worker goes on from `step`: after a pause, or as a new boot from a saved state."""

    step: int
    epoch: int = 0


class Changed(Event, frozen=True, tag="changed"):
    """From the step after `step` on, these parameters have other values."""

    step: int
    epoch: int
    values: dict[str, float]


class Ack(Event, frozen=True, tag="ack"):
    """A line of control.jsonl was read (`accepted`), carried out (`done`) or made no sense now (`ignored`)."""

    re: str
    action: str
    state: Literal["accepted", "done", "ignored"]


class Finished(Event, frozen=True, tag="finished"):
    """The last event of a boot. `files` are relative to the run's folder, `out` is where copies were placed.

    `hint` says which epoch the held-out loss points to and why, `best` is its number (0: none).
    """

    reason: Literal["done", "stopped", "failed"]
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    files: list[str] = []
    out: str = ""
    best: int = 0
    hint: ErrorInfo | None = None


AnyEvent = (
    Phase
    | Progress
    | Step
    | Preview
    | Checkpoint
    | Validation
    | Tagged
    | Tested
    | Warning
    | Error
    | Paused
    | Resumed
    | Changed
    | Ack
    | Finished
)

KINDS: dict[str, type[Event]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        Phase,
        Progress,
        Step,
        Preview,
        Checkpoint,
        Validation,
        Tagged,
        Tested,
        Warning,
        Error,
        Paused,
        Resumed,
        Changed,
        Ack,
        Finished,
    )
}
"""Tag → struct, in the order of the design."""


_decoder = msgspec.json.Decoder(AnyEvent)


def decode_event(line: bytes) -> Event | None:
    """The event on a journal line; None for noise, a torn line, an unknown kind or a wrong shape."""
    try:
        event: Event = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return event
