"""What watching and pausing cost: coming back to a long run, a viewer beside a fast one, the journal, a pause.

    python -m tools.bench.live [attach] [viewer] [journal] [pause] [eta]

`pause` and `eta` bake the demo; the others need no model. Each figure stands beside its limit.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from engine.protocol.control import send
from engine.protocol.events import Event, Finished, Paused, Step
from engine.protocol.journal import JournalReader, JournalWriter
from engine.protocol.records import Job
from tools.bench.replay import journal as long_journal

EVENTS = 100_000
RATE = 50.0
VIEWER_SECONDS = 20.0
DEMO = {"epochs": 5}


def told(what: str, figure: str, limit: str) -> None:
    """One line."""
    print(f"{what:48} {figure:>14}   limit {limit}", flush=True)


# -- coming back ------------------------------------------------------------------------------------------------------


def attach(home: Path) -> None:
    """From opening the app to a complete Monitor of a run with 100,000 events."""
    from engine.runs import queue

    job = Job(id="", kind="fake", name="long", created=time.time(), dataset="")
    run = queue.submit(job, [], start=False)
    run.journal.write_bytes(b"".join(line.replace(b'"bench"', b'"' + run.id.encode() + b'"') + b"\n"
                                     for line in long_journal(EVENTS)))  # fmt: skip
    writer = JournalWriter(run.journal, run.id)
    writer.emit(Finished, reason="done", epoch=50, step=EVENTS - 300)
    writer.close()
    took = [asyncio.run(_attach(run)) for _ in range(3)]
    told("a run of 100,000 events, opened: whole app, s", f"{min(row[0] for row in took):.2f}", "")
    told("  of it from choosing the run to all painted, s", f"{min(row[1] for row in took):.2f}", "0.5")
    told("  of it processor time of the app, s", f"{min(row[2] for row in took):.2f}", "")


async def _attach(run):  # type: ignore[no-untyped-def]
    from lorabake_tui.app import LoRABake
    from lorabake_tui.widgets.chart import Chart

    began = time.perf_counter()
    app = LoRABake(section="queue")
    async with app.run_test(size=(120, 36)) as pilot:
        while not app.store.runs:
            await pilot.pause(0.01)
        chosen, spent = time.perf_counter(), time.process_time()
        app.watch_run(run.id)
        while True:
            await asyncio.sleep(0.01)
            screen = app.screen
            if getattr(screen, "run_shown", "") and screen.view.finished and screen.query_one(Chart).settled:
                drawn = screen.query_one(Chart)._drawn
                if drawn is not None and drawn[0].curves:
                    break
        now = time.perf_counter()
        return now - began, now - chosen, time.process_time() - spent


# -- watching ---------------------------------------------------------------------------------------------------------


def viewer(home: Path) -> None:
    """Processor time and memory of the app, and of its host, beside a bake of 50 steps a second."""
    from engine.runs import launch, queue
    from tools.bench.first_paint import Terminal

    os.environ["LORABAKE_FAKE_RATE"] = str(RATE)
    from engine.protocol import fields

    params = fields.build({"epochs": 100, "repeat": 10, "preview_every_epochs": 0})
    job = Job(id="", kind="fake", name="fast", created=time.time(), dataset="", params=params)
    run = queue.submit(job, [], start=True)
    launch.ensure_runner()
    terminal = Terminal("lorabake_tui", home=home)
    terminal.until_painted()
    os.write(terminal.master, b"5")
    settle = time.monotonic() + 5
    while time.monotonic() < settle:
        terminal.read(0.1)
    app = psutil.Process(terminal.process.pid)
    host = next(child for child in app.children(recursive=True) if "host" in child.cmdline())
    before = [_cpu(process) for process in (app, host)]
    seq = len(JournalReader(run.journal).read_all())
    began = time.monotonic()
    while time.monotonic() - began < VIEWER_SECONDS:
        terminal.read(0.1)
    spent = time.monotonic() - began
    shares = [100 * (_cpu(process) - one) / spent for process, one in zip((app, host), before, strict=True)]
    rate = (len(JournalReader(run.journal).read_all()) - seq) / spent
    told(f"viewer at {rate:.0f} events/s, % of a core", f"{shares[0]:.1f}", "5")
    told("  its host, % of a core", f"{shares[1]:.1f}", "")
    told("  viewer's memory (USS), MB", f"{app.memory_full_info().uss / 1e6:.0f}", "100")
    os.write(terminal.master, b"\x11")
    terminal.process.wait(20)
    send(run.control, "stop_now")
    _wait(lambda: isinstance(JournalReader(run.journal).read_all()[-1], Finished))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def journal(home: Path) -> None:
    """What a line of the journal takes of a step."""
    writer = JournalWriter(home / "events.jsonl", "r")
    count = 20_000
    began = time.perf_counter()
    for step in range(1, count + 1):
        facts = {"loss": 0.1, "lr": {"unet": 1e-4, "text_encoder": 5e-5}, "grad_norm": 0.2, "images": 4}
        writer.emit(Step, step=step, epoch=1, it_s=4.0, eta_s=100.0, elapsed_s=step / 4, **facts)
    each = (time.perf_counter() - began) / count
    writer.close()
    told("a line of the journal, µs", f"{each * 1e6:.1f}", "")
    for name, seconds in (("a step of 50 ms (the demo on a GPU)", 0.05), ("a step of 250 ms (SDXL)", 0.25)):
        told(f"  of {name}, %", f"{100 * each / seconds:.3f}", "0.5")


# -- bakes of the demo ------------------------------------------------------------------------------------------------


def pause(home: Path) -> None:
    """Memory of a worker while it trains and while it is paused; then it goes on to the end."""
    run = _bake("pause")
    _wait(lambda: any(isinstance(e, Step) and e.step > 10 for e in _events(run)))
    worker = psutil.Process(_holder(run))
    before = worker.memory_full_info()
    send(run.control, "pause")
    _wait(lambda: isinstance(_last(run, Paused), Paused))
    asked = time.monotonic()
    _wait(lambda: worker.memory_full_info().uss < before.uss / 5)
    took = time.monotonic() - asked
    time.sleep(0.5)
    after = worker.memory_full_info()
    told("memory of the worker while it trains (USS), MB", f"{before.uss / 1e6:.0f}", "")
    told("  paused, MB", f"{after.uss / 1e6:.0f}", "")
    told("  given back, %", f"{100 * (1 - after.uss / before.uss):.1f}", "95 or more")
    told("  seconds after it was told", f"{took:.1f}", "")
    send(run.control, "resume")
    _wait(lambda: isinstance(_events(run)[-1], Finished))
    other = _bake("straight")
    _wait(lambda: isinstance(_events(other)[-1], Finished))
    same = all(_weights(run, epoch) == _weights(other, epoch) for epoch in range(1, DEMO["epochs"] + 1))
    told("  the same weights as without a pause", str(same), "True")


def eta(home: Path) -> None:
    """How far the time left was off, from a fifth of the steps on, in a bake with previews and saves."""
    run = _bake("eta")
    _wait(lambda: isinstance(_events(run)[-1], Finished))
    rows = _events(run)
    end, total = rows[-1].t, max(e.step for e in rows if isinstance(e, Step))
    begun = next(e.t for e in rows if isinstance(e, Step))
    late = [e for e in rows if isinstance(e, Step) and e.step >= total / 5 and e.eta_s is not None]
    errors = [100 * abs(e.t + e.eta_s - end) / (end - begun) for e in late]  # type: ignore[operator]
    left = [100 * abs(e.t + e.eta_s - end) / max(1e-9, end - e.t) for e in late if e.step <= 0.9 * total]  # type: ignore[operator]
    told("time left, from 20 % on: largest error, % of the bake", f"{max(errors):.1f}", "10")
    told("  median error, % of what was left (20 to 90 %)", f"{statistics.median(left):.1f}", "")
    told("  largest error, % of what was left (20 to 90 %)", f"{max(left):.1f}", "")


def _bake(name: str):  # type: ignore[no-untyped-def]
    from engine.dataset.scan import scan
    from engine.demo.paths import where
    from engine.protocol.messages import Submit
    from engine.runs import launch, queue
    from engine.runs.submit import prepare

    asked = Submit(dataset=where()["dataset"], base="demo", preset="demo", kind="bake", name=name, params=DEMO)
    found = prepare(asked, lambda path: scan(Path(path)))
    run = queue.submit(*found, start=True)
    launch.ensure_runner()
    return run


def _events(run) -> list[Event]:  # type: ignore[no-untyped-def]
    return JournalReader(run.journal).read_all() or [Event(run="", seq=0, boot="", t=0.0)]


def _last(run, kind: type[Event]) -> Event | None:  # type: ignore[no-untyped-def]
    return next((e for e in reversed(_events(run)) if isinstance(e, kind)), None)


def _holder(run) -> int:  # type: ignore[no-untyped-def]
    from engine.protocol.files import lock_holder

    pid = lock_holder(run.lock)
    assert pid is not None
    return pid


def _weights(run, epoch: int) -> bytes:  # type: ignore[no-untyped-def]
    data: bytes = run.lora_file(epoch, run.read_job().name).read_bytes()
    return data[8 + int.from_bytes(data[:8], "little") :]


def _wait(condition, seconds: float = 900.0) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("waited in vain")
        time.sleep(0.1)


MEASURES = {"attach": attach, "viewer": viewer, "journal": journal, "pause": pause, "eta": eta}


def main(chosen: list[str]) -> None:
    """Each in a home of its own."""
    for name in chosen or list(MEASURES):
        with tempfile.TemporaryDirectory(prefix="lorabake-bench-", ignore_cleanup_errors=True) as folder:
            os.environ |= {"LORABAKE_HOME": folder, "LORABAKE_DEVICE": "cpu", "LORABAKE_LANG": "en"}
            MEASURES[name](Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
