"""Downloading a model of the catalogue, from a stand-in of the hub that speaks its protocol on this machine."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from engine import presets
from engine.models import catalogue, hub
from engine.protocol.errors import EngineError
from tests.models.test_sniff import folder, xl_file

COMMIT = "0" * 40
TOKEN = "hf_abcdefghijklmnopqrstuvwxyz"


class Hub(ThreadingHTTPServer):
    """Repositories as folders; keeps what was asked."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        if path.startswith("/api/models/"):
            self._send(self._listing(path), body=body)
            return
        repository, _, rest = path.strip("/").partition("/resolve/")
        file = self.server.root / repository / rest.partition("/")[2]
        if not file.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._send(file.read_bytes(), body=body)

    def _listing(self, path: str) -> bytes:
        repository = "/".join(path.removeprefix("/api/models/").split("/")[:2])
        root = self.server.root / repository
        files = [file for file in sorted(root.rglob("*")) if file.is_file()]
        return json.dumps(
            [
                {"type": "file", "path": str(file.relative_to(root)), "size": file.stat().st_size, "oid": COMMIT}
                for file in files
            ]
        ).encode()

    def _send(self, data: bytes, *, body: bool) -> None:
        start = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if body:
            self.wfile.write(data[start:])


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A running stand-in, asked in place of the real one, and a home without models."""
    import huggingface_hub.constants as constants

    with Hub(tmp_path / "hub") as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        where = f"http://127.0.0.1:{running.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", where)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", where + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield running
        running.shutdown()
        thread.join()


def base(**changed: object) -> presets.Base:
    return msgspec.structs.replace(presets.bases()["sdxl"], **{"bytes": 1000, **changed})


def test_a_single_file_with_the_vocabulary(server: Hub, tmp_path: Path) -> None:
    wanted = base()
    place = server.root / wanted.hub
    place.mkdir(parents=True)
    xl_file(place / wanted.file)
    words = server.root / hub.VOCABULARY[0]
    words.mkdir(parents=True)
    for name in hub.VOCABULARY[1]:
        (words / name).write_text("{}")
    told: list[tuple[int, int]] = []
    assert catalogue.locate("sdxl").missing
    path = hub.fetch(wanted, lambda done, total: told.append((done, total)))
    assert path == tmp_path / "home" / "models" / "sdxl.safetensors"
    assert path.read_bytes() == (place / wanted.file).read_bytes()
    assert told[-1] == (1000, 1000)
    assert sorted(p.name for p in path.parent.iterdir()) == ["sdxl.safetensors", "tokenizer"]
    assert (path.parent / "tokenizer" / "merges.txt").is_file()


def test_a_repository_of_diffusers_without_what_a_bake_does_not_read(server: Hub, tmp_path: Path) -> None:
    wanted = base(hub="", file="")
    place = folder(server.root / wanted.diffusers, cross_attention_dim=2048, addition_embed_type="text_time")
    for part in ("vae", "text_encoder", "text_encoder_2"):
        (place / part / "config.json").write_text("{}")
    for extra in ("README.md", "unet/diffusion_pytorch_model.fp16.safetensors", "unet/model.onnx", "vae_1_0/x.bin"):
        (place / extra).parent.mkdir(exist_ok=True)
        (place / extra).write_text("much")
    for part in ("tokenizer", "tokenizer_2", "scheduler"):
        (place / part / "some.json").write_text("{}")
    path = hub.fetch(wanted, lambda done, total: None)
    assert path == tmp_path / "home" / "models" / "sdxl"
    assert not list(path.rglob("*.onnx")) + list(path.rglob("*fp16*")) + list(path.rglob("README.md"))
    located = catalogue.locate("sdxl")
    assert (located.missing, located.path, located.family) == (False, path, "sdxl")


def test_a_cancelled_download_goes_on_where_it_stopped(server: Hub, tmp_path: Path) -> None:
    wanted = base(hub="", file="")
    folder(server.root / wanted.diffusers, cross_attention_dim=2048, addition_embed_type="text_time")

    class Cancelled(Exception):
        pass

    def cancel(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        hub.fetch(wanted, cancel)
    assert not (tmp_path / "home" / "models" / "sdxl").exists()
    first = len(server.asked)
    hub.fetch(wanted, lambda done, total: None)
    assert len(server.asked) > first
    assert catalogue.locate("sdxl").path.is_dir()


def test_failures_are_sentences_without_the_token(server: Hub, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        hub.fetch(base(), lambda done, total: None)
    info = caught.value.info
    assert info.code == "model_download"
    assert "sdxl" in info.message
    assert TOKEN not in info.message + info.hint
    with pytest.raises(EngineError) as caught:
        hub.fetch(base(bytes=1 << 60), lambda done, total: None)
    assert caught.value.info.code == "model_download"


def test_what_the_hubs_own_cache_holds_needs_no_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    snapshot = tmp_path / "cache" / "models--stabilityai--stable-diffusion-xl-base-1.0" / "snapshots" / COMMIT
    folder(snapshot, cross_attention_dim=2048, addition_embed_type="text_time")
    located = catalogue.locate("sdxl")
    assert (located.path, located.missing, located.family) == (snapshot, False, "sdxl")
