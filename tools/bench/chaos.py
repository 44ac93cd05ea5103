"""Random faults over a queue of short bakes; then every bake must be what it is without faults, bit for bit.

Prints the faults that were done and what was found, and ends with status 1 when anything was lost, doubled, forgotten
or left over. `--kind bake` takes the real trainer, on a tiny base of random numbers; `--seed` repeats a run of faults.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

from engine.protocol.errors import EngineError
from engine.protocol.events import Finished, Step
from engine.protocol.journal import JournalReader
from engine.protocol.messages import Submit
from engine.runs import launch, queue
from engine.runs.folder import RunFolder, all_runs
from engine.runs.state import Runs
from engine.runs.submit import prepare
from tools.bench._faults import Faults

ROOT = Path(__file__).resolve().parents[2]
DISK = "96m"
_PR_CAPBSET_DROP = 24
_POWERS = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
STUCK_SECONDS = 120.0
FAKE = {"repeat": 4, "preview_every_epochs": 0}
_EPOCH_STEPS, _STEPS_BETWEEN = 40, 60
"""Steps of an epoch of the scripted bake, and about how many are taken between two faults."""
_PATIENCE_SECONDS = 4.0
"""For so long the next fault waits for something to happen that it can disturb."""
REAL = {"resolution": 32, "repeat": 1, "network_dim": 4, "network_alpha": 2.0, "unet_lr": 1e-2, "preview_steps": 2}
REAL |= {"preview_every_epochs": 10, "save_every_epochs": 10}
_REAL_EPOCHS = 30
"""Of five steps each: enough for several faults in every bake."""
_TINY = """import sys, pathlib
from tests.tiny import tiny_base, tiny_dataset
place = pathlib.Path(sys.argv[1])
tiny_base(place / "base", lean=True), tiny_dataset(place / "pictures")
"""


def main(words: list[str]) -> int:
    """Make the place, give up root's power over file permissions, and begin."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--bakes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--kind", choices=("fake", "bake"), default="fake")
    parser.add_argument("--rate", type=float, default=100.0, help="steps per second of the scripted bake")
    parser.add_argument("--place", default="", help=argparse.SUPPRESS)
    parser.add_argument("--small", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(words)
    if args.place:
        return Chaos(Path(args.place), args, small=args.small).play()
    place = Path(tempfile.mkdtemp(prefix="lorabake-chaos-"))
    status = Chaos(place, args, small=False).play() if os.geteuid() else _unprivileged(place, words)
    if status == 0:
        shutil.rmtree(place, ignore_errors=True)
    else:
        print(f"kept: {place}")
    return status


def _unprivileged(place: Path, words: list[str]) -> int:
    """In a process that file permissions hold for, on a small disk of its own where this machine lets us mount one."""
    home = place / "home"
    home.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(home)], capture_output=True)
    small = [] if mount.returncode else ["--small"]
    again = [sys.executable, "-m", "tools.bench.chaos", *words, "--place", str(place), *small]
    status = subprocess.run(again, cwd=ROOT, preexec_fn=_lose_power).returncode
    if not mount.returncode:
        if status:
            shutil.copytree(home, place / "left")
        subprocess.run(["umount", "-l", str(home)], check=False)
    return status


def _lose_power() -> None:
    """Root, too, may then not write where the permissions forbid it (from the next `exec` on)."""
    libc = ctypes.CDLL(None)
    for capability in _POWERS:
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


class Chaos:
    """One run of the bench in `place`."""

    def __init__(self, place: Path, args: argparse.Namespace, *, small: bool) -> None:
        self.place, self.args, self.small = place, args, small
        self.home = place / "home"
        self.home.mkdir(exist_ok=True)
        self.chance = random.Random(args.seed)
        os.environ |= {
            "LORABAKE_HOME": str(self.home),
            "LORABAKE_DEVICE": "cpu",
            "LORABAKE_FAKE_RATE": str(args.rate),
            "LORABAKE_GRACE": "1.0",
            "HOME": str(place),
            "OMP_NUM_THREADS": "1",
        }
        slow = 1.0 if args.kind == "fake" else 6.0
        if args.kind == "bake":
            subprocess.run([sys.executable, "-c", _TINY, str(self.place)], cwd=ROOT, check=True)
        self.faults = Faults(self.home, place, self.chance, small=small, slow=slow)
        self.done: Counter[str] = Counter()
        self.runs: list[RunFolder] = []
        self.viewers: list[subprocess.Popen[bytes]] = []
        self.resumed = self.released = 0
        self.slow = slow

    def play(self) -> int:
        """Reference, faults, verdict."""
        began = time.monotonic()
        expected = self._reference()
        print(
            f"{len(expected)} bakes without faults: {time.monotonic() - began:.0f} s; seed {self.args.seed}", flush=True
        )
        os.environ["LORABAKE_CHAOS_CLOCK"] = str(self.faults.clock)
        os.environ["PYTHONPATH"] = os.pathsep.join([self.faults.path, str(ROOT)])
        began = time.monotonic()
        self._submit()
        try:
            stuck = self._torment()
            took = time.monotonic() - began
            wrong = ["the queue stands still"] if stuck else []
            wrong += self._left_over()
        finally:
            for pid in self.faults.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
        wrong += self._verdict(expected)
        for kind, count in sorted(self.done.items()):
            print(f"{count:5d}  {kind}")
        boots = sum(len({event.boot for event in self._events(run)}) for run in self.runs)
        events = sum(len(self._events(run)) for run in self.runs)
        count = sum(self.done.values())
        print(f"{count} faults over {len(self.runs)} bakes in {took:.0f} s: {boots} boots, {events} events")
        print(f"a person went on with {self.resumed} bakes and let {self.released} held jobs go")
        for line in wrong:
            print(f"WRONG: {line}")
        print("as without faults, bit for bit" if not wrong else f"{len(wrong)} things are wrong", flush=True)
        return 1 if wrong else 0

    # -- the bakes --------------------------------------------------------------------------------------------

    def _submit(self) -> None:
        for number in range(self.args.bakes):
            asked = self._asked(number)
            job, manifest = prepare(asked, _open)
            self.runs.append(queue.submit(job, manifest, start=True, retries=number % 3))

    def _asked(self, number: int) -> Submit:
        if self.args.kind == "fake":
            epochs = 2 + self.args.faults * _STEPS_BETWEEN // (self.args.bakes * _EPOCH_STEPS)
            return Submit(
                dataset="", kind="fake", name=f"bake{number}", params={**FAKE, "epochs": epochs, "seed": number}
            )
        params = {**REAL, "epochs": _REAL_EPOCHS, "seed": number}
        dataset, base = str(self.place / "pictures"), str(self.place / "base")
        return Submit(dataset=dataset, base=base, kind="bake", name=f"bake{number}", params=params)

    def _reference(self) -> dict[str, dict[str, bytes]]:
        """The weights of every epoch of every bake that nobody disturbs."""
        os.environ["LORABAKE_FAKE_RATE"] = "100000"
        self._submit()
        launch.ensure_runner()
        self._until_done()
        found = {run.read_job().name: weights(run) for run in self.runs}
        for run in self.runs:
            shutil.rmtree(run.path)
        self.runs.clear()
        os.environ["LORABAKE_FAKE_RATE"] = str(self.args.rate)
        return found

    def _until_done(self) -> None:
        while True:
            rows = Runs().rows()
            assert not any(row.state == "failed" for row in rows), rows
            if all(row.state == "done" for row in rows) and not self.faults.processes():
                return
            launch.reap()
            time.sleep(0.1)

    # -- faults -----------------------------------------------------------------------------------------------

    def _torment(self) -> bool:
        """Faults until there were enough, then peace until the queue is empty; True when it never is."""
        moved, told = time.monotonic(), ""
        while True:
            faulty = sum(self.done.values()) < self.args.faults
            self._person()
            state = str([(row.state, row.step) for row in self._rows()])
            if state != told:
                moved, told = time.monotonic(), state
            if self._all_done():
                return False
            if time.monotonic() - moved > STUCK_SECONDS * self.slow:
                print(state)
                return True
            if not faulty:
                time.sleep(0.1)
                continue
            self._until_it_goes()
            time.sleep(self.chance.expovariate(1 / (0.25 * self.slow)))
            kind = self.chance.choice(list(self.faults.kinds))
            if self.faults.kinds[kind]():
                self.done[kind] += 1

    def _until_it_goes(self) -> None:
        """Most faults meet a bake that trains; after a while they come all the same."""
        began = time.monotonic()
        before = {run.id: _size(run) for run in self.runs}
        while time.monotonic() - began < _PATIENCE_SECONDS * self.slow and not self._all_done():
            self._person()
            if any(_size(run) > before[run.id] + 1000 for run in self.runs):
                return
            time.sleep(0.05)

    def _rows(self) -> list[object]:
        with contextlib.suppress(OSError, EngineError):
            return list(Runs().rows())
        return []

    def _all_done(self) -> bool:
        rows = self._rows()
        return len(rows) == len(self.runs) and all(row.state == "done" for row in rows)  # type: ignore[attr-defined]

    def _person(self) -> None:
        """Does what a person would: opens the program again, lets held jobs go, goes on with what ended early."""
        self.viewers = [viewer for viewer in self.viewers if viewer.poll() is None]
        launch.reap()
        while len(self.viewers) < 2:
            words = [sys.executable, "-m", "tools.bench._viewer"]
            self.viewers.append(subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        with contextlib.suppress(OSError, EngineError):
            for row in Runs().rows():
                run = RunFolder(Path(row.dir))
                with contextlib.suppress(OSError, EngineError):
                    if row.state == "held":
                        queue.change(run, "queued")
                        self.released += 1
                    elif row.state in ("failed", "stopped", "cancelled"):
                        queue.requeue(run)
                        self.resumed += 1
                    elif row.state == "paused":
                        self.faults.kinds["save now"]()
                        from engine.protocol.control import send

                        send(run.control, "resume")
            launch.ensure_runner()

    # -- the verdict ------------------------------------------------------------------------------------------

    def _left_over(self) -> list[str]:
        """Who is still there once everything is done and the viewers are gone."""
        for viewer in self.viewers:
            viewer.kill()
            viewer.wait()
        end = time.monotonic() + 20 * self.slow
        while (left := self.faults.processes()) and time.monotonic() < end:
            launch.reap()
            time.sleep(0.1)
        return [f"process {pid} is left over" for pid in left]

    def _events(self, run: RunFolder):  # type: ignore[no-untyped-def]
        return JournalReader(run.journal).read_all()

    def _verdict(self, expected: dict[str, dict[str, bytes]]) -> list[str]:
        wrong = []
        here = {run.id for run in all_runs()}
        wrong += [f"{run.id} is forgotten" for run in self.runs if run.id not in here]
        wrong += [f"{name} was made twice" for name in here - {run.id for run in self.runs}]
        for run in self.runs:
            events = self._events(run)
            seqs = [event.seq for event in events]
            if seqs != list(range(1, len(seqs) + 1)):
                wrong.append(f"{run.id}: events are lost or doubled")
            boots = [event.boot for event in events]
            if len(set(boots)) != 1 + sum(a != b for a, b in pairwise(boots)):
                wrong.append(f"{run.id}: two workers wrote at once")
            ends = [event for event in events if isinstance(event, Finished) and event.reason == "done"]
            if len(ends) != 1 or not isinstance(events[-1], Finished):
                wrong.append(f"{run.id}: it ended {len(ends)} times")
            losses: dict[int, set[float | None]] = {}
            for event in events:
                if isinstance(event, Step):
                    losses.setdefault(event.step, set()).add(event.loss)
            if sorted(losses) != list(range(1, len(losses) + 1)) or any(len(found) > 1 for found in losses.values()):
                wrong.append(f"{run.id}: a step was left out, or taken again with another loss")
            if weights(run) != expected[run.read_job().name]:
                wrong.append(f"{run.id}: other weights than without faults")
        return wrong


def weights(run: RunFolder) -> dict[str, bytes]:
    """Epoch file → its tensors as bytes, without the header, which names moments."""
    found = {}
    for path in sorted(run.path.glob("epochs/*/*.safetensors")):
        data = path.read_bytes()
        found[path.name] = data[8 + int.from_bytes(data[:8], "little") :]
    return found


def _size(run: RunFolder) -> int:
    return run.journal.stat().st_size if run.journal.exists() else 0


def _open(path: str):  # type: ignore[no-untyped-def]
    from engine.dataset.scan import scan

    return scan(Path(path))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
