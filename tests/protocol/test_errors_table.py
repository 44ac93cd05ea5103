"""Every code used anywhere has its sentence, and every place that uses one gives all its arguments."""

import ast
import functools
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.protocol.errors import SENTENCES, SINGULAR, EngineError, describe, fill

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(p for top in ("engine", "lorabake_tui", "tools") for p in (ROOT / top).rglob("*.py"))


def placeholders(code: str) -> set[str]:
    sentence = SENTENCES[code]
    return {name for text in sentence for _, name, _, _ in string.Formatter().parse(text) if name}


@functools.cache
def uses() -> list[tuple[str, str, set[str] | None]]:
    """(place, code, names given) of every call of EngineError and describe with a literal code."""
    return list(_uses())


def _uses() -> Iterator[tuple[str, str, set[str] | None]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0]
            if name in ("EngineError", "describe") and isinstance(first, ast.Constant) and isinstance(first.value, str):
                given = None if any(k.arg is None for k in node.keywords) else {str(k.arg) for k in node.keywords}
                yield f"{path.relative_to(ROOT)}:{node.lineno}", first.value, given


def test_no_code_stands_twice_in_the_tables() -> None:
    paths = sorted((ROOT / "engine/protocol").glob("sentences_*.py"))
    trees = [ast.parse(path.read_text("utf-8")) for path in paths]
    tables = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    codes = [ast.literal_eval(key) for table in tables for key in table.keys if key is not None]
    assert len(tables) > 1
    assert sorted(codes) == sorted(SENTENCES)


def test_every_code_in_the_source_has_a_sentence() -> None:
    found = uses()
    assert len(found) > 30
    assert [(place, code) for place, code, _ in found if code not in SENTENCES] == []


def test_every_use_gives_every_argument_of_its_sentence() -> None:
    missing = [
        (place, code, lack)
        for place, code, given in uses()
        if code in SENTENCES and given is not None and (lack := placeholders(code) - given)
    ]
    assert missing == []


@pytest.mark.parametrize("code", SENTENCES)
def test_every_sentence_has_a_message_and_a_hint_that_are_sentences(code: str) -> None:
    message, hint = SENTENCES[code]
    assert message.endswith(".")
    assert hint.endswith((".", "?", "}"))
    filled = describe(code, **dict.fromkeys(placeholders(code), "X"))
    assert "{" not in filled.message + filled.hint
    assert "?" not in filled.message


@pytest.mark.parametrize("code", SINGULAR)
def test_one_is_not_many(code: str) -> None:
    args = dict.fromkeys(placeholders(code), "X")
    one, two = describe(code, **args | {"count": 1}).message, describe(code, **args | {"count": 2}).message
    assert one.startswith("1 ")
    assert one.removeprefix("1 ") != two.removeprefix("2 ")
    assert "{" not in one
    assert {name for _, name, _, _ in string.Formatter().parse(SINGULAR[code]) if name} <= placeholders(code)


def test_arguments_are_data_and_never_templates() -> None:
    error = EngineError("run_unknown", run="{run.__class__} {0} %s \x1b[31m")
    assert error.info.message == "There is no run {run.__class__} {0} %s \x1b[31m."
    assert fill("a {gap}", {}) == "a ?"
