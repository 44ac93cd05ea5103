"""Writes docs/protocol.md and docs/parameters.md from the protocol's own declarations (`python -m tools.reference`)."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from pathlib import Path
from typing import Any

from msgspec import structs

from engine.protocol import PROTOCOL, control, events, fields, messages
from engine.protocol.errors import SENTENCES
from engine.protocol.wire import MAX_EVENT_BYTES, MAX_LINE_BYTES

ROOT = Path(__file__).resolve().parents[1]

_PROTOCOL_HEAD = f"""\
# Protocol {PROTOCOL} and the journal

Made by `python -m tools.reference` from `engine/protocol`; the JSON Schema of everything below is
`engine/protocol/schema.json`.

`engine host` speaks JSON lines on its standard input and output: one object per line, UTF-8, no NaN. Its first line
is `hello`; when the `protocol` numbers differ, the viewer says so and exits with 3. Every request gets exactly one
reply with the same `id`, a `result` or an `error` {{code, message, hint, args}}. Pushes come unasked after a
subscription. A line that is not JSON is skipped; readers accept lines of up to {MAX_LINE_BYTES // 1024 // 1024} MiB.

    → {{"type":"request","id":7,"method":"runs.list","params":{{}}}}
    ← {{"type":"reply","id":7,"result":[…]}}

A run's `events.jsonl` holds one event per line, at most {MAX_EVENT_BYTES // 1024} KiB each. Every event has `run`;
`seq`, +1 for the run's whole life, resumes included; `boot`, new with each worker process; `t`, Unix time. The bytes a
viewer gets are the bytes in the file. The file is appended to only, one `write` a line, and flushed to the disk at
every checkpoint: a crash tears at most the last line, which readers ignore and the next worker closes. An unknown kind
is skipped.

`control.jsonl` holds requests to a live run: {{id, action, t}} with `action` one of
{", ".join(control.ACTIONS)}. The worker reads it between two steps and answers with `ack` events.
"""


def protocol_page() -> str:
    """Messages, methods, events and codes as Markdown."""
    lines = [_PROTOCOL_HEAD, "## Events", "", "| kind | carries | meaning |", "| --- | --- | --- |"]
    common = {field.name for field in structs.fields(events.Event)}
    for tag, kind in events.KINDS.items():
        own = [field.name for field in structs.fields(kind) if field.name not in common]
        lines.append(f"| `{tag}` | {_names(own)} | {_first(kind)} |")
    lines += ["", "## Methods", "", "| method | parameters | result |", "| --- | --- | --- |"]
    for name, method in messages.METHODS.items():
        own = [field.name for field in structs.fields(method.params)]
        lines.append(f"| `{name}` | {_names(own)} | `{_type(method.result)}` |")
    lines += ["", "## Pushes", "", "| type | carries | meaning |", "| --- | --- | --- |"]
    for push in typing.get_args(messages.Push):
        own = [field.name for field in structs.fields(push)]
        lines.append(f"| `{push.__struct_config__.tag}` | {_names(own)} | {_first(push)} |")
    lines += ["", "## Codes of errors and warnings", "", "| code | sentence | hint |", "| --- | --- | --- |"]
    lines += [f"| `{code}` | {_cell(s.message)} | {_cell(s.hint)} |" for code, s in SENTENCES.items()]
    return "\n".join(lines) + "\n"


def parameters_page() -> str:
    """Every parameter with its facts and its help as Markdown."""
    lines = ["# Parameters", "", "Made by `python -m tools.reference` from `engine/protocol/params.py`."]
    group = ""
    for field in fields.fields().values():
        if field.group != group:
            group = field.group
            lines += ["", f"## {group}"]
        facts = [f"default {_value(field.default)}", f"allowed {field.allowed}"]
        facts += [f"in {field.unit}"] if field.unit else []
        facts += [f"kohya `{field.kohya}`"] if field.kohya != field.name else []
        facts += [f"only {', '.join(field.families)}"] if len(field.families) == 1 else []
        lines += ["", f"**`{field.name}`** {field.title} ({field.level}). {field.help}", "", f"{'; '.join(facts)}."]
    return "\n".join(lines) + "\n"


PAGES = {"docs/protocol.md": protocol_page, "docs/parameters.md": parameters_page}
"""Page → what writes it."""


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _first(kind: type) -> str:
    text = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
    return _cell(text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _type(kind: Any) -> str:
    if isinstance(kind, types.GenericAlias):
        return f"{kind.__origin__.__name__}[{', '.join(_type(arg) for arg in kind.__args__)}]"
    return str(kind.__name__)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value == "":
        return "empty"
    return f"{value:g}" if isinstance(value, float) else str(value)


def main() -> int:
    """Write the pages."""
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
