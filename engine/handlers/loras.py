"""LoRA files on this machine, read back."""

from __future__ import annotations

import os
from pathlib import Path

from engine.handlers import Context
from engine.protocol.adapters import LoraInfo
from engine.protocol.messages import PathParams


def lora_info(_: Context, params: PathParams) -> LoraInfo:
    """What the file is and what it says of itself."""
    from engine.models.adapter_info import lora_info as read

    return read(Path(os.path.expanduser(params.path)))
