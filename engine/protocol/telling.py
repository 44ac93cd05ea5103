"""How a person wants to hear that a bake ended, failed or stalled: the settings, and what a try of them came to."""

from __future__ import annotations

from typing import Literal

import msgspec

Moment = Literal["done", "failed", "stopped", "stalled"]


class TellSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`command` is a shell line that gets JSON on its input, `webhook` an address that JSON is posted to ("" for none).

    `bell` rings the terminals that show LoRABake, `desktop` asks them for a notification; `on` says when.
    """

    command: str = ""
    webhook: str = ""
    bell: bool = True
    desktop: bool = True
    on: tuple[Moment, ...] = ("done", "failed", "stalled")


class TellReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a try came to: "" for what was not asked for, "ok", or why it failed."""

    command: str = ""
    webhook: str = ""
