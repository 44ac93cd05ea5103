"""What a bake will take, what it costs, and how such words compared with the truth.

The estimate that is frozen with a job is a record (`records.Forecast`); the rules are the engine's `estimate`.
"""

from __future__ import annotations

from engine.protocol.errors import ErrorInfo
from engine.protocol.records import BucketRow, Record


class Outcome(Record, frozen=True):
    """A bake that ended, its estimate beside the truth: wall seconds of the worker, pauses left out, and the peak of
    memory (0: not known)."""

    run: str
    name: str
    t: float
    device: str
    model: str
    source: str
    estimated_seconds: float
    seconds: float
    estimated_memory: int = 0
    memory_bytes: int = 0


class Rates(Record, frozen=True):
    """What a bake costs here, as a person says: by the hour, or by energy; 0 where nothing is said. `watts` is what the
    whole machine draws while baking."""

    currency: str = ""
    per_hour: float = 0.0
    per_kwh: float = 0.0
    watts: float = 0.0


class Estimate(Record, frozen=True):
    """What a bake will take. `seconds`, `memory_bytes`, `energy_kwh`, `cost` are None when nothing is known.

    `source` says where time and memory come from (`probe`, `history`, `model`, `none`), `error` how far off such a
    time was so far here (0.15: ± 15 %). `views_each` is how often an image is seen. `device_memory` is what the device
    has (0: not known); where the bake does not `fit` in it, `relief` holds the parameters of the nearest that does
    ({} where none is near). `past` is the last bake on this device and kind of model.
    """

    images: int
    reg_images: int = 0
    image_views: int = 0
    views_each: float = 0.0
    steps_per_epoch: int = 0
    optimizer_steps: int = 0
    epochs: int = 0
    epoch_files: int = 0
    seconds: float | None = None
    error: float = 0.0
    memory_bytes: int | None = None
    device: str = ""
    device_memory: int = 0
    fits: bool = True
    relief: dict[str, str | int | float | bool] = {}
    disk_bytes: int = 0
    energy_kwh: float | None = None
    cost: float | None = None
    currency: str = ""
    source: str = "none"
    past: Outcome | None = None
    buckets: list[BucketRow] = []
    notices: list[ErrorInfo] = []
