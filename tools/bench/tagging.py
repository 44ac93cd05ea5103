"""Tagging: a tagger's own rate on prepared pictures, the rate of the whole path from files on, and their ratio; for the
demo's, which is far smaller than any real one, and for one of random numbers at a third of the work of WD's smallest.

Then how long other thresholds take on 10,000 images with stored scores.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from engine.dataset.scan import Dataset, ImageFile, scan
from engine.protocol.tag_options import TagOptions
from engine.tagging import apply
from engine.tagging.contracts import find
from engine.tagging.feed import prepared
from engine.tagging.scores import File, Scores
from engine.tagging.session import Session, decoders
from tools.bench import _wide_tagger

IMAGES = 120
WIDE_IMAGES = 12
WIDE_SIZE = (1024, 768)
ROUNDS = 3
LARGE = 10_000


def drawings(folder: Path, count: int) -> Path:
    """The sample dataset's pictures, each many times over with one pixel changed."""
    sources = [image.path for image in scan(find("demo").folder.parent / "dataset").images]
    for number in range(count):
        with Image.open(sources[number % len(sources)]) as picture:
            picture = picture.convert("RGB")
        picture.putpixel((number % picture.width, 0), (number % 256, 7, 9))
        picture.save(folder / f"{number:05d}.png")
    return folder


def photographs(folder: Path, count: int) -> Path:
    """JPEG pictures as large as those people train with, of smooth noise."""
    dice = np.random.default_rng(2)
    for number in range(count):
        rough = Image.fromarray(dice.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        rough.resize(WIDE_SIZE, Image.Resampling.BICUBIC).save(folder / f"{number:05d}.jpg", quality=90)
    return folder


def rates(folder: Path, tagger: str) -> None:
    """Print both rates and their ratio; the best of a few rounds each, taken in turns."""
    session = Session(find(tagger))
    images = scan(folder).images
    squares = [one.pixels for one in prepared(images, session) if one.pixels is not None]
    own = whole = 0.0
    own_cost = whole_cost = float("inf")
    for _ in range(ROUNDS):
        start, used = time.perf_counter(), time.process_time()
        session.scores(squares)
        own = max(own, len(squares) / (time.perf_counter() - start))
        own_cost = min(own_cost, (time.process_time() - used) / len(squares))
        start, used = time.perf_counter(), time.process_time()
        batch: list[np.ndarray] = []
        for one in prepared(images, session):
            assert one.pixels is not None
            batch.append(one.pixels)
            if len(batch) == session.batch:
                session.scores(batch)
                batch.clear()
        if batch:
            session.scores(batch)
        whole = max(whole, len(images) / (time.perf_counter() - start))
        whole_cost = min(whole_cost, (time.process_time() - used) / len(images))
    cores = len(os.sched_getaffinity(0))
    name = session.tagger.name
    print(f"{name} on {session.provider}, {cores} cores; batch {session.batch}, {decoders(session)} decoders")
    print(f"the model alone        {own:7.1f} images/s   {1000 * own_cost:.1f} ms of processor for each")
    print(
        f"with decoding          {whole:7.1f} images/s   {1000 * whole_cost:.1f} ms   {100 * whole / own:.0f} % of it"
    )


def thresholds(root: Path) -> None:
    """Print how long a live threshold takes on many images."""
    scores = Scores(root, "demo")
    session = Session(find("demo"))
    scores.begin(session.mark, session.labels, 0.35, 0.85, again=False)
    chance = np.random.default_rng(0)
    images = []
    for number in range(LARGE):
        name = f"{number:05d}.png"
        values = chance.random(len(session.labels), dtype=np.float32) ** 12
        scores.put(name, File(1, 1, number.to_bytes(16, "big")), values)
        images.append(ImageFile(name=name, path=root / name, width=64, height=64))
    start = time.perf_counter()
    scores.save()
    seconds = time.perf_counter() - start
    print(f"scores of {LARGE} images  {scores.path.stat().st_size / 1e6:.1f} MB, saved in {seconds:.2f} s")
    dataset = Dataset(path=root, images=tuple(images))
    start = time.perf_counter()
    planned = apply.plan(dataset, TagOptions(general=0.5), [Scores(root, "demo")])
    seconds = time.perf_counter() - start
    print(f"a threshold, shown     {seconds:7.2f} s   {planned.report.changed} captions")
    start = time.perf_counter()
    apply.carry_out(dataset, planned)
    print(f"the same, written      {time.perf_counter() - start:7.2f} s")


def main() -> None:
    """Both, in temporary folders."""
    with tempfile.TemporaryDirectory() as folder:
        rates(drawings(Path(folder), IMAGES), "demo")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(prefix="wide-") as model:
        rates(photographs(Path(folder), WIDE_IMAGES), str(_wide_tagger.write(Path(model))))
    with tempfile.TemporaryDirectory() as folder:
        thresholds(Path(folder))


if __name__ == "__main__":
    main()
