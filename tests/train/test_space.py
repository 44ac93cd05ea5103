"""A full disk pauses a bake, which goes on by itself: on a file-size limit of the system, and on a small disk."""

from __future__ import annotations

import ctypes
import os
import resource
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from engine.lora import kohya
from engine.protocol.control import send
from engine.protocol.events import Event, Finished, Paused, Phase, Resumed, Step, Warning
from engine.runs.folder import RunFolder
from engine.train import space
from tests.train.conftest import Kitchen, Straight, at_step, losses

MIB = 1 << 20
SMALL = 48 << 10
"""Bytes: the journal of these bakes is shorter, their state longer."""
_NEWNS, _NEWUSER = 0x00020000, 0x10000000


def limit_files(size: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


def waits(events: list[Event]) -> list[Warning]:
    return [e for e in events if isinstance(e, Warning) and e.code == "disk_full_waits"]


@pytest.fixture(autouse=True)
def unlimited_afterwards() -> Iterator[None]:
    yield
    limit_files(resource.RLIM_INFINITY)


def test_a_state_that_finds_no_room_waits_for_it(kitchen: Kitchen, straight: Straight) -> None:
    run, whole = kitchen.submit("run"), straight()

    def hook(run: RunFolder, event: Event) -> None:
        if isinstance(event, Step) and event.step == 7:
            limit_files(SMALL)
        if isinstance(event, Paused):
            limit_files(resource.RLIM_INFINITY)
            send(run.control, "resume")

    events = kitchen.bake(run, hook)
    (told,) = waits(events)
    assert str(run.path) in told.message
    (paused,) = [e for e in events if isinstance(e, Paused)]
    assert paused.step == 10, "at the end of the epoch, when the state was due"
    assert any(isinstance(e, Resumed) for e in events)
    assert losses(events) == losses(kitchen.events(whole))
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "done"
    mine, theirs = kohya.read(run.lora_file(2, "tiny")).tensors, kohya.read(whole.lora_file(2, "tiny")).tensors
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert not list(run.path.rglob("*.part"))
    assert not (run.path / ".reserve").exists()


def test_who_will_not_wait_may_stop_and_resume_later(kitchen: Kitchen, straight: Straight) -> None:
    run, expected = kitchen.submit("run"), losses(kitchen.events(straight()))
    first = kitchen.bake(run, at_step(3, "stop"))[-1]
    assert isinstance(first, Finished)

    def hook(run: RunFolder, event: Event) -> None:
        if isinstance(event, Step) and event.step == 7:
            limit_files(SMALL)
        if isinstance(event, Paused):
            send(run.control, "stop")

    events = kitchen.bake(run, hook)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "stopped"
    limit_files(resource.RLIM_INFINITY)
    events = kitchen.bake(run)
    assert losses(events) == expected
    resumed = [e.step for e in events if isinstance(e, Resumed)]
    assert resumed[-1] == first.step, "the state saved before there was no room"


def _own_mounts(libc: ctypes.CDLL) -> bool:
    """A mount namespace for this process alone; False where the system gives none."""
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_NEWNS | (_NEWUSER if user else 0)):
        return False
    if user:
        # Somebody unknown in the new user namespace could own no file on the new disk.
        try:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        except OSError:
            return False
    return True


def on_a_small_disk(kitchen: Kitchen, size: int, work: Callable[[Path], None]) -> None:
    """Do `work` with a disk of `size` bytes mounted on the home, in a process and a mount namespace of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = kitchen.home
    home.mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if not _own_mounts(libc):
                os._exit(77)
            libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None)  # MS_REC | MS_PRIVATE: not for others to see
            if libc.mount(b"tmpfs", str(home).encode(), b"tmpfs", 0, f"size={size}".encode()):
                os._exit(77)
            work(home)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == 77:
        pytest.skip("this machine lets nobody mount a disk")
    assert code == 0


def test_on_a_full_disk_even_the_journal_waits(kitchen: Kitchen, straight: Straight) -> None:
    expected = losses(kitchen.events(straight()))

    def work(home: Path) -> None:
        run = kitchen.submit("run")
        ballast = home / "ballast"
        paused: list[int] = []

        def hook(run: RunFolder, event: Event) -> None:
            if isinstance(event, Step) and event.step == 4:
                with open(ballast, "wb") as file:
                    room = space.free(home)
                    os.posix_fallocate(file.fileno(), 0, room)
                    assert space.free(home) == 0
            if isinstance(event, Paused):
                paused.append(event.step)
                ballast.unlink()

        events = kitchen.bake(run, hook)
        assert len(paused) == 1
        assert losses(events) == expected
        assert [e.seq for e in events] == list(range(1, len(events) + 1)), "no line is lost or doubled"
        assert len(waits(events)) == 1
        assert isinstance(events[-1], Finished)
        assert events[-1].reason == "done"

    on_a_small_disk(kitchen, 48 * MIB, work)


def test_a_disk_that_is_nearly_full_is_noticed_before_anything_is_written(kitchen: Kitchen) -> None:
    def work(home: Path) -> None:
        run = kitchen.submit("run", epochs=1)

        def hook(run: RunFolder, event: Event) -> None:
            if isinstance(event, Phase) and event.name == "train":
                with open(home / "ballast", "wb") as file:
                    os.posix_fallocate(file.fileno(), 0, space.free(home) - space.MARGIN // 2)
            if isinstance(event, Paused):
                assert space.free(home) > space.MARGIN // 4, "nothing was tried that could not be finished"
                assert not list(run.path.rglob("*.part"))
                (home / "ballast").unlink()

        events = kitchen.bake(run, hook)
        assert any(isinstance(e, Paused) for e in events)
        assert isinstance(events[-1], Finished)
        assert events[-1].reason == "done"

    on_a_small_disk(kitchen, 48 * MIB, work)
