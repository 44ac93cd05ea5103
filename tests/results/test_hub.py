"""Publishing to the hub's stand-in: success, a wrong token, a line that is cut, a name that is taken, another try."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.protocol.errors import EngineError
from engine.protocol.publishing import Published, PublishParams
from engine.publish import ledger
from engine.publish.deliver import publish
from tests.results.conftest import Bench
from tests.results.hub_server import TOKEN, Hub, serving


@pytest.fixture
def hub(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    # Its retries wait longer and longer; here nothing is gained by waiting.
    monkeypatch.setattr(_http, "time", types.SimpleNamespace(sleep=lambda _: None, time=lambda: 0.0), raising=False)
    # Read once at its import, which an earlier test may have caused.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serving() as made:
        monkeypatch.setenv("HF_ENDPOINT", made.address)
        yield made


def put(**changes: object) -> Published:
    return publish(PublishParams(run="last", to="hf:red-cat", epoch=2, **changes), lambda done, total: None)  # type: ignore[arg-type]


def refused(**changes: object) -> str:
    with pytest.raises(EngineError) as raised:
        put(**changes)
    told = f"{raised.value.info} {raised.value.__context__!r}"
    assert TOKEN not in told
    return raised.value.info.code


def never_told(bench: Bench, tmp_path: Path, captured: str) -> None:
    """The token stands in no file of this test and in nothing that was printed."""
    assert TOKEN not in captured
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path


def test_a_bundle_arrives_as_one_private_repository(
    bench: Bench, hub: Hub, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    done = put()
    assert done.url == f"{hub.address}/mira/red-cat"
    assert hub.private == {"mira/red-cat": True}
    files = hub.repositories["mira/red-cat"]
    assert sorted(files) == sorted(done.files)
    assert {"README.md", "recipe.toml", "tiny.safetensors", "previews/1.png", "previews/4.png"} <= set(files)
    assert b"trigger" in files["README.md"].lower()
    assert [entry.url for entry in ledger.published(bench.run)] == [done.url]
    never_told(bench, tmp_path, capfd.readouterr().err + capfd.readouterr().out + caplog.text)


def test_a_wrong_token_and_none_are_told_apart(
    bench: Bench, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN + "x")
    assert refused() == "hub_token"
    monkeypatch.delenv("HF_TOKEN")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    assert refused() == "hub_token_missing"
    assert hub.repositories == {}
    assert ledger.published(bench.run) == []


@pytest.mark.parametrize(
    "place", ["whoami", "/api/repos/create", "/preupload/", "objects/batch", "/uploads/", "/commit/"]
)
def test_a_cut_line_loses_nothing_and_another_try_succeeds(
    bench: Bench, hub: Hub, place: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.fault = place
    assert refused() == "hub_network"
    assert ledger.published(bench.run) == []
    assert hub.repositories in ({}, {"mira/red-cat": {}})
    hub.fault = ""
    done = put()
    assert sorted(hub.repositories["mira/red-cat"]) == sorted(done.files)
    never_told(bench, tmp_path, "".join(capfd.readouterr()))


def test_a_name_that_is_taken_is_not_written_over_unasked(bench: Bench, hub: Hub) -> None:
    hub.repositories["mira/red-cat"] = {"README.md": b"somebody's"}
    assert refused() == "hub_taken"
    assert hub.repositories["mira/red-cat"] == {"README.md": b"somebody's"}
    put(overwrite=True)
    assert "tiny.safetensors" in hub.repositories["mira/red-cat"]


@pytest.mark.parametrize("name", ["hf:../x", "hf:a b", "hf:a/b/c", "hf:ü"])
def test_what_is_no_repository_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(EngineError) as raised:
        publish(PublishParams(run="last", to=name), lambda done, total: None)
    assert raised.value.info.code == "hub_repository"
