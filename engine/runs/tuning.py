"""What can be changed in a bake under way: which parameters, within which limits, and what the bake then is.

Pure functions of parameters; asking is `protocol.control`, doing it between two steps the trainer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from engine.protocol import fields
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams

RATES = ("unet_lr", "text_encoder_lr", "text_encoder2_lr")
TUNABLE = (*RATES, "epochs", "save_every_epochs", "preview_every_epochs")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """From the step after `step` on, these values applied."""

    step: int
    values: dict[str, float]


def check(params: BakeParams, values: Mapping[str, float], *, epoch: int) -> dict[str, float]:
    """`values` as they may be set in a bake that is in `epoch`.

    Raises EngineError `set_refused` for what cannot change under way, or what is wrong with a value.
    """
    if not values:
        raise EngineError("set_refused", name="", reason="nothing was named", names=", ".join(TUNABLE))
    for name in values:
        if name not in TUNABLE:
            reason = "it is fixed when a bake begins"
            raise EngineError("set_refused", name=name, reason=reason, names=", ".join(TUNABLE))
    checked = {name: fields.check(name, _whole(name, value)) for name, value in values.items()}
    for name, value in checked.items():
        # What is not trained has no layers that a rate could move.
        if name in RATES and (value > 0) != (getattr(params, name) > 0):
            reason = "a part is trained or not from the beginning"
            raise EngineError("set_refused", name=name, reason=reason, names=", ".join(TUNABLE))
    if checked.get("epochs", params.epochs) < epoch:
        reason = f"epoch {epoch} has begun"
        raise EngineError("set_refused", name="epochs", reason=reason, names=", ".join(TUNABLE))
    return checked


def applied(params: BakeParams, changes: Iterable[Change]) -> BakeParams:
    """The parameters after all changes."""
    for change in changes:
        whole = {name: _whole(name, value) for name, value in change.values.items()}
        params = msgspec.structs.replace(params, **whole)
    return params


def _whole(name: str, value: float) -> float:
    """Counts come as floating numbers from JSON."""
    return int(value) if name not in RATES and float(value).is_integer() else value
