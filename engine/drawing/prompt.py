"""Prompts as people write them: emphasis as in A1111, `<lora:name:0.8>`, kohya's `--w --h …`. Torch-free.

Turns text into pieces with weights; which tokens they are is `encode`'s business, which file a LoRA is `request`'s.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from engine.protocol.errors import EngineError

ROUND, SQUARE = 1.1, 1 / 1.1
"""What `(word)` and `[word]` multiply by."""
_LORA = re.compile(r"<(?:lora|lyco):([^<>]*)>")
_SCHEDULE = re.compile(r"\[[^\[\]]*:[^\[\]]*:\s*[\d.]+\s*\]")
_BREAK = re.compile(r"\s*\bBREAK\b\s*")
_TOKEN = re.compile(r"\\[()\[\]\\]|:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)|[()\[\]]|[^\\()\[\]:]+|[\\:]")
_OPTION = re.compile(r"(?:^|\s)--([A-Za-z]+)(?=\s|$)")
_OPTIONS = {"w": "width", "h": "height", "d": "seed", "s": "steps", "l": "cfg", "n": "negative", "ss": "sampler"}


class Piece(NamedTuple):
    """Text between two changes of weight; `text` None is the word BREAK: a new window of tokens begins."""

    text: str | None
    weight: float


class NamedLora(NamedTuple):
    """A `<lora:name:…>` of a prompt; `te_weight` None: the same as `weight`."""

    name: str
    weight: float
    te_weight: float | None


class Written(NamedTuple):
    """A prompt taken apart: what is left for the model, the LoRAs named in it, and kohya's options by our names."""

    text: str
    loras: list[NamedLora]
    options: dict[str, str]


def read(prompt: str) -> Written:
    """Take LoRAs and options out of a prompt as typed.

    Raises EngineError `prompt_lora` for a weight that is no number, `prompt_option` for an unknown `--word`,
    `prompt_schedule` for A1111's `[from:to:when]`, which is not drawn here.
    """
    text, options = _options(prompt)
    loras = [_lora(found[1]) for found in _LORA.finditer(text)]
    text = _LORA.sub("", text)
    if found := _SCHEDULE.search(text):
        raise EngineError("prompt_schedule", text=found[0])
    return Written(text.strip(), loras, options)


def _options(prompt: str) -> tuple[str, dict[str, str]]:
    found = list(_OPTION.finditer(prompt))
    values: dict[str, str] = {}
    for place, one in enumerate(found):
        name = _OPTIONS.get(one[1])
        if name is None:
            raise EngineError("prompt_option", word=f"--{one[1]}", known=" ".join(f"--{word}" for word in _OPTIONS))
        end = found[place + 1].start() if place + 1 < len(found) else len(prompt)
        values[name] = prompt[one.end() : end].strip()
    return prompt[: found[0].start()] if found else prompt, values


def _lora(inner: str) -> NamedLora:
    name, *numbers = [part.strip() for part in inner.split(":")]
    try:
        weights = [float(number) for number in numbers]
    except ValueError:
        weights = [math.nan]
    if not name or len(weights) > 2 or not all(map(math.isfinite, weights)):
        raise EngineError("prompt_lora", text=f"<lora:{inner}>")
    if len(weights) == 2:  # as A1111 reads it: the text encoder first, then the U-Net
        return NamedLora(name, weights[1], weights[0])
    return NamedLora(name, weights[0] if weights else 1.0, None)


def pieces(text: str) -> list[Piece]:
    """The text as pieces with weights, by A1111's rules: `(a)` × 1.1, `[a]` ÷ 1.1, `(a:1.3)` × 1.3, nested ones
    multiply, a backslash makes the next bracket a letter, what is never closed counts to the end."""
    rows: list[list[object]] = []
    open_round: list[int] = []
    open_square: list[int] = []

    def multiply(start: int, by: float) -> None:
        for row in rows[start:]:
            if row[0] is not None:
                row[1] = float(row[1]) * by  # type: ignore[arg-type]

    for token in _TOKEN.finditer(text):
        word = token[0]
        if word.startswith("\\") and len(word) > 1:
            rows.append([word[1], 1.0])
        elif word == "(":
            open_round.append(len(rows))
        elif word == "[":
            open_square.append(len(rows))
        elif token[1] is not None and open_round:
            multiply(open_round.pop(), float(token[1]))
        elif word == ")" and open_round:
            multiply(open_round.pop(), ROUND)
        elif word == "]" and open_square:
            multiply(open_square.pop(), SQUARE)
        else:
            for place, part in enumerate(_BREAK.split(word)):
                if place:
                    rows.append([None, 1.0])
                rows.append([part, 1.0])
    for start in open_round:
        multiply(start, ROUND)
    for start in open_square:
        multiply(start, SQUARE)
    return _joined(rows)


def _joined(rows: list[list[object]]) -> list[Piece]:
    """Neighbours of one weight as one piece, so that words are not cut where nothing changes."""
    joined: list[Piece] = []
    for text, weight in rows:
        if text == "":
            continue
        last = joined[-1] if joined else None
        if text is not None and last is not None and last.text is not None and last.weight == weight:
            joined[-1] = Piece(f"{last.text}{text}", last.weight)
        else:
            joined.append(Piece(None if text is None else str(text), float(weight)))  # type: ignore[arg-type]
    return joined


def escaped(text: str) -> str:
    """`text` so that it is read literally: every bracket and backslash with a backslash in front."""
    return re.sub(r"([\\()\[\]])", r"\\\1", text)
