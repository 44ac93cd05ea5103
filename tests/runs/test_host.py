"""The host as a viewer meets it: greeting, replies, pushes, noise, bad requests, the end of the input."""

import base64
import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from engine.handlers import _MODULES, handler
from engine.protocol import PROTOCOL
from engine.protocol.messages import METHODS
from tests.engine_processes import ROOT, Home, Host, journal, slower, until


def test_the_first_line_is_the_greeting(host: Host) -> None:
    hello = host.hello
    assert (hello["type"], hello["protocol"], hello["pid"]) == ("hello", PROTOCOL, host.process.pid)
    assert hello["home"] == str(host.home.path)
    assert {"pause", "stop_now", "bake"} <= set(hello["capabilities"])


def test_every_method_has_its_function() -> None:
    assert set(_MODULES) == set(METHODS)
    for method in METHODS:
        assert handler(method).__doc__


def test_serving_imports_no_tensor_library_and_no_picture_library() -> None:
    program = (
        "import sys, engine.handlers.server, engine.runs.runner, engine.worker, engine.handlers.runs, "
        "engine.handlers.datasets, engine.handlers.choices, engine.handlers.machine\n"
        "heavy = {'torch', 'numpy', 'PIL', 'diffusers', 'transformers', 'peft', 'textual', 'rich'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_noise_is_skipped_and_bad_requests_get_an_answer(host: Host) -> None:
    host.write(b'garbage\n\n\xff\xfe\n[1,2]\n"text"\n{"type":"nonsense"}\n{"type":"request"\n')
    host.write(b'{"type":"request","id":"seven","method":"doctor"}\n{"type":"request","id":70}\n')
    assert host.reply(70)["error"]["code"] == "request_invalid"
    assert host.fails("no.such.method") == "method_unknown"
    assert host.fails("__init__") == "method_unknown"
    assert host.fails("runs.job", run=3) == "request_invalid"
    assert host.fails("runs.job") == "request_invalid"
    assert host.fails("runs.control", run="x", action="explode") == "request_invalid"
    assert host.call("runs.list") == []


def test_an_endless_line_is_skipped(host: Host) -> None:
    host.write(b"x" * (5 * 1024 * 1024) + b'{"type":"request","id":50,"method":"runs.list"}\n')
    assert host.call("runs.list") == []
    assert all(message.get("id") != 50 for message in host.messages)


def test_no_result_breaks_the_pipe_into_two_lines(host: Host) -> None:
    host.submit(name="line\nbreak \x1b[31m ")
    assert host.call("runs.job", run="last")["name"] == "line_break __31m"
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in host.lines)


def test_the_end_of_the_input_ends_the_host(host: Host) -> None:
    assert host.hello
    assert host.close() == 0


def test_another_protocol_is_a_sentence_and_exit_code_3(host: Host) -> None:
    assert host.hello
    host.write(b'{"type":"hello","protocol":99}\n')
    assert host.process.wait(30) == 3
    assert host.process.stderr is not None
    told = host.process.stderr.read().decode()
    assert "protocol" in told
    assert "Traceback" not in told


def test_the_same_protocol_is_welcome(host: Host) -> None:
    host.write(json.dumps({"type": "hello", "protocol": PROTOCOL}).encode() + b"\n")
    assert host.call("runs.list") == []


def test_a_home_that_cannot_be_made_is_a_sentence_and_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = Home(tmp_path / "file" / "home", rate=100)
    process = home.start("host", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, told = process.communicate(timeout=60)
    assert process.returncode == 3
    assert json.loads(out)["error"]["code"] == "home_unwritable"
    assert b"Traceback" not in told


def test_what_a_library_prints_does_not_reach_the_wire(home: Home) -> None:
    program = (
        "import os, sys, threading\nfrom engine import host\n"
        "def noise():\n"
        "    while not os.path.samestat(os.fstat(1), os.fstat(2)):\n"
        "        pass\n"
        "    print('hi', flush=True), os.write(1, b'raw')\n"
        "threading.Thread(target=noise).start()\n"
        "sys.exit(host.main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=home.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, told = process.communicate(timeout=60)
    assert [json.loads(line)["type"] for line in out.splitlines()] == ["hello"]
    assert b"raw" in told


def test_watching_replays_then_follows_byte_for_byte(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 2, "repeat": 20})
    until(lambda: len(journal(run)) > 60, "there is history")
    host.call("runs.watch", run="last")
    home.reaches(run, "done")
    until(lambda: host.events(run) and host.events(run)[-1]["type"] == "finished", "the end was pushed")
    assert [e["seq"] for e in host.events(run)] == list(range(1, len(journal(run)) + 1))
    pushed = b"".join(line for line in host.lines if line.startswith(b'{"type":"batch"'))
    for line in run.journal.read_bytes().splitlines():
        assert line in pushed
    batches = [m for m in host.messages if m["type"] == "batch"]
    live = [b["live"] for b in batches]
    assert live == sorted(live)
    assert not live[0]
    assert live[-1]
    assert max(len(line) for line in host.lines) < 64 * 1024


def test_watching_from_a_number_on_and_again_and_no_more(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 3})
    home.reaches(run, "done")
    count = len(journal(run))
    host.call("runs.watch", run=run.id, seq=count - 5)
    until(lambda: any(m["type"] == "batch" and m["live"] for m in host.messages), "history is complete")
    assert [e["seq"] for e in host.events(run)] == list(range(count - 4, count + 1))
    host.call("runs.watch", run=run.id, seq=count - 1)
    until(lambda: len(host.events(run)) == 6, "the last event came once more")
    host.call("runs.unwatch", run=run.id)
    with open(run.journal, "ab") as handle:
        handle.write(run.journal.read_bytes().splitlines()[-1] + b"\n")
    other = host.submit()
    host.call("runs.watch", run=other.id)
    until(lambda: host.events(other), "the host has looked at journals since")
    assert len(host.events(run)) == 6


def test_broken_lines_in_a_journal_do_not_break_the_pipe(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 1})
    home.reaches(run, "done")
    good = journal(run)
    with open(run.journal, "ab") as handle:
        handle.write(b'noise\n{"type":"step","seq":900,"x":"\xff"}\n{"type":"future","seq":901}\n{"type":"st')
    host.call("runs.watch", run=run.id)
    until(lambda: host.events(run) and host.events(run)[-1]["seq"] == 901, "all that is JSON was pushed")
    assert [e["seq"] for e in host.events(run)] == [*(e.seq for e in good), 901]


def test_subscribers_hear_of_every_change(home: Home, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    assert host.call("runs.subscribe") == []
    run = host.submit(params={"epochs": 1, "repeat": 50})
    until(
        lambda: {r["state"] for m in host.messages if m["type"] == "runs" for r in m["runs"]} >= {"running", "done"},
        "running and done were pushed",
    )
    assert home.row(run).state == "done"


def test_telemetry_comes_by_itself_once_asked_for(host: Host) -> None:
    sample = host.call("device.subscribe")
    assert sample["memory_total"] > sample["memory_used"] > 0
    assert sample["disk_free"] > 0
    pushed = until(lambda: [m for m in host.messages if m["type"] == "device"], "a sample is pushed")
    assert pushed[0]["sample"]["t"] > sample["t"]


def test_the_queue_by_requests(home: Home, host: Host) -> None:
    runs = [host.submit(name=name, start=False) for name in ("a", "b", "c")]
    assert [r["state"] for r in host.call("runs.list")] == ["held"] * 3
    assert host.call("queue.move", run="c", by=-2)["position"] == 1
    assert [r["name"] for r in host.call("runs.list")] == ["c", "a", "b"]
    assert host.call("queue.cancel", run="a")["state"] == "cancelled"
    assert not home.processes("runner")
    assert host.call("queue.start", run="b")["state"] in ("queued", "starting", "running")
    home.reaches(runs[1], "done")
    home.quiet()
    assert home.row(runs[2]).state == "held"
    assert host.call("runs.resume", run="a")["name"] == "a"
    home.reaches(runs[0], "done")
    assert host.call("queue.hold", run="c")["state"] == "held"


def test_refused_submissions_leave_nothing_behind(host: Host, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mira-e01.safetensors").write_text("")
    refused = [
        ({"params": {"epoch": 3}}, "param_unknown"),
        ({"params": {"epochs": 0}}, "param_invalid"),
        ({"params": {"optimizer": "Adam"}}, "param_invalid"),
        ({"out": str(tmp_path / "out")}, "out_exists"),
        ({"out": "/proc/nowhere"}, "out_unwritable"),
        ({"kind": "bake", "base": "no-such-base", "dataset": str(empty)}, "model_unknown"),
    ]
    for params, code in refused:
        assert host.fails("runs.submit", **{"dataset": "", "kind": "fake", "name": "mira", **params}) == code
    assert host.call("runs.list") == []
    assert not (host.home.path / "runs").exists() or not list((host.home.path / "runs").iterdir())


def test_the_end_of_the_console_is_fit_for_a_terminal(home: Home, host: Host) -> None:
    run = host.submit(start=False)
    assert host.call("log.tail", run=run.id) == ""
    run.console.write_bytes(
        b"x" * 100_000
        + b"\n\x1b[31mred\x1b[0m \x1b]0;title\x07plain\x00\x9b\n 10%|#   |\r 90%|####|\rdone\n\xff\xfe\ttab\n"
    )
    told = host.call("log.tail", run=run.id)
    assert len(told) <= 48 * 1024
    assert told.endswith("\nred plain�\ndone\n��\ttab\n")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "mira"
    folder.mkdir()
    for index in range(3):
        Image.new("RGB", (64 + 8 * index, 64), (80 * index, 40, 90)).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text("mira, solo, smile" if index else "mira")
    return folder


def test_a_dataset_by_requests(host: Host, pictures: Path) -> None:
    path = str(pictures)
    assert host.call("dataset.open", path=path)["images"] == 3
    rows = host.call("dataset.rows", path=path)["rows"]
    assert [row["name"] for row in rows] == ["0.png", "1.png", "2.png"]
    changed = host.call(
        "dataset.set_caption", path=path, image="1.png", caption="mira, new", expected=rows[1]["caption"]
    )
    assert changed["rows"][0]["caption"] == "mira, new"
    assert (pictures / "1.txt").read_text() == "mira, new"
    code = host.fails("dataset.set_caption", path=path, image="1.png", caption="x", expected="something else")
    assert code == "caption_changed"
    assert host.fails("dataset.set_caption", path=path, image="../x.png", caption="x") in (
        "image_missing",
        "path_outside",
    )
    assert host.call("dataset.set_repeat", path=path, images=["0.png", "2.png"], repeat=7)["rows"][0]["own_repeat"] == 7
    tags = {row["tag"]: row["count"] for row in host.call("dataset.tags", path=path)["tags"]}
    assert tags == {"mira": 3, "solo": 1, "smile": 1, "new": 1}
    assert host.fails("dataset.open", path=path + "/none") == "dataset_missing"


def test_pictures_come_only_from_opened_datasets_and_runs(home: Home, host: Host, pictures: Path) -> None:
    ask = {"file": "2.png", "width": 40, "height": 40}
    assert host.fails("picture", root=str(pictures), **ask) == "path_outside"
    host.call("dataset.open", path=str(pictures))
    got = host.call("picture", root=str(pictures), **ask)
    assert (got["full_width"], got["full_height"]) == (80, 64)
    assert len(zlib.decompress(base64.b64decode(got["data"]))) == got["width"] * got["height"] * 3
    assert host.fails("picture", root=str(pictures), file="../secret.png", width=4, height=4) == "path_outside"
    run = host.submit(params={"epochs": 1, "repeat": 1})
    home.reaches(run, "done")
    assert host.call("picture", root=str(run.path), file="epochs/01/preview-1.png", width=40, height=40)["width"] == 40
    assert host.fails("picture", root=str(run.path), file="job.toml", width=4, height=4) == "image_unreadable"
    assert host.fails("picture", root="/etc", file="passwd", width=4, height=4) == "path_outside"


def test_the_doctor_tells_the_machine(host: Host) -> None:
    checks = {check["name"]: check for check in host.call("doctor")["checks"]}
    assert checks["python"]["state"] == "ok"
    assert checks["home"]["text"] == str(host.home.path)
    assert all(check["hint"] for check in checks.values() if check["state"] != "ok")


def test_two_hosts_follow_one_run(home: Home, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    slower(home, monkeypatch, 200)
    other = Host(home)
    run = other.submit(params={"epochs": 2, "repeat": 10})
    host.call("runs.watch", run=run.id)
    other.call("runs.watch", run=run.id)
    home.reaches(run, "done")
    for each in (host, other):
        until(lambda each=each: each.events(run) and each.events(run)[-1]["type"] == "finished", "both see the end")
    assert host.events(run) == other.events(run)
    other.close()
