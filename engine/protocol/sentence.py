"""The shape of what a person is told: one sentence and one hint. Which there are stands in the tables `sentences_*`."""

from __future__ import annotations

from typing import NamedTuple


class Sentence(NamedTuple):
    """What is wrong (and where), and what the reader can do; both are `str.format` templates."""

    message: str
    hint: str
