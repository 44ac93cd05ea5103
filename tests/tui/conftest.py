"""What tests of the terminal share: a home of their own, a small dataset, the real app on the real engine, goldens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lorabake_tui import i18n
from tests.tui.fake_runs import _baked, baked, mira, rate  # noqa: F401 - fixtures

GOLDEN = Path(__file__).parent / "golden"
TAGS = (
    *("1girl", "solo", "silver hair", "long hair", "blue eyes", "smile", "looking at viewer", "upper body"),
    *("white dress", "outdoors", "blue sky", "open mouth", "blush", "straw hat", "holding flower"),
    *("simple background", "red ribbon", "from side"),
)
SIZES = {"80x24": (80, 24), "120x36": (120, 36)}


@pytest.fixture(autouse=True)
def english() -> None:
    """Words in English whatever an app of another test spoke last."""
    i18n.use("en")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A LoRABake home that nothing else uses, and a terminal environment that is the same on every machine."""
    folder = tmp_path / "home"
    monkeypatch.setenv("LORABAKE_HOME", str(folder))
    monkeypatch.setenv("LORABAKE_LANG", "en")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return folder


@pytest.fixture
def sample_dataset(tmp_path: Path) -> Path:
    """Twelve small images with captions; one more without, one unreadable, one with a Chinese name."""
    from PIL import Image

    folder = tmp_path / "mira"
    folder.mkdir()
    dice = random.Random(7)
    for number in range(12):
        size = dice.choice([(64, 64), (96, 64), (64, 96)])
        image = Image.new("RGB", size, (dice.randrange(256), dice.randrange(256), dice.randrange(256)))
        image.paste((dice.randrange(256), 40, 90), (8, 8, 40, 40))
        image.save(folder / f"{number:02}.png")
        tags = ["mira", *dice.sample(TAGS, dice.randrange(4, 12))]
        (folder / f"{number:02}.txt").write_text(", ".join(tags))
    Image.new("RGB", (64, 64), (90, 120, 60)).save(folder / "untagged.png")
    (folder / "broken.png").write_bytes(b"not a picture")
    Image.new("RGB", (64, 80), (20, 30, 90)).save(folder / "银发少女.png")
    (folder / "银发少女.txt").write_text("mira, silver hair", encoding="utf-8")
    return folder


async def _until(pilot: Any, fact: Callable[[], Any], seconds: float = 90.0) -> Any:
    limit = time.monotonic() + seconds
    while not (value := fact()):
        if time.monotonic() > limit:
            raise AssertionError(f"did not become true in {seconds:.0f} s\n{_text(pilot.app)}")
        await asyncio.sleep(0.02)  # the app runs meanwhile; asking every widget each time would keep it from that
    await pilot.pause()
    return value


@pytest.fixture
def until() -> Callable[..., Awaitable[Any]]:
    """`await until(pilot, fact)`: lets the app run until `fact()` is true; fails with the screen when it never is."""
    return _until


@pytest.fixture
def app(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., contextlib.AbstractAsyncContextManager[Any]]:
    """`async with app(size=(80, 24), dataset=…, section=…, run=…, language=…) as pilot`: the app with its engine ready.

    With a dataset it waits until all rows have come and the preset is resolved.
    """
    from lorabake_tui import terminal

    for name in ("TEXTUAL_FPS", "TEXTUAL_ANIMATIONS", "TEXTUAL_DISABLE_KITTY_KEY"):
        monkeypatch.delenv(name, raising=False)
    terminal.prepare()

    @contextlib.asynccontextmanager
    async def start(
        *,
        size: tuple[int, int] = (80, 24),
        dataset: Path | str = "",
        section: str = "dataset",
        run: str = "",
        language: str = "en",
    ) -> AsyncIterator[Any]:
        from lorabake_tui.app import LoRABake

        bench = LoRABake(dataset=str(dataset), section=section, run=run, language=language)
        async with bench.run_test(size=size, notifications=True) as pilot:
            await _until(pilot, lambda: bench.engine.state == "ready" and bench.catalogue.presets)
            if dataset:
                await _until(pilot, lambda: bench.opened.complete)
            # A preset's repeat follows from the number of images, so it comes after them.
            await _until(pilot, lambda: bench.draft.values().get("repeat") if dataset else bench.draft.values())
            await pilot.pause()
            yield pilot

    return start


def _text(app: Any) -> str:
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in lines)


@pytest.fixture
def screen_text() -> Callable[[Any], str]:
    """`screen_text(app)`: what stands on the screen, as text."""
    return _text


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """`golden(name, text)`: compares with golden/<name>.txt; UPDATE_GOLDENS=1 writes it instead."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        if os.environ.get("UPDATE_GOLDENS") == "1":
            path.write_text(text + "\n", encoding="utf-8")
        assert path.exists(), f"no golden {path.name}; run with UPDATE_GOLDENS=1"
        assert text + "\n" == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture
def masked() -> Callable[[str], str]:
    """`masked(text)`: the screen with what differs between machines (times, sizes, cost) replaced cell by cell."""

    # Memory stands beside what the machine has, in one figure.
    figure = re.compile(r" *(\d+:\d\d(:\d\d)?|\d+(\.\d)? [kMG]B( / \d+(\.\d)? [kMG]B)?)")

    def mask(text: str) -> str:
        return figure.sub(lambda match: "####".rjust(len(match[0])), text)

    return mask
