"""How fast tags are edited and found: a batch edit of 10,000 captions with its undo, filters typed key by key, the
vocabulary, and 50 kills in the middle of an edit. `--quick` leaves the kills out."""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from engine.dataset import tag_journal
from engine.dataset.query_index import Index
from engine.dataset.query_search import find, runs_of
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.tag_edit import carry_out, plan, undo, with_captions
from engine.dataset.vocabulary import Vocabulary, Word
from engine.protocol.tags import TagOp

_WORDS = (
    *(
        "hair",
        "eyes",
        "dress",
        "long",
        "short",
        "blue",
        "red",
        "green",
        "white",
        "black",
        "smile",
        "open",
        "mouth",
        "ribbon",
        "hat",
        "sky",
        "holding",
        "flower",
        "looking",
    ),
    *(
        "viewer",
        "upper",
        "body",
        "simple",
        "background",
        "sword",
        "armor",
        "glasses",
        "skirt",
        "shirt",
        "jacket",
        "boots",
    ),
)
TYPED = (
    "long hair",
    "tag:l*hair",
    "tag:smile -tag:hat w:>500",
    "NOT long",
    "tokens:>75",
    "/lo.g hair/",
    "smile OR hat",
)
KILLS = 50
_ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT


def captions(count: int) -> list[str]:
    """Captions of about 30 tags, as skewed as real ones."""
    dice = random.Random(1)
    vocabulary = sorted({" ".join(dice.sample(_WORDS, dice.randrange(1, 4))) for _ in range(9000)})
    weights = [1 / (place + 1) for place in range(len(vocabulary))]
    return [", ".join(dict.fromkeys(dice.choices(vocabulary, weights, k=36))) for _ in range(count)]


def dataset(root: Path, count: int, *, written: bool) -> Dataset:
    """Images that are never opened, with their captions on the disk or in memory alone."""
    images = []
    for number, caption in enumerate(captions(count)):
        name = f"{number:06}.png"
        if written:
            (root / f"{number:06}.txt").write_text(caption)
        images.append(ImageFile(name=name, path=root / name, width=512, height=768, bytes=number, caption=caption))
    return Dataset(path=root, images=tuple(images))


def timed(title: str, work: Callable[[], object]) -> None:
    """Print wall and processor time of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"  {title:46} {wall * 1000:8.1f} ms wall {processor * 1000:8.1f} ms processor", flush=True)


def filters(count: int) -> None:
    """Every key of some filters, the slowest of each."""
    print(f"{count:,} images")
    data = dataset(Path("/nowhere"), count, written=False)
    index: list[Index] = []
    timed("index", lambda: index.append(Index(data)))
    for text in TYPED:
        slowest, worst = 0.0, 0.0
        for end in range(1, len(text) + 1):
            wall, processor = time.perf_counter(), time.process_time()
            try:
                runs_of(find(index[0], text[:end]))
            except Exception as error:
                if not str(type(error)).count("EngineError"):
                    raise
            slowest = max(slowest, time.perf_counter() - wall)
            worst = max(worst, time.process_time() - processor)
        print(
            f"  {'slowest key of ' + text:46} {slowest * 1000:8.1f} ms wall {worst * 1000:8.1f} ms processor",
            flush=True,
        )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  {'memory of the process':46} {memory:8.0f} MB")


def vocabulary(count: int) -> None:
    """Every key of some tags, the slowest of each, in a vocabulary of danbooru's size."""
    print(f"{count:,} words")
    dice = random.Random(3)
    words: set[str] = set()
    while len(words) < count:
        words.add("_".join(dice.choices([*_WORDS, *map(str, range(400))], k=dice.randrange(1, 5))))
    entries = [(Word(tag, dice.randrange(1_000_000), "danbooru"), ()) for tag in sorted(words)]
    made: list[Vocabulary] = []
    timed("index of words", lambda: made.append(Vocabulary(entries)))
    for text in ("long hair", "eed lin", "lnog hair", "zzzz"):
        worst = 0.0
        for end in range(1, len(text) + 1):
            processor = time.process_time()
            made[0].find(text[:end], 9)
            worst = max(worst, time.process_time() - processor)
        print(f"  {'slowest key of ' + text:46} {'':8} {'':8} {worst * 1000:8.1f} ms processor", flush=True)


def edits(root: Path, count: int) -> None:
    """A batch edit of every caption, its undo, and one small edit in the large dataset."""
    print(f"edit of {count:,} captions on {root}")
    data = dataset(root, count, written=True)
    op = TagOp(verb="prepend", tags=["mira"])
    timed("what it would change", lambda: plan(data.images, op))
    timed("batch edit", lambda: carry_out(data, plan(data.images, op)))
    edited = with_captions(data, {image.name: "mira, " + (image.caption or "") for image in data.images})
    timed("undo", lambda: undo(edited))
    timed("one caption", lambda: carry_out(data, plan(data.images[:1], op)))


def kills(root: Path, count: int) -> None:
    """Kill an edit of `count` captions at random moments; afterwards every file is whole and the journal agrees."""
    data = dataset(root, count, written=True)
    before = {path.name: path.read_bytes() for path in root.glob("*.txt")}
    began = time.perf_counter()
    carry_out(data, plan(data.images, TagOp(verb="prepend", tags=["mira"])))
    whole = time.perf_counter() - began
    undo(with_captions(data, {image.name: "mira, " + (image.caption or "") for image in data.images}))
    dice, cut = random.Random(2), 0
    for turn in range(KILLS):
        op = TagOp(verb="prepend", tags=[f"mira {turn}"])
        tag_journal._journals.clear()
        child = os.fork()
        if not child:
            carry_out(data, plan(data.images, op))
            os._exit(0)
        if turn % 2:  # half of them while new files are made and captions change their names
            _await_intent(root, child)
        time.sleep(dice.uniform(0, whole / (2 if turn % 2 else 1)))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with tag_journal.opened(root) as journal:
            done = bool(journal.done) and journal.done[-1].op.tags == op.tags
            cut += journal.recovered > 0
            journal.recovered = 0
        for path in root.glob("*.txt"):
            wanted = (f"mira {turn}, ".encode() if done else b"") + before[path.name]
            if path.read_bytes() != wanted:
                sys.exit(f"kill {turn}: {path.name} is neither before nor after")
        if done:
            undo(with_captions(data, {}))
        if any(path.read_bytes() != before[path.name] for path in root.glob("*.txt")):
            sys.exit(f"kill {turn}: the undo left something")
    print(f"  {KILLS} kills in an edit of {count:,} captions: every file whole, {cut} edits completed afterwards")


def _await_intent(root: Path, child: int) -> None:
    """Until an edit is written down that was not before, or its process has ended."""
    folder = root / ".lorabake"
    known = set(folder.glob("tags-*.json"))
    while set(folder.glob("tags-*.json")) <= known and os.waitid(os.P_PID, child, _ENDED) is None:
        time.sleep(0.001)


def main() -> None:
    """Print all figures."""
    with tempfile.TemporaryDirectory(prefix="lorabake-tags-") as folder:
        edits(Path(folder), 10_000)
    vocabulary(140_000)
    filters(10_000)
    filters(100_000)
    if "--quick" not in sys.argv:
        with tempfile.TemporaryDirectory(prefix="lorabake-tags-") as folder:
            kills(Path(folder), 10_000)


if __name__ == "__main__":
    main()
