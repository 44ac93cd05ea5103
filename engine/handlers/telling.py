"""The settings of telling, and a try of them."""

from __future__ import annotations

from engine.handlers import Context
from engine.protocol.messages import Empty
from engine.protocol.telling import TellReport, TellSettings
from engine.runs import telling


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
