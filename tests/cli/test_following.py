"""Bakes from the command line, with the scripted worker: real processes, real files, no torch."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import threading
from pathlib import Path

import psutil
import pytest

from engine.protocol.events import Step, decode_event
from engine.protocol.files import lock_holder
from engine.protocol.records import LIVE_STATES, RunRow
from tests.cli.conftest import Lorabake

SHORT = ("--set", "epochs=2", "--set", "repeat=1")
LONG = ("--set", "epochs=100", "--set", "repeat=100")
"""At 500 steps a second this lasts far longer than any test."""


def fake(dataset: Path, *words: str) -> tuple[str, ...]:
    return ("bake", "--kind", "fake", "--dataset", str(dataset), "--base", "demo", *words)


def rows(lorabake: Lorabake) -> dict[str, RunRow]:
    """The runs by name, as the engine of any process reads them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORABAKE_HOME", str(lorabake.home))
        patch.setenv("LORABAKE_DEVICE", "cpu")
        return {row.name: row for row in lorabake.engine.rows()}


def read_until(process: subprocess.Popen[bytes], words: bytes) -> bytes:
    """Output up to the line that holds `words`."""
    assert process.stdout is not None
    seen = b""
    for line in process.stdout:
        seen += line
        if words in line:
            return seen
    raise AssertionError(f"{words!r} never came:\n{seen.decode()}")


def rest_of(process: subprocess.Popen[bytes]) -> tuple[bytes, str]:
    """What is still to come on stdout and stderr, and the end of the process."""
    assert process.stdout is not None
    assert process.stderr is not None
    # Not `communicate`: it would pass over what `read_until` left in the buffer.
    out, err = process.stdout.read(), process.stderr.read().decode()
    process.wait(timeout=60)
    return out, err


def test_a_bake_streams_its_journal_byte_for_byte_and_fills_out(
    lorabake: Lorabake, dataset: Path, tmp_path: Path
) -> None:
    done = lorabake.run(*fake(dataset, *SHORT, "--out", str(tmp_path / "out"), "--name", "mira", "--json"))
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(lorabake.run("runs", "--json").stdout)
    assert (row["name"], row["state"]) == ("mira", "done")
    run = Path(row["dir"])
    assert done.stdout.encode() == (run / "events.jsonl").read_bytes()
    last = json.loads(done.stdout.splitlines()[-1])
    assert (last["type"], last["reason"]) == ("finished", "done")
    kept = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert kept == [
        "mira-e01.safetensors",
        "mira-e02.safetensors",
    ]


def test_without_a_terminal_plain_lines_end_with_every_path(lorabake: Lorabake, dataset: Path) -> None:
    done = lorabake.run(*fake(dataset, *SHORT))
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    assert "epoch 1 saved: mira-e01.safetensors" in done.stdout
    told = done.stdout.partition("done: mira · 2 epochs · 20 optimizer steps")[2]
    run = Path(rows(lorabake)["mira"].dir)
    made = {str(p) for p in (run / "epochs").rglob("*") if p.is_file()}
    assert {line.strip() for line in told.splitlines() if line.startswith("  ")} == made
    assert sum(path.endswith(".png") for path in made) == 12


def test_on_a_terminal_one_line_is_redrawn(lorabake: Lorabake, dataset: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        lorabake.command(*fake(dataset, "--set", "epochs=2", "--set", "repeat=40")),
        env={**lorabake.env, "TERM": "xterm-256color", "NO_COLOR": "1"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    written = b""
    while True:
        try:
            written += os.read(master, 65536)
        except OSError:
            break
    os.close(master)
    assert process.wait() == 0
    assert b"\r\x1b[K" in written
    assert "━".encode() in written
    # The window is named while the bake is watched, and rung for at the end; its own name comes back.
    assert b"\x1b[22;2t\x1b]2;" in written
    assert "% ● running mira\x07".encode() in written
    assert "\x1b]9;mira: ✓ done\x07".encode() in written
    assert written.count(b"\x1b[23;2t") == 1
    lines = written.replace(b"\r\n", b"\n").split(b"\n")
    assert lines[-1] == b""
    assert not [line for line in lines if line.startswith(b"  /") and b"\x1b" in line]


def test_detached_prints_the_identifier_and_watch_shows_it_all(lorabake: Lorabake, dataset: Path) -> None:
    started = lorabake.run(*fake(dataset, *SHORT, "--detach"))
    run = started.stdout.strip()
    assert started.returncode == 0
    watched = lorabake.run("watch", run, "--json")
    assert watched.returncode == 0, watched.stderr
    journal = Path(rows(lorabake)["mira"].dir) / "events.jsonl"
    assert watched.stdout.encode() == journal.read_bytes()
    again = lorabake.run("watch", "last")
    assert again.returncode == 0
    assert "done: mira" in again.stdout


def test_ctrl_c_leaves_the_bake_running_and_says_how_to_return(lorabake: Lorabake, dataset: Path) -> None:
    process = lorabake.start(*fake(dataset, *LONG))
    read_until(process, b"4 baseline previews")
    process.send_signal(signal.SIGINT)
    _, err = rest_of(process)
    assert process.returncode == 130
    row = rows(lorabake)["mira"]
    assert row.state in LIVE_STATES
    assert f"lorabake watch {row.id}" in err
    assert "Traceback" not in err


def test_a_killed_viewer_leaves_the_bake_running(lorabake: Lorabake, dataset: Path) -> None:
    process = lorabake.start(*fake(dataset, *LONG, "--json"))
    read_until(process, b'"baseline"')
    process.kill()
    rest_of(process)
    watcher = lorabake.start("watch", "last", "--json")
    seen = read_until(watcher, b'"step":100,')
    assert [e.seq for line in seen.splitlines() if (e := decode_event(line))] == list(range(1, seen.count(b"\n") + 1))
    watcher.kill()
    rest_of(watcher)


def test_stop_then_resume_goes_on_with_the_same_journal(lorabake: Lorabake, dataset: Path) -> None:
    process = lorabake.start(*fake(dataset, "--set", "epochs=2", "--set", "repeat=100", "--json"))
    before = read_until(process, b'"step":50,')
    assert lorabake.run("stop", "last").returncode == 0
    out, _ = rest_of(process)
    assert process.returncode == 130
    assert json.loads((before + out).splitlines()[-1])["reason"] == "stopped"
    assert rows(lorabake)["mira"].state == "stopped"
    assert lorabake.run("resume", "mira").returncode == 0
    watched = lorabake.run("watch", "mira", "--json")
    assert watched.returncode == 0, watched.stderr
    events = [decode_event(line) for line in watched.stdout.encode().splitlines()]
    assert [event.step for event in events if isinstance(event, Step)] == list(range(1, 2001))
    assert lorabake.run("resume", "mira").returncode == 1


def test_pause_and_resume(lorabake: Lorabake, dataset: Path) -> None:
    process = lorabake.start(*fake(dataset, *LONG))
    read_until(process, b"4 baseline previews")
    assert "asked to pause" in lorabake.run("pause", "last").stdout
    read_until(process, b"paused after step")
    assert rows(lorabake)["mira"].state == "paused"
    assert lorabake.run("resume", "last").returncode == 0
    read_until(process, b"going on from step")
    assert lorabake.run("stop", "last", "--now").returncode == 0
    rest_of(process)
    assert process.returncode == 130


def test_a_dead_worker_is_told_with_what_to_do(lorabake: Lorabake, dataset: Path) -> None:
    process = lorabake.start(*fake(dataset, *LONG))
    read_until(process, b"4 baseline previews")
    worker = lock_holder(Path(rows(lorabake)["mira"].dir) / "lock")
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    _, err = rest_of(process)
    assert process.returncode == 1
    assert "ended without a word" in err
    assert "lorabake resume" in err


def test_a_second_bake_waits_its_turn_and_says_so(lorabake: Lorabake, dataset: Path) -> None:
    first = lorabake.run(*fake(dataset, *LONG, "--name", "first", "--detach")).stdout.strip()
    second = lorabake.start(*fake(dataset, *SHORT, "--name", "second"))
    assert b"place 1, while first bakes" in read_until(second, b"waiting in the queue")
    listed = json.loads(lorabake.run("queue", "list", "--json").stdout)
    assert [(row["name"], row["position"]) for row in listed] == [("first", 0), ("second", 1)]
    assert listed[0]["state"] in LIVE_STATES
    assert listed[1]["state"] == "queued"
    assert lorabake.run("stop", first, "--now").returncode == 0
    out, _ = rest_of(second)
    assert second.returncode == 0
    assert b"done: second" in out


def test_the_queue_moves_holds_and_cancels(lorabake: Lorabake, dataset: Path) -> None:
    for name in ("first", "second", "third"):
        words = LONG if name == "first" else SHORT
        assert lorabake.run(*fake(dataset, *words, "--name", name, "--detach")).returncode == 0
    assert "third is at place 1" in lorabake.run("queue", "move", "third").stdout
    assert "held" in lorabake.run("queue", "hold", "second").stdout
    assert rows(lorabake)["second"].state == "held"
    assert lorabake.run("queue", "start", "second").returncode == 0
    assert "cancelled" in lorabake.run("queue", "cancel", "second").stdout
    watched = lorabake.run("watch", "second")
    assert watched.returncode == 130
    assert "cancelled" in watched.stdout


def test_two_viewers_of_one_run_see_the_same(lorabake: Lorabake, dataset: Path) -> None:
    process = lorabake.start(*fake(dataset, "--set", "epochs=2", "--set", "repeat=20", "--json"))
    begun = read_until(process, b'"prepare"')
    watched: list[str] = []
    other = threading.Thread(target=lambda: watched.append(lorabake.run("watch", "last", "--json").stdout))
    other.start()
    out, _ = rest_of(process)
    other.join()
    assert watched[0].encode() == begun + out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("watch", "nope"), 2, "There is no run nope."),
        (("stop", "last"), 2, "There is no run last."),
        (("bake", "--dataset", "/nowhere", "--base", "demo"), 3, "There is no folder /nowhere."),
        (("estimate", "--dataset", "/nowhere", "--base", "demo"), 3, "There is no folder /nowhere."),
        (("estimate", "--dataset", "EMPTY", "--base", "demo"), 3, "holds no PNG, JPEG or WebP image."),
        (("bake", "--dataset", "DATASET", "--base", "nope"), 2, "There is no base model nope."),
        (("bake", "--dataset", "DATASET", "--base", "EMPTY"), 3, "is not a base model"),
        (("bake", "--dataset", "DATASET", "--base", "demo", "--preset", "nope"), 2, "There is no preset nope."),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    lorabake: Lorabake, dataset: Path, tmp_path: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"EMPTY": str(tmp_path / "empty"), "DATASET": str(dataset)}
    done = lorabake.run(*(places.get(word, word) for word in words))
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert done.stdout == ""


def test_a_home_that_cannot_be_written(lorabake: Lorabake, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = lorabake.run("runs", LORABAKE_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 3
    assert "cannot be written" in done.stderr
    assert "LORABAKE_HOME" in done.stderr


def test_a_second_bake_of_the_same_name_leaves_the_first_one_in_out(
    lorabake: Lorabake, dataset: Path, tmp_path: Path
) -> None:
    words = fake(dataset, *SHORT, "--out", str(tmp_path / "out"))
    assert lorabake.run(*words).returncode == 0
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert lorabake.run(*words).returncode == 0
    assert len(list((tmp_path / "out").glob("*.safetensors"))) == 4
    assert {path: path.stat().st_mtime_ns for path in first} == first


def test_lists_have_one_json_document_each(lorabake: Lorabake) -> None:
    assert json.loads(lorabake.run("runs", "--json").stdout) == []
    assert any(row["name"] == "demo" for row in json.loads(lorabake.run("models", "--json").stdout))
    assert any(row["theme"] == "anime" for row in json.loads(lorabake.run("presets", "--json").stdout))
    checks = json.loads(lorabake.run("doctor", "--json").stdout)["checks"]
    assert {"python", "home", "torch"} <= {check["name"] for check in checks}
    assert set(json.loads(lorabake.run("demo", "--where", "--json").stdout)) == {"base", "tagger", "dataset", "reg"}


def test_a_lost_engine_is_told_and_the_bake_goes_on(lorabake: Lorabake, dataset: Path) -> None:
    process = lorabake.start(*fake(dataset, *LONG))
    read_until(process, b"4 baseline previews")
    host = next(child for child in psutil.Process(process.pid).children() if "host" in child.cmdline())
    host.kill()
    _, err = rest_of(process)
    assert process.returncode == 3
    assert "The engine process ended." in err
    assert rows(lorabake)["mira"].state in LIVE_STATES


def test_demo_without_a_terminal_prints_lines(lorabake: Lorabake) -> None:
    done = lorabake.run("demo", "--kind", "fake", "--set", "epochs=1", "--set", "repeat=1")
    assert done.returncode == 0, done.stderr
    assert "done: demo" in done.stdout
    assert "demo-e01.safetensors" in done.stdout.splitlines()[-5]
