"""Datasets: opening 10,000 and 100,000 images, cropping large photographs, looking at one; each beside the plain way.

The plain way is Pillow in a loop: open every header and read every caption, or open, fit and save every picture.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps

from engine.protocol.messages import CropParams, DatasetRows, PathParams, PictureParams
from lorabake_tui.client import EngineClient
from tools.bench.first_paint import Terminal

MANY, HUGE = 10_000, 100_000
PHOTOS = 12
PHOTO = (4000, 3000)
SIZE = (512, 768)
LOOKS = 20
_CURSOR = re.compile(r"▌(?:\x1b\[[0-9;]*m|[ ●])*image_(\d+)\.jpg".encode())
_ALL_READ = re.compile(f"{MANY} images(?! ·)".encode() + rb"[\s\S]{3}")
_TAIL = 200
_CAPTION = "mira, 1girl, solo, blue eyes, long hair, standing, outdoors, day, smile, looking at viewer, number {number}"


def make_many(folder: Path, count: int) -> Path:
    """A dataset of `count` small pictures with captions; few files under many names, as a disk allows that."""
    folder.mkdir()
    first: Path | None = None
    for number in range(count):
        path = folder / f"image_{number:06}.jpg"
        if number % 20_000 == 0:
            Image.new("RGB", (96, 72), (number // 1000, 90, 30)).save(path, quality=80)
            first = path
        elif first is not None:
            os.link(first, path)
        path.with_suffix(".txt").write_text(_CAPTION.format(number=number))
    return folder


def make_photos(folder: Path) -> Path:
    """Large JPEGs with the grain that photographs have."""
    folder.mkdir()
    light = Image.linear_gradient("L").resize(PHOTO).convert("RGB")
    grain = Image.effect_noise(PHOTO, 40).convert("RGB")
    picture = Image.blend(light, grain, 0.2)
    for number in range(PHOTOS):
        path = folder / f"photo_{number:02}.jpg"
        if number:
            shutil.copy(folder / "photo_00.jpg", path)
        else:
            picture.save(path, quality=90)
    return folder


def plain_open(folder: Path) -> None:
    """Every header and caption, one after the other."""
    for path in sorted(folder.glob("*.jpg")):
        with Image.open(path) as image:
            _ = image.size
        path.with_suffix(".txt").read_text()


def plain_crop(folder: Path, out: Path) -> None:
    """Open, fit, save."""
    out.mkdir()
    for path in sorted(folder.glob("*.jpg")):
        with Image.open(path) as image:
            ImageOps.fit(image.convert("RGB"), SIZE).save(out / path.name, quality=95)


def timed(work: Callable[[], object]) -> float:
    """Seconds that some work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def opened(client: EngineClient, folder: Path) -> tuple[float, float]:
    """Seconds to the first rows, and to the last."""
    began = time.perf_counter()
    await client.call("dataset.open", PathParams(path=str(folder)))
    page = await client.call("dataset.rows", DatasetRows(path=str(folder)))
    first = time.perf_counter() - began
    while page.next is not None:
        page = await client.call("dataset.rows", DatasetRows(path=str(folder), offset=page.next))
    await client.call("dataset.summary", PathParams(path=str(folder)))
    return first, time.perf_counter() - began


def peak_megabytes(pid: int) -> float:
    """The most memory that a process ever held."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def processor_seconds(pid: int) -> float:
    """What a process has computed so far: beside the clock, it tells how busy the machine is with other things."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def bench_open(folder: Path) -> None:
    """Opening datasets, the first time and again."""
    many = make_many(folder / "many", MANY)
    plain = timed(lambda: plain_open(many))
    async with EngineClient() as client:
        await client.call("models.list")  # the host has started
        assert client.hello is not None
        spent = processor_seconds(client.hello.pid)
        first, everything = await opened(client, many)
        spent = processor_seconds(client.hello.pid) - spent
    print(f"open {MANY} images: first rows {first * 1000:.0f} ms, all headers and captions {everything:.2f} s")
    print(f"the engine computed for {spent:.2f} s of it")
    print(f"ratio to a plain loop over headers and captions ({plain:.2f} s): {everything / plain:.2f}")
    async with EngineClient() as client:
        await client.call("models.list")
        first, everything = await opened(client, many)
    print(f"again, sizes from the cache: first rows {first * 1000:.0f} ms, all {everything:.2f} s")
    huge = make_many(folder / "huge", HUGE)
    async with EngineClient() as client:
        assert client.hello is not None
        first, everything = await opened(client, huge)
        memory = peak_megabytes(client.hello.pid)
    print(f"open {HUGE} images: first rows {first * 1000:.0f} ms, all {everything:.1f} s, peak {memory:.0f} MB")


class Keys(NamedTuple):
    """Seconds from each key to the cursor's new place, and what the app computed meanwhile, in seconds."""

    times: list[float]
    span: float
    computed: float


def keys_meanwhile(folder: Path) -> Keys:
    """Keys pressed one after the other while the app reads a dataset.

    A paint is told by the bytes that write the cursor beside the next name: an emulator of a terminal would compute
    more than the app whose time is taken.
    """
    home = folder / "home-of-keys"
    terminal = Terminal("lorabake_tui", str(folder / "many"), home=home)
    seen, here, over = b"", -1, False

    def follow(seconds: float) -> None:
        nonlocal seen, here, over
        seen = seen[-_TAIL:] + terminal.read(seconds)
        for found in _CURSOR.finditer(seen):
            here = int(found[1])
        over = over or (here >= 0 and _ALL_READ.search(seen) is not None)

    try:
        limit = time.perf_counter() + 120
        while here < 0:
            follow(0.05)
            if time.perf_counter() > limit:
                return Keys([], 0, 0)
        times: list[float] = []
        began, spent = time.perf_counter(), processor_seconds(terminal.process.pid)
        while not over:
            before, pressed = here, time.perf_counter()
            os.write(terminal.master, b"j")
            while here == before and time.perf_counter() < pressed + 10:
                follow(0.5)
            times.append(time.perf_counter() - pressed)
        return Keys(times, time.perf_counter() - began, processor_seconds(terminal.process.pid) - spent)
    finally:
        terminal.end()


def bench_keys(folder: Path) -> None:
    """Keys while 10,000 images are being read."""
    keys = keys_meanwhile(folder)
    times = sorted(keys.times)
    if not times:
        print("key to paint meanwhile: everything was read before a key could be pressed")
        return
    p95 = times[min(len(times) - 1, int(len(times) * 0.95))]
    print(
        f"key to paint while {MANY} images are read: {len(times)} keys, median "
        f"{statistics.median(times) * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms, best {times[0] * 1000:.0f} ms; the app "
        f"computed for {keys.computed:.1f} of {keys.span:.1f} s"
    )


async def bench_photos(folder: Path) -> None:
    """Cropping and looking at large photographs."""
    photos = make_photos(folder / "photos")
    async with EngineClient() as client:
        asked = CropParams(path=str(photos), size="{}x{}".format(*SIZE), mode="center")
        await client.call("dataset.crop", asked)
        ratios = []
        for turn in range(3):
            plain = timed(lambda turn=turn: plain_crop(photos, folder / f"plain{turn}"))  # type: ignore[misc]
            began = time.perf_counter()
            await client.call("dataset.crop", CropParams(path=str(photos), export=str(folder / f"ours{turn}")))
            ours = time.perf_counter() - began
            ratios.append(plain / ours)
        cores = len(os.sched_getaffinity(0))
        print(
            f"crop and export {PHOTOS} JPEGs of 12 megapixels, {cores} cores: {statistics.median(ratios):.1f} times as"
            f" fast as open, fit and save in a loop (best {max(ratios):.1f})"
        )
        cold, warm = [], []
        for turn in range(LOOKS):
            path = photos / f"look_{turn:02}.jpg"
            shutil.copy(photos / "photo_00.jpg", path)
            asked_picture = PictureParams(root=str(photos), file=path.name, width=320, height=240)
            for times in (cold, warm):
                began = time.perf_counter()
                await client.call("picture", asked_picture)
                times.append(time.perf_counter() - began)
        print(
            f"a picture of 12 megapixels: {statistics.median(cold) * 1000:.0f} ms the first time, "
            f"{statistics.median(warm) * 1000:.0f} ms from the cache (worst {max(warm) * 1000:.0f} ms)"
        )


def main() -> None:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp(prefix="lorabake-bench-"))
    os.environ["LORABAKE_HOME"] = str(folder / "home")
    try:
        asyncio.run(bench_photos(folder))
        asyncio.run(bench_open(folder))
        bench_keys(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
