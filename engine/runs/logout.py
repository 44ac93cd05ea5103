"""Logging out under systemd: whether it ends what a user left running, and the runner's way out of the session.

It asks logind and the user's own service manager through `busctl`; a machine without systemd is asked nothing.
"""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

SYSTEMD = Path("/run/systemd/system")
"""There when systemd runs this machine."""
_LOGIN = "org.freedesktop.login1"
_UNITS = "org.freedesktop.systemd1"
_MOVE_SECONDS = 3.0


def ends() -> bool:
    """Whether logind ends this user's processes when their session closes, detached ones as well."""
    if not SYSTEMD.is_dir():
        return False
    names = ("KillUserProcesses", "KillOnlyUsers", "KillExcludeUsers")
    path = "/" + _LOGIN.replace(".", "/")
    answer = _ask(["busctl", "get-property", _LOGIN, path, f"{_LOGIN}.Manager", *names]) or ""
    # One line each: "b true", then lists as "as 1 "root"".
    try:
        kills, only, spared = ([*map(shlex.split, answer.splitlines()), [], [], []])[:3]
    except ValueError:
        return False
    user = _user()
    return kills == ["b", "true"] and user not in spared[2:] and (not only[2:] or user in only[2:])


def lingers() -> bool:
    """Whether this user's service manager stays when the last session closes (`loginctl enable-linger`)."""
    return _ask(["loginctl", "show-user", str(os.getuid()), "--property", "Linger", "--value"]) == "yes"


def reachable() -> bool:
    """Whether this user's service manager can be asked to take a process."""
    path = "/" + _UNITS.replace(".", "/")
    words = ["busctl", "--user", "get-property", _UNITS, path, f"{_UNITS}.Manager", "Version"]
    return _ask(words, _own_bus()) is not None


def outlive() -> bool:
    """Move this process, and so all it will start, where logging out does not end it; True when it was moved.

    Lingering alone does not do that: the session's scope is ended with everything in it, and a session of its own
    (setsid) does not leave that scope. Never raises; where nothing can be moved, all stays as it is.
    """
    if not (ends() and lingers()):
        return False
    pid = os.getpid()
    path = "/" + _UNITS.replace(".", "/")
    call = ["busctl", "--user", "--quiet", "call", _UNITS, path, f"{_UNITS}.Manager", "StartTransientUnit"]
    unit = ["ssa(sv)a(sa(sv))", f"lorabake-{pid}.scope", "fail", "1", "PIDs", "au", "1", str(pid), "0"]
    before = _group()
    if _ask([*call, *unit], _own_bus()) is None:
        return False
    # The answer is that the move was begun; a worker that is started before its end would be left behind.
    deadline = time.monotonic() + _MOVE_SECONDS
    while _group() == before and time.monotonic() < deadline:
        time.sleep(0.01)
    return _group() != before


def _group() -> str:
    try:
        return Path("/proc/self/cgroup").read_text("utf-8", "replace")
    except OSError:
        return ""


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""


def _own_bus() -> Mapping[str, str]:
    return {"XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}", **os.environ}


def _ask(words: list[str], env: Mapping[str, str] | None = None) -> str | None:
    """What a tool answers; None when it is not there, takes too long or fails."""
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=3, stdin=subprocess.DEVNULL, check=False, env=env
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
