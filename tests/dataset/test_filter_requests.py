"""Filters as a viewer asks for them: rows or the place of a mistake, fresh after every edit, remembered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.handlers import Context, handler
from engine.protocol.errors import EngineError
from engine.protocol.messages import METHODS
from tests.dataset.make import image


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))
    context = Context(lambda message: None)
    yield context
    context.close()


def ask(context: Context, method: str, **params: object) -> Any:
    return handler(method)(context, METHODS[method].params(**params))


def test_rows_mistakes_and_edits(context: Context, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for number, caption in enumerate(["a, b", "b", "a", None, "c"]):
        image(folder / f"{number}.png", caption=caption)
    path = str(folder)
    found = ask(context, "dataset.filter", path=path, text="tag:a OR tag:c")
    assert (found.images, found.count, found.rows(), found.error) == (5, 3, [0, 2, 4], None)
    broken = ask(context, "dataset.filter", path=path, text="b tags:x")
    assert (broken.count, broken.start, broken.end) == (0, 2, 8)
    assert broken.error.code == "filter_value"
    ask(context, "dataset.set_caption", path=path, image="1.png", caption="b, a", expected="b")
    assert ask(context, "dataset.filter", path=path, text="tag:a").rows() == [0, 1, 2]
    (folder / "3.txt").write_text("a")
    ask(context, "dataset.open", path=path)
    assert ask(context, "dataset.filter", path=path, text="tag:a").rows() == [0, 1, 2, 3]
    assert ask(context, "dataset.filter", path=path, text="dup:any").rows() == [0, 1, 2, 3, 4]
    offered = ask(context, "dataset.complete_filter", path=path, text="tag:", cursor=4)
    assert [(row.text, row.count) for row in offered.rows] == [("tag:a", 4), ("tag:b", 2), ("tag:c", 1)]


def test_used_and_saved_filters(context: Context, tmp_path: Path) -> None:
    image(tmp_path / "set" / "0.png", caption="a")
    path = str(tmp_path / "set")
    for text in ("one", "two", "one", ""):
        ask(context, "dataset.keep_filter", path=path, text=text)
    with pytest.raises(EngineError, match="place 5"):
        ask(context, "dataset.keep_filter", path=path, text="one /[/")
    ask(context, "dataset.keep_filter", path=path, text="tag:*hair", name="hair")
    ask(context, "dataset.keep_filter", path=path, text="x", name="gone")
    kept = ask(context, "dataset.keep_filter", path=path, text="", name="gone")
    assert (kept.history, kept.saved) == (["one", "two"], {"hair": "tag:*hair"})
    assert ask(context, "dataset.filters", path=path) == kept
    (tmp_path / "set" / ".lorabake" / "filters.json").write_text("{")
    assert ask(context, "dataset.filters", path=path).history == []
