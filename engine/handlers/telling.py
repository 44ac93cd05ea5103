"""What others hear and read of runs: the settings of telling, a try of them, TensorBoard's files."""

from __future__ import annotations

from pathlib import Path

from engine.handlers import Context
from engine.protocol.messages import BoardParams, BoardReport, Empty
from engine.protocol.telling import TellReport, TellSettings
from engine.runs import telling
from engine.runs.folder import find


def runs_tensorboard(_: Context, params: BoardParams) -> BoardReport:
    """A run's numbers and previews as event files."""
    from engine.runs import board

    run = find(params.run)
    out = Path(params.out).expanduser().absolute() if params.out else run.path / "tensorboard"
    return BoardReport(out=str(out), entries=board.write(run, out))


def tell_get(_: Context, __: Empty) -> TellSettings:
    """As kept, or the defaults."""
    return telling.read_settings()


def tell_set(_: Context, params: TellSettings) -> TellSettings:
    """Keep them for every run of this home."""
    return telling.write_settings(params)


def tell_test(_: Context, __: Empty) -> TellReport:
    """Run the command and post to the webhook now, with made-up facts."""
    told = {"event": "test", "run": "test", "name": "test", "text": "LoRABake can be heard."}
    return telling.tell(telling.read_settings(), told)
