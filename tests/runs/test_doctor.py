"""The doctor tells the truth about homes, disks and logouts, and always what to do."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from engine import doctor
from engine.protocol.records import Check
from engine.runs import logout
from engine.telemetry import Telemetry
from tests.engine_processes import Home

LOGOUT_ENDS = logout.ends() and logout.lingers() and logout.reachable()


def checks() -> dict[str, Check]:
    return {check.name: check for check in doctor.examine(Telemetry()).checks}


def test_every_check_is_a_fact_and_every_trouble_has_a_hint(home: Home) -> None:
    found = checks()
    assert {"python", "home", "disk", "torch", "gpu", "demo base", "logout"} <= set(found)
    assert all(check.text for check in found.values())
    assert all(check.hint for check in found.values() if check.state != "ok")


def test_a_home_that_cannot_be_made_fails_and_the_rest_is_still_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "file" / "home"))
    found = checks()
    assert found["home"].state == "fail"
    assert "LORABAKE_HOME" in found["home"].hint
    assert found["python"].state == "ok"


@pytest.mark.parametrize(
    ("kills", "spared", "lingers", "answers", "word"),
    [
        ("true", "", "no", True, "enable-linger"),
        ("true", "", "yes", False, "dbus-user-session"),
        ("true", "", "yes", True, ""),
        ("true", "me", "no", True, ""),
        ("false", "", "no", True, ""),
    ],
)
def test_a_machine_that_kills_what_a_user_left_is_warned_of(
    kills: str,
    spared: str,
    lingers: str,
    answers: bool,
    word: str,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = f'as 1 "{pwd.getpwuid(os.getuid()).pw_name}"' if spared else "as 0"
    tools = tmp_path / "bin"
    tools.mkdir()
    _tool(tools / "loginctl", f"echo {lingers}")
    login = f"printf 'b {kills}\\nas 0\\n{names}\\n'"
    _tool(tools / "busctl", f'case "$1" in --user) exit {0 if answers else 1};; esac; {login}')
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    monkeypatch.setattr(logout, "SYSTEMD", tmp_path)
    found = doctor._logout()
    assert found.state == ("warn" if word else "ok")
    assert word in found.hint


def test_an_answer_that_cannot_be_read_stops_no_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    _tool(tools / "busctl", "printf 'b true\\nas 1 \"half\\n'")
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    monkeypatch.setattr(logout, "SYSTEMD", tmp_path)
    assert not logout.outlive()


def _tool(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.skipif(not LOGOUT_ENDS, reason="nobody ends this user's processes here, or nobody keeps them")
def test_a_process_leaves_the_session_that_ends_with_logout() -> None:
    script = "from engine.runs import logout; assert logout.outlive(); print(open('/proc/self/cgroup').read())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert f"user@{os.getuid()}.service" in done.stdout
    assert "session-" not in done.stdout


@pytest.mark.parametrize(
    ("place", "word"),
    [({"TMUX": "/tmp/s,1,0"}, "tmux"), ({"STY": "1.pts"}, "tmux"), ({"SSH_CONNECTION": "a"}, "ssh"), ({}, "local")],
)
def test_it_tells_what_a_lost_connection_ends_here(
    place: dict[str, str], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TMUX", "STY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    assert word in doctor._session().text


def test_without_a_driver_there_are_no_gpus_and_nothing_is_made_up(home: Home) -> None:
    telemetry = Telemetry()
    sample = telemetry.sample()
    assert sample.memory_total > sample.memory_used > 0
    assert (sample.gpus == []) == (checks()["gpu"].state == "warn")
