"""The intent of an edit: everything it is about to change, written down whole and flushed before the first caption is
touched, so that whoever comes after a crash can complete it. Who does that is `tag_journal`."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import msgspec

from engine.dataset.tag_patch import FileChange
from engine.protocol.tags import TagOp


class Intent(msgspec.Struct):
    """An edit with its files before and after, or the undoing or redoing of one by its number."""

    token: str
    t: float
    boot: str
    files: list[FileChange]
    op: TagOp | None = None
    undo: int = 0
    redo: int = 0


class IntentHead(msgspec.Struct):
    """What of an intent is read each time: its files may be megabytes."""

    token: str
    t: float
    boot: str


whole_intent = msgspec.json.Decoder(Intent)
intent_head = msgspec.json.Decoder(IntentHead)


def torn(text: str | None) -> bool:
    """Whether this is what a power cut leaves of a file that was being written: nothing, or zeros."""
    return text is not None and not text.strip("\0")


def new_token() -> str:
    """A name that no other edit has, in the order of time."""
    return time.strftime("%Y%m%d%H%M%S-", time.gmtime()) + secrets.token_hex(4)


def this_boot() -> str:
    """Which start of the machine this is; "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
