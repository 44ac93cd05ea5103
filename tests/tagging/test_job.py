"""Tagging jobs as real workers: the demo's tagger through the whole path, killed and resumed, stopped, refused."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from engine.dataset.captions import split_tags
from engine.demo.paths import TAGGER
from engine.protocol import events
from engine.protocol.control import ControlReader, send
from engine.protocol.errors import EngineError
from engine.protocol.journal import JournalReader, JournalWriter
from engine.protocol.records import Job
from engine.protocol.tag_options import TagOptions
from engine.runs import launch, queue
from engine.runs.folder import RunFolder
from engine.tagging import contracts, fetch, job
from engine.tagging.scores import Scores
from tests.engine_processes import Home, home, until
from tests.tagging.models import tagger_folder

__all__ = ["home"]
HELD = Path(__file__).parent / "data" / "held"


def pictures(folder: Path, count: int = 0) -> Path:
    """The held-out drawings without their captions."""
    folder.mkdir()
    for path in sorted(HELD.glob("*.png"))[: count or None]:
        shutil.copy(path, folder)
    return folder


def asked(folder: Path, **options: object) -> Job:
    return Job(id="", kind="tag", name="t", created=1.0, dataset=str(folder), tagging=TagOptions(**options))  # type: ignore[arg-type]


def run_here(tmp_path: Path, wanted: Job, name: str = "run") -> list[events.Event]:
    """The job in this process, as the worker calls it; its journal."""
    run = RunFolder(tmp_path / name)
    run.path.mkdir(exist_ok=True)
    journal = JournalWriter(run.journal, "r")
    try:
        job.tag(run, wanted, journal, ControlReader(run.control))
    finally:
        journal.close()
    return JournalReader(run.journal).read_all()


def only(found: list[events.Event], kind: type[events.Event]) -> list[events.Event]:
    return [event for event in found if isinstance(event, kind)]


def f1(folder: Path) -> tuple[float, float]:
    """(micro, macro) of the captions written against those drawn; the character's name is not in the drawings' own."""
    hits: dict[str, int] = {}
    sizes: dict[str, int] = {}
    seen: set[str] = set()
    for path in sorted(HELD.glob("*.txt")):
        drawn = set(split_tags(path.read_text()))
        told = set(split_tags((folder / path.name).read_text())) - {"nekomizu"}
        seen |= drawn
        for tag in drawn | told:
            sizes[tag] = sizes.get(tag, 0) + (tag in drawn) + (tag in told)
            hits[tag] = hits.get(tag, 0) + 2 * (tag in drawn and tag in told)
    macro = [hits[tag] / sizes[tag] for tag in seen]
    return sum(hits.values()) / sum(sizes.values()), sum(macro) / len(macro)


def test_the_demo_tagger_names_drawings_it_never_saw(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "set")
    found = run_here(tmp_path, asked(folder))
    micro, macro = f1(folder)
    assert micro >= 0.9
    assert macro >= 0.85
    (plan,) = [event.plan for event in only(found, events.Phase) if event.plan]  # type: ignore[attr-defined]
    assert (plan.base, plan.device, plan.images) == ("demo", "CPU", 52)
    assert "tagger_on_cpu" in [event.code for event in only(found, events.Warning)]  # type: ignore[attr-defined]
    last = only(found, events.Progress)[-1]
    assert (last.done, last.total) == (52, 52)  # type: ignore[attr-defined]
    assert last.per_s  # type: ignore[attr-defined]


def test_unreadable_images_are_findings_and_the_scores_are_used_again(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "set", 6)
    whole = (folder / "02.png").read_bytes()
    (folder / "02.png").write_bytes(whole[: len(whole) // 2])
    (folder / "99.jpg").write_bytes(b"no picture")
    found = run_here(tmp_path, asked(folder))
    named = {event.args["file"] for event in only(found, events.Warning) if event.code == "image_unreadable"}  # type: ignore[attr-defined]
    assert named == {"02.png", "99.jpg"}
    (told,) = only(found, events.Tagged)
    assert (told.scored, told.changed, told.failed) == (5, 5, 2)  # type: ignore[attr-defined]
    (folder / "02.png").write_bytes(whole)
    again = run_here(tmp_path, asked(folder), "again")
    first = only(again, events.Progress)[0]
    assert (first.done, first.total) == (6, 7)  # type: ignore[attr-defined]
    assert only(again, events.Tagged)[0].changed == 1  # type: ignore[attr-defined]


def test_two_taggers_and_no_writing(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "set", 3)
    other = tagger_folder(tmp_path / "other")
    run_here(tmp_path, asked(folder, taggers=("demo", str(other)), write=False))
    assert not list(folder.glob("*.txt"))
    name = contracts.find(str(other)).name
    assert [sorted(Scores(folder, one).scored()) for one in ("demo", name)] == [["01.png", "02.png", "03.png"]] * 2


def test_a_stop_is_heard_between_batches(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "set")
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    send(run.control, "stop")
    found = run_here(tmp_path, asked(folder))
    assert [event.state for event in only(found, events.Ack)] == ["accepted", "done"]  # type: ignore[attr-defined]
    assert only(found, events.Finished)[0].reason == "stopped"  # type: ignore[attr-defined]
    assert not list(folder.glob("*.txt"))


def test_a_killed_job_goes_on_where_it_was(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = pictures(tmp_path / "set")
    for number in range(8):  # not done in a moment
        Image.effect_noise((1400, 1000), 60 + number).convert("RGB").save(folder / f"n{number:02d}.jpg", quality=92)
    run = queue.submit(asked(folder, batch=1), [], start=True)
    launch.ensure_runner()

    def progress() -> list[events.Progress]:
        found = JournalReader(run.journal).read_all() if run.journal.exists() else []
        return only(found, events.Progress)  # type: ignore[return-value]

    until(lambda: any(event.done for event in progress()), "the first images are tagged")
    send(run.control, "pause")
    home.reaches(run, "paused")
    until(lambda: home.kill("worker"), "the worker, which begins anew to wait without a model, is killed")
    assert home.reaches(run, "failed").resumable
    assert not list(folder.glob("*.txt"))
    scored = len(list(Scores(folder, "demo").scored()))
    assert 0 < scored < 60
    queue.requeue(run)
    launch.ensure_runner()
    row = home.reaches(run, "done")
    assert (row.step, row.steps) == (60, 60)
    found = progress()
    second = [event for event in found if event.boot == found[-1].boot]
    assert (second[0].done, second[0].boot == found[0].boot) == (scored, False)
    assert len(list(folder.glob("*.txt"))) == 60


class _Hub(BaseHTTPRequestHandler):
    """As much of the hub as a download needs, on this machine."""

    asked: list[str] = []

    def _answer(self, *, body: bool) -> None:
        name = self.path.split("/resolve/main/")[-1].split("?")[0]
        self.asked.append(f"{self.command} {self.path}")
        file = TAGGER / name
        if "/resolve/main/" not in self.path or not file.is_file():
            self.send_error(404)
            return
        data = file.read_bytes()
        self.send_response(200)
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{len(data):040d}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_tagger_of_the_catalogue_is_downloaded_where_a_hub_answers(
    hub: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)  # a model loaded in this process sets it
    monkeypatch.setenv("HF_ENDPOINT", hub)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = pictures(tmp_path / "set", 2)
    run = queue.submit(asked(folder, taggers=("wd-vit-v3",)), [], start=True)
    launch.ensure_runner()
    home.reaches(run, "done", "failed")
    assert any("SmilingWolf/wd-vit-tagger-v3/resolve/main/model.onnx" in line for line in _Hub.asked)
    assert (contracts.find("wd-vit-v3").model).read_bytes() == (TAGGER / "model.onnx").read_bytes()
    assert "ink style" in (folder / "02.txt").read_text()


def test_a_person_who_is_offline_stays_so(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fetch.ASKED_OFFLINE, "1")
    with pytest.raises(EngineError) as refused:
        run_here(tmp_path, asked(pictures(tmp_path / "set", 1), taggers=("wd-vit-v3",)))
    assert refused.value.info.code == "tagger_absent"
    assert "SmilingWolf/wd-vit-tagger-v3" in refused.value.info.hint


def test_the_job_is_frozen_as_text_that_a_person_can_read(home: Home, tmp_path: Path) -> None:
    run = queue.submit(asked(pictures(tmp_path / "set", 1), exclude=("solo",), general=0.4), [], start=False)
    assert run.read_job().tagging == TagOptions(exclude=("solo",), general=0.4)
    assert "general = 0.4" in run.job_toml.read_text()
    bake = queue.submit(Job(id="", kind="fake", name="b", created=1.0, dataset=""), [], start=False)
    assert "tagging" not in bake.job_toml.read_text()
    assert json.loads(run.manifest_json.read_bytes()) == []
