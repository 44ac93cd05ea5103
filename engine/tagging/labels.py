"""Lists of tags that come with taggers: selected_tags.csv of WD and PixAI, tag_mapping.json of CL.

The order is that of the model's output. What becomes of a category, `pick` decides.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

from engine.dataset.names import printable
from engine.protocol.errors import EngineError

CATEGORIES = ("general", "character", "rating", "copyright", "artist", "meta", "quality", "model", "year")
_NUMBERS = {"0": "general", "1": "artist", "3": "copyright", "4": "character", "5": "meta", "9": "rating", "10": "year"}
MAX_LABELS = 65_535


class Label(NamedTuple):
    """A tag as its tagger spells it (underscores for spaces), and its category, one of `CATEGORIES`."""

    name: str
    category: str


def read_labels(path: Path, kind: str) -> list[Label]:
    """The tags of a model in the order of its output; `kind` as in the contract.

    Raises EngineError `tagger_labels`.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        labels = _csv(text) if kind == "csv" else _mapping(text)
    except OSError as error:
        raise _broken(path, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise _broken(path, "it is not UTF-8") from None
    except (csv.Error, json.JSONDecodeError, RecursionError, ValueError) as error:
        raise _broken(path, str(error)) from None
    if not labels or len(labels) > MAX_LABELS:
        raise _broken(path, f"it has {len(labels)} tags")
    return labels


def _csv(text: str) -> list[Label]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    head = next(reader, [])
    if not {"name", "category"} <= set(head):
        raise ValueError("the columns name and category are missing")
    name, category = head.index("name"), head.index("category")
    return [_label(row[name], row[category]) for row in reader if len(row) > max(name, category)]


def _mapping(text: str) -> list[Label]:
    table: Any = json.loads(text)
    if not isinstance(table, dict):
        raise ValueError("it is no object")
    if "idx_to_tag" in table:
        tags, categories = table["idx_to_tag"], table.get("tag_to_category", {})
        table = {place: {"tag": tag, "category": categories.get(tag, "General")} for place, tag in tags.items()}
    try:
        rows = [table[str(place)] for place in range(len(table))]
        return [_label(str(row["tag"]), str(row["category"])) for row in rows]
    except (KeyError, TypeError):
        raise ValueError("it does not count its tags from 0 on, each with tag and category") from None


def _label(name: str, category: str) -> Label:
    word = _NUMBERS.get(category.strip(), category.strip().lower())
    # What nobody knows is kept, but never written into a caption.
    return Label(printable(name), word if word in CATEGORIES else "meta")


def _broken(path: Path, reason: str) -> EngineError:
    return EngineError("tagger_labels", path=printable(str(path)), reason=printable(reason)[:120])
