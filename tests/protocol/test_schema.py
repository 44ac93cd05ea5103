"""The committed JSON Schema says what the code says."""

import json

from engine.protocol.schema import SCHEMA_FILE, schema


def test_the_committed_schema_is_the_generated_one() -> None:
    assert SCHEMA_FILE.read_text("utf-8") == schema(), "run `make schema`"


def test_the_schema_is_json_with_every_event() -> None:
    definitions = json.loads(schema())["$defs"]
    assert {"Step", "Finished", "BakeParams", "Job", "Hello", "Request", "Reply", "Batch", "RunRow"} <= set(definitions)
