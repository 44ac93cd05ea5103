"""The doctor tells the truth about homes, disks and logouts, and always what to do."""

from pathlib import Path

import pytest

from engine import doctor
from engine.protocol.records import Check
from engine.telemetry import Telemetry
from tests.engine_processes import Home


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


def test_a_machine_that_kills_what_a_user_left_is_warned_of(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    answer = tools / "loginctl"
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    monkeypatch.setattr(doctor, "SYSTEMD", tmp_path)
    for kills, lingers, state in (("yes", "no", "warn"), ("yes", "yes", "ok"), ("no", "no", "ok")):
        answer.write_text(f'#!/bin/sh\ncase "$1" in show-user) echo {lingers};; *) echo {kills};; esac\n')
        answer.chmod(0o755)
        found = checks()["logout"]
        assert found.state == state
        assert ("enable-linger" in found.hint) == (state == "warn")


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
