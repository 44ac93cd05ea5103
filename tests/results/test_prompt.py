"""Prompts as people write them: A1111's emphasis by its published examples, and what must hold for any text."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.drawing.prompt import NamedLora, Piece, escaped, pieces, read
from engine.protocol.errors import EngineError

LETTERS = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=30)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a cat", [("a cat", 1.0)]),
        ("a (red) cat", [("a ", 1.0), ("red", 1.1), (" cat", 1.0)]),
        ("((red))", [("red", 1.1 * 1.1)]),
        ("[red]", [("red", 1 / 1.1)]),
        ("(red:1.3)", [("red", 1.3)]),
        ("(a (b:2) c:0.5)", [("a ", 0.5), ("b", 1.0), (" c", 0.5)]),
        (r"\(red\)", [("(red)", 1.0)]),
        (r"saber \(fate\)", [("saber (fate)", 1.0)]),
        ("(unclosed", [("unclosed", 1.1)]),
        ("a) b]", [("a) b]", 1.0)]),
        ("time 12:30", [("time 12:30", 1.0)]),
        ("a BREAK b", [("a", 1.0), (None, 1.0), ("b", 1.0)]),
        ("", []),
    ],
)
def test_emphasis(text: str, wanted: list[tuple[str | None, float]]) -> None:
    found = pieces(text)
    assert [piece.text for piece in found] == [text for text, _ in wanted]
    assert [piece.weight for piece in found] == pytest.approx([weight for _, weight in wanted])


@given(LETTERS)
def test_an_escaped_text_is_itself(text: str) -> None:
    words = text.replace("BREAK", "")
    assert "".join(piece.text or "" for piece in pieces(escaped(words))) == words
    assert all(piece.weight == 1 for piece in pieces(escaped(words)))


@given(LETTERS, st.floats(0.1, 3).map(lambda x: round(x, 2)))
def test_a_weight_acts_on_all_within_and_nothing_beside(text: str, weight: float) -> None:
    inner = text.replace("BREAK", "") + "x"
    found = pieces(f"y({escaped(inner)}:{weight})z")
    assert "".join(piece.text or "" for piece in found) == f"y{inner}z"
    assert all(
        piece.weight == (weight if 0 < n < len(found) - 1 else 1.0) or weight == 1 for n, piece in enumerate(found)
    )


@given(st.text(max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    for piece in pieces(text):
        assert isinstance(piece, Piece)
    with contextlib.suppress(EngineError):
        assert isinstance(read(text).text, str)


def test_loras_and_options_are_taken_out() -> None:
    found = read("a cat <lora:mira:0.8>, smile <lora:x:0.5:0.25> --w 512 --h 768 --d 7 --s 20 --l 6.5 --n bad, ugly")
    assert found.text == "a cat , smile"
    assert found.loras == [NamedLora("mira", 0.8, None), NamedLora("x", 0.25, 0.5)]
    wanted = {"width": "512", "height": "768", "seed": "7", "steps": "20", "cfg": "6.5", "negative": "bad, ugly"}
    assert found.options == wanted


@pytest.mark.parametrize(
    ("text", "code"),
    [("a <lora:x:big>", "prompt_lora"), ("a --zz 3", "prompt_option"), ("a [b:c:0.5] d", "prompt_schedule")],
)
def test_what_is_not_understood_is_said(text: str, code: str) -> None:
    with pytest.raises(EngineError) as raised:
        read(text)
    assert raised.value.info.code == code
