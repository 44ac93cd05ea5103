"""Tells a person's own command and webhook that a run ended, failed or stalled; nothing here can harm a run.

Telling is a process of its own, which nobody waits for; what goes wrong in it is a line of tell.log.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from engine import home
from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_write
from engine.protocol.telling import Moment, TellReport, TellSettings
from engine.runs.folder import RunFolder
from engine.runs.tail import Tail

COMMAND_SECONDS = 30.0
WEBHOOK_SECONDS = 15.0
_TRIES = 3
"""A webhook is tried again after a few seconds."""


def settings_path() -> Path:
    """Where the settings are kept; may not exist."""
    return home.home() / "tell.toml"


def read_settings() -> TellSettings:
    """The settings; the defaults where there is no file or a damaged one."""
    try:
        return msgspec.convert(tomllib.loads(settings_path().read_text("utf-8")), TellSettings)
    except (OSError, EngineError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError):
        return TellSettings()


def write_settings(settings: TellSettings) -> TellSettings:
    """Keep the settings; raises EngineError `webhook_invalid` or `home_unwritable`."""
    if settings.webhook and not settings.webhook.startswith(("http://", "https://")):
        raise EngineError("webhook_invalid", address=settings.webhook[:80])
    try:
        atomic_write(settings_path(), tomli_w.dumps(msgspec.to_builtins(settings)).encode())
    except OSError as error:
        raise EngineError("home_unwritable", path=settings_path(), reason=error.strerror or error) from None
    return settings


def wanted(moment: Moment) -> bool:
    """Whether a command or a webhook wants to hear of this."""
    settings = read_settings()
    return moment in settings.on and bool(settings.command or settings.webhook)


def facts(run: RunFolder, moment: str) -> dict[str, Any]:
    """What is told of a run: plain values, the same for command and webhook."""
    tail = Tail(run.journal).refresh()
    found: dict[str, Any] = {
        "event": moment,
        "run": run.id,
        "name": run.id,
        "dir": str(run.path),
        "host": socket.gethostname(),
        "epoch": tail.epoch,
        "step": tail.done_steps,
    }
    with contextlib.suppress(EngineError):
        job = run.read_job()
        found |= {"name": job.name, "kind": job.kind, "dataset": job.dataset, "base": job.base}
    if tail.plan is not None:
        found |= {"epochs": tail.plan.epochs, "steps": tail.plan.steps}
    if tail.step is not None:
        found["loss"] = tail.step.loss
    if tail.finished is not None:
        found["seconds"] = round(tail.finished.seconds, 1)
        found["files"] = [str(run.path / name) for name in tail.finished.files]
    if tail.error is not None and moment == "failed":
        found["error"] = {"code": tail.error.code, "message": tail.error.message, "hint": tail.error.hint}
    name, epochs = found["name"], found.get("epochs", 0)
    found["text"] = f"{name}: {moment}" + (f", epoch {tail.epoch} of {epochs}" if epochs else "")
    return found


def tell(settings: TellSettings, told: dict[str, Any]) -> TellReport:
    """Run the command and post to the webhook, each within its time; never raises."""
    data = msgspec.json.encode(told)
    return TellReport(
        command=_run(settings.command, data) if settings.command else "",
        webhook=_post(settings.webhook, data) if settings.webhook else "",
    )


def main(run_dir: str, moment: str) -> int:
    """The process: tell of the run in `run_dir`, and log what went wrong; exit status 0, 1 when something did."""
    run = RunFolder(Path(run_dir))
    report = tell(read_settings(), facts(run, moment))
    bad = [f"{name}: {text}" for name, text in (("command", report.command), ("webhook", report.webhook))
           if text not in ("", "ok")]  # fmt: skip
    for line in bad:
        print(time.strftime("%Y-%m-%d %H:%M:%S"), run.id, moment, line, file=sys.stderr)
    return 1 if bad else 0


def _run(command: str, data: bytes) -> str:
    try:
        child = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return error.strerror or str(error)
    try:
        _, complaint = child.communicate(data, timeout=COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return f"not done within {COMMAND_SECONDS:.0f} s"
    if child.returncode:
        last = complaint.decode("utf-8", "replace").strip().splitlines()[-1:]
        return f"exit status {child.returncode}" + (f": {last[0][:200]}" if last else "")
    return "ok"


def _post(address: str, data: bytes) -> str:
    import urllib.request  # only here: with it, each host, runner and worker would start a fifth slower

    request = urllib.request.Request(
        address, data=data, headers={"Content-Type": "application/json", "User-Agent": "lorabake"}
    )
    reason = ""
    for left in reversed(range(_TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=WEBHOOK_SECONDS):
                return "ok"
        except Exception as error:  # a proxy, a certificate, an odd reply: whatever it is, it is only worth a line
            reason = f"{type(error).__name__}: {error}"[:200]
            if left:
                time.sleep(2.0)
    return reason
