"""The JSON Schema of everything that travels or is stored; `schema.json` beside it is its committed form."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from engine.protocol import events, messages, records
from engine.protocol.control import Command
from engine.protocol.params import BakeParams

SCHEMA_FILE = Path(__file__).with_name("schema.json")


def schema() -> str:
    """The schema as the text of `schema.json`, with stable order."""
    types = [
        messages.Hello,
        messages.Request,
        messages.Reply,
        messages.Batch,
        messages.Past,
        messages.RunsChanged,
        messages.DevicePush,
        messages.Progress,
        *events.KINDS.values(),
        Command,
        BakeParams,
        records.Job,
        *(method.params for method in messages.METHODS.values()),
        *(method.result for method in messages.METHODS.values()),
    ]
    unique = list({str(kind): kind for kind in types}.values())
    _, components = msgspec.json.schema_components(unique, ref_template="#/$defs/{name}")
    return json.dumps({"$defs": dict(sorted(components.items()))}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema(), encoding="utf-8")
