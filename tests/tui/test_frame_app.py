"""The frame: sections by key, help, palette, language, too small a terminal, leaving, a lost engine, goldens, mash."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from textual.widgets import Input

from lorabake_tui import keys

App = Callable[..., AbstractAsyncContextManager[Any]]
Until = Callable[..., Awaitable[Any]]
Text = Callable[[Any], str]
SIZES = {"80x24": (80, 24), "120x36": (120, 36)}
SECTIONS = [name for name, _title in keys.SECTIONS]


async def test_sections_by_number_and_each_keeps_its_place(app: App, sample_dataset: Path, until: Until) -> None:
    async with app(dataset=sample_dataset) as pilot:
        await pilot.press("j", "j", "j")
        for number, name in enumerate(SECTIONS, 1):
            await pilot.press(str(number))
            await until(pilot, lambda name=name: pilot.app.current_mode == name)
        await pilot.press("1")
        await until(pilot, lambda: pilot.app.current_mode == "dataset")
        assert pilot.app.screen.query_one("#image-list").current == 3


async def test_help_lists_the_keys_of_the_section(app: App, screen_text: Text, until: Until) -> None:
    async with app(size=(120, 60), section="params") as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: "Help · Params" in screen_text(pilot.app))
        await pilot.press("G")
        await until(pilot, lambda: "Leave the program." in screen_text(pilot.app))
        await pilot.press("escape")
        await until(pilot, lambda: not pilot.app.screen.is_modal)


async def test_palette_does_what_is_chosen_also_in_another_section(app: App, until: Until) -> None:
    async with app() as pilot:
        await pilot.press("colon")
        await until(pilot, lambda: pilot.app.screen.is_modal)
        await pilot.press(*"params pro", "enter")
        await until(pilot, lambda: pilot.app.current_mode == "params" and pilot.app.draft.pro)


async def test_too_small_a_terminal_is_one_sentence(app: App, screen_text: Text, until: Until) -> None:
    async with app(size=(60, 15)) as pilot:
        text = screen_text(pilot.app)
        assert text.split() == ["LoRABake", "needs", "a", "terminal", "of", "at", "least", "60", "×", "16."]
        await pilot.resize_terminal(60, 16)
        await until(pilot, lambda: "No dataset is open." in screen_text(pilot.app))


@pytest.mark.parametrize("language", ["en", "zh_CN"])
async def test_no_line_is_longer_than_the_screen(app: App, sample_dataset: Path, language: str, until: Until) -> None:
    async with app(size=(60, 16), dataset=sample_dataset, language=language) as pilot:
        for size in ((60, 16), (72, 20), (80, 24), (200, 50)):
            await pilot.resize_terminal(*size)
            for number, name in enumerate(SECTIONS, 1):
                await pilot.press(str(number))
                await until(pilot, lambda name=name: pilot.app.current_mode == name)
                await until(pilot, lambda size=size: pilot.app.screen.size == size)
                for strip in pilot.app.screen._compositor.render_strips():
                    assert cell_len("".join(segment.text for segment in strip)) == size[0]


async def test_language_switches_at_once(app: App, sample_dataset: Path, screen_text: Text, until: Until) -> None:
    async with app(size=(120, 36), dataset=sample_dataset) as pilot:
        await until(pilot, lambda: pilot.app.opened.findings is not None)
        await pilot.press("2", "1")
        english = _without_picture(screen_text(pilot.app))
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "数据集" in screen_text(pilot.app))
        await until(pilot, lambda: "银发少女.png" in screen_text(pilot.app))
        await pilot.press("ctrl+l")
        await until(pilot, lambda: _without_picture(screen_text(pilot.app)) == english)


async def test_lost_engine_is_told_started_again_and_the_dataset_stays(
    app: App, sample_dataset: Path, screen_text: Text, until: Until
) -> None:
    async with app(size=(120, 36), dataset=sample_dataset) as pilot:
        first = pilot.app.engine.hello.pid
        os.kill(first, signal.SIGKILL)
        await until(pilot, lambda: pilot.app.engine.hello and pilot.app.engine.hello.pid != first)
        await pilot.press("e", "x", "enter")
        await until(pilot, lambda: (pilot.app.opened.rows[0].caption or "").endswith("x"))
        os.kill(pilot.app.engine.hello.pid, signal.SIGKILL)
        await until(pilot, lambda: "engine lost" in screen_text(pilot.app))
        assert "Bakes go on without it" in screen_text(pilot.app)
        await pilot.press("2", "3", "1")


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("section", SECTIONS)
async def test_every_key_in_every_section(
    app: App, sample_dataset: Path, section: str, opened: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EDITOR", "true")
    monkeypatch.setenv("VISUAL", "")
    async with app(section=section, dataset=sample_dataset if opened else "") as pilot:
        pilot.app.draft.base = str(tmp_path / "no-model")  # so that `start` ends in a sentence, not in a bake
        owners = (section, "list") if opened else (section,)
        for key in [key for owner in owners for action in keys.TABLE[owner] for key in action.keys.split(",")]:
            await pilot.press(key)
            while pilot.app.screen.is_modal or isinstance(pilot.app.focused, Input):
                await pilot.press("escape")
            if pilot.app.current_mode != section:
                await pilot.app.switch_mode(section)
        assert pilot.app.is_running
        await pilot.press("ctrl+q")
        await pilot.pause()
        assert not pilot.app.return_code


STEPS = {
    "palette": ("dataset", ("colon",)),
    "help": ("dataset", ("question_mark",)),
    "dataset-repeat": ("dataset", ("r", "0")),
    "tags": ("tags", ("j",)),
    "dataset": ("dataset", ("j", "space", "j")),
    "params": ("params", ()),
    "params-pro": ("params", ("p", "j", "j", "j", "j", "j", "l")),
}
"""What is pressed in which section for each golden, one after the other in one app; a sheet is left with escape.

The last one changes a parameter."""


@pytest.mark.parametrize("language", ["en", "zh_CN"])
@pytest.mark.parametrize("size", list(SIZES))
async def test_goldens(
    size: str,
    language: str,
    app: App,
    sample_dataset: Path,
    until: Until,
    screen_text: Text,
    golden: Callable[[str, str], None],
    masked: Callable[[str], str],
) -> None:
    async with app(size=SIZES[size], dataset=sample_dataset, language=language) as pilot:
        await until(pilot, lambda: pilot.app.opened.findings is not None)
        for name, (section, pressed) in STEPS.items():
            await pilot.app.switch_mode(section)
            await until(pilot, lambda section=section: pilot.app.current_mode == section)
            if section == "tags":
                await until(pilot, lambda: pilot.app.screen._table is not None and pilot.app.screen._known)
            for key in pressed:
                await pilot.press(key)
                await pilot.pause()
            if section == "params":
                figures = pilot.app.screen.query_one("#figures")
                await until(pilot, lambda f=figures: any("##" in masked(r[1][0]) for r in f._lines if len(r) > 1))
                await pilot.pause(0.3)
            await pilot.pause()
            golden(f"{name}-{size}-{language}", _without_picture(masked(screen_text(pilot.app))))
            while pilot.app.screen.is_modal or isinstance(pilot.app.focused, Input):
                await pilot.press("escape")


@pytest.mark.parametrize("language", ["en", "zh_CN"])
@pytest.mark.parametrize("size", list(SIZES))
async def test_goldens_without_a_dataset(
    size: str, language: str, app: App, until: Until, screen_text: Text, golden: Callable[[str, str], None]
) -> None:
    async with app(size=SIZES[size], language=language) as pilot:
        for section in ("dataset", "tags"):
            await pilot.app.switch_mode(section)
            await until(pilot, lambda section=section: pilot.app.current_mode == section)
            await pilot.pause()
            golden(f"{section}-none-{size}-{language}", _without_picture(screen_text(pilot.app)))


SHEETS = {"findings": ("w",), "plan": ("p",), "crop": ("c", "down", "right"), "grid": ("t", "j")}


@pytest.mark.parametrize(("size", "language"), [("80x24", "en"), ("120x36", "zh_CN")])
async def test_golden_of_what_opens_from_the_dataset(
    size: str,
    language: str,
    app: App,
    sample_dataset: Path,
    until: Until,
    screen_text: Text,
    golden: Callable[[str, str], None],
) -> None:
    async with app(size=SIZES[size], dataset=sample_dataset, language=language) as pilot:
        await until(pilot, lambda: pilot.app.opened.findings is not None)
        for name, pressed in SHEETS.items():
            for key in pressed:
                await pilot.press(key)
                await until(pilot, lambda key=key: pilot.app.screen.is_modal or key not in "wpc")
            if name == "grid":
                await until(pilot, lambda: pilot.app.screen.query_one("#thumbs").complete)
            golden(f"dataset-{name}-{size}-{language}", _without_picture(screen_text(pilot.app)))
            if pilot.app.screen.is_modal:
                await pilot.press("escape")


def _without_picture(text: str) -> str:
    return text.replace("▀", " ").replace("▄", " ")


FORBIDDEN = ("torch", "numpy", "PIL", "term_image", "plotext", "textual_plotext", "diffusers", "transformers")


def test_starting_imports_nothing_heavy(home: Path) -> None:
    program = f"""
import asyncio, sys
from lorabake_tui import terminal
terminal.prepare()
from lorabake_tui.app import LoRABake
async def main():
    app = LoRABake()
    async with app.run_test() as pilot:
        for key in "321":
            await pilot.press(key)
            await pilot.pause()
asyncio.run(main())
print(",".join(name for name in {FORBIDDEN!r} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1:] in ([], [""]), done.stdout


def _read(fd: int, wanted: str, seconds: float = 60) -> str:
    seen = b""
    limit = time.monotonic() + seconds
    while wanted not in seen.decode(errors="ignore"):
        assert time.monotonic() < limit, seen[-2000:]
        if select.select([fd], [], [], 0.5)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:
                break
    return seen.decode(errors="ignore")


def test_real_terminal_starts_and_leaves_cleanly(home: Path) -> None:
    master, slave = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-m", "lorabake_tui"], stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
    )
    os.close(slave)
    _read(master, "No dataset is open")
    os.write(master, b"\x11")
    _read(master, "\x1b[?1049l")
    assert process.wait(30) == 0
    os.close(master)
