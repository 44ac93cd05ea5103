"""Interrupted bakes end in the very numbers of uninterrupted ones: pairs of all choices, or all of them with `--full`.

Most interruptions throw the bake away within this process, where nothing of it is left but files; some are real
SIGKILLs, at moments that nobody chose.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.demo.paths import BASE as EMBEDDED
from engine.lora import kohya
from engine.protocol.control import send
from engine.protocol.events import Ack, Checkpoint, Event, Finished, Phase, Resumed, Step
from engine.runs.folder import RunFolder
from tests.tiny import tiny_dataset
from tests.train.conftest import Kitchen, losses

NETWORKS: dict[str, dict[str, Any]] = {
    "lora": {},
    "locon": {"conv_dim": 2},
    "dora": {"use_dora": True, "conv_dim": 1},
}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "AdamW": {},
    "Lion": {"unet_lr": 1e-3},
    "Prodigy": {"unet_lr": 1.0},
    "Adafactor": {"lr_scheduler": "constant"},
}
ACCUMULATION: dict[str, dict[str, Any]] = {
    "steps of one batch": {},
    "of two": {"gradient_accumulation": 2, "repeat": 2},
}
BUCKETS: dict[str, dict[str, Any]] = {"buckets": {}, "squares": {"enable_bucket": False}}
TEXT: dict[str, dict[str, Any]] = {"text too": {}, "U-Net alone": {"text_encoder_lr": 0.0}}
CHANCE: dict[str, dict[str, Any]] = {
    "no dropout": {"gradient_checkpointing": True, "clip_skip": 2, "validation_split": 0.2, "max_token_length": 150},
    "all dropouts": {
        "network_dropout": 0.2,
        "rank_dropout": 0.2,
        "module_dropout": 0.2,
        "scale_weight_norms": 0.05,
        "flip_aug": True,
        "shuffle_caption": True,
        "caption_dropout_rate": 0.2,
        "caption_tag_dropout_rate": 0.2,
        "token_warmup_step": 0.5,
        "enable_wildcard": True,
        "multires_noise_iterations": 3,
    },
}
COMMON = {"batch_size": 2, "repeat": 1, "epochs": 2, "network_dim": 2, "network_alpha": 1.0, "lr_warmup": 0.2}

Cell = tuple[str, ...]


class Killed(BaseException):
    """Takes the bake away from under itself; nothing in the engine catches it."""


def product() -> list[Cell]:
    return list(itertools.product(NETWORKS, OPTIMIZERS, ACCUMULATION, BUCKETS, TEXT, CHANCE, KILLS))


def pairs() -> list[Cell]:
    """A few cells of the product in which every two choices meet, found greedily."""
    cells = product()
    random.Random(77).shuffle(cells)  # an order in which as few are found as there can be: optimizers times kills

    def met(cell: Cell) -> set[tuple[int, str, int, str]]:
        return {(i, cell[i], j, cell[j]) for i, j in itertools.combinations(range(len(cell)), 2)}

    open_pairs = set().union(*map(met, cells))
    chosen: list[Cell] = []
    while open_pairs:
        best = max(cells, key=lambda cell: len(met(cell) & open_pairs))
        chosen.append(best)
        open_pairs -= met(best)
    return chosen


def settings(cell: Cell) -> dict[str, Any]:
    network, optimizer, accumulation, buckets, text, chance, _ = cell
    chosen = COMMON | NETWORKS[network] | OPTIMIZERS[optimizer] | ACCUMULATION[accumulation] | BUCKETS[buckets]
    chosen = chosen | TEXT[text] | CHANCE[chance]
    if optimizer == "Prodigy" and text == "text too":
        chosen["text_encoder_lr"] = 1.0
    return chosen | {"optimizer": optimizer}


def die(
    kitchen: Kitchen, run: RunFolder, when: Callable[[Event], bool], ask: Callable[[Event], None] = lambda event: None
) -> None:
    """A boot that ends for good at the event that `when` picks; `ask` may ask for something at any event till then."""

    def hook(run: RunFolder, event: Event) -> None:
        ask(event)
        if when(event):
            raise Killed

    with pytest.raises(Killed):
        kitchen.bake(run, hook)


def mid_epoch(kitchen: Kitchen, run: RunFolder, steps: int) -> None:
    """Saved after the first step, dead at the end of the first epoch before anything of it is."""
    asked = 0

    def ask(event: Event) -> None:
        # In an epoch of two steps, the event of the first comes too late to ask for a save between them. But what is
        # asked for right before a step, as when another request has just been answered, is done right after it.
        nonlocal asked
        begins = isinstance(event, Phase) and event.name == "train"
        if asked < 2 and (begins or (isinstance(event, Ack) and event.state == "done")):
            asked += 1
            send(run.control, "save_now")

    die(kitchen, run, lambda e: isinstance(e, Checkpoint) and e.kind == "epoch", ask)
    assert [e.step for e in kitchen.events(run) if isinstance(e, Checkpoint) and e.kind == "state"][-1] == 1


def next_epoch(kitchen: Kitchen, run: RunFolder, steps: int) -> None:
    """Dead in the second epoch, with the state of the first one's end."""
    die(kitchen, run, lambda e: isinstance(e, Step) and e.epoch == 2)


def twice(kitchen: Kitchen, run: RunFolder, steps: int) -> None:
    """Dead after the first epoch's file, and again right before the last step."""
    die(kitchen, run, lambda e: isinstance(e, Checkpoint) and e.kind == "state")
    die(kitchen, run, lambda e: isinstance(e, Step) and e.step == steps - 1)


KILLS: dict[str, Callable[[Kitchen, RunFolder, int], None]] = {
    "mid-epoch": mid_epoch,
    "in the next epoch": next_epoch,
    "twice": twice,
}


def same(kitchen: Kitchen, run: RunFolder, other: RunFolder) -> None:
    """Losses of every step and weights of every epoch are equal, bit for bit."""
    events, expected = kitchen.events(run), kitchen.events(other)
    assert losses(events) == losses(expected)
    assert len(set(losses(expected).values())) > 1
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "done"
    assert events[-1].files == expected[-1].files
    for file in events[-1].files:
        mine, theirs = kohya.read(run.path / file), kohya.read(other.path / file)
        assert mine.tensors.keys() == theirs.tensors.keys()
        assert all(torch.equal(mine.tensors[name], theirs.tensors[name]) for name in theirs.tensors)


def interrupted(kitchen: Kitchen, cell: Cell) -> None:
    straight, broken = kitchen.submit("straight", **settings(cell)), kitchen.submit("broken", **settings(cell))
    steps = max(losses(kitchen.bake(straight)))
    KILLS[cell[-1]](kitchen, broken, steps)
    events = kitchen.bake(broken)
    assert any(isinstance(event, Resumed) for event in events)
    same(kitchen, broken, straight)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        cells = product() if metafunc.config.getoption("full") else pairs()
        metafunc.parametrize("cell", cells, ids=["-".join(cell).replace(" ", "_") for cell in cells])


@pytest.fixture
def kitchen(kitchen: Kitchen, tmp_path: Path) -> Kitchen:
    """With so few images that an epoch has two steps."""
    kitchen.dataset = tiny_dataset(tmp_path / "few", images=4)
    return kitchen


@pytest.fixture
def where(kitchen: Kitchen, request: pytest.FixtureRequest) -> Kitchen:
    """With `--full` on the embedded base, else on the tiny one."""
    if request.config.getoption("full"):
        kitchen.base = EMBEDDED
    return kitchen


def test_every_two_choices_meet_an_interruption(where: Kitchen, cell: Cell) -> None:
    interrupted(where, cell)


def test_the_embedded_base_with_everything_on(kitchen: Kitchen) -> None:
    kitchen.base = EMBEDDED
    interrupted(kitchen, ("dora", "Prodigy", "of two", "buckets", "text too", "all dropouts", "mid-epoch"))


@pytest.fixture
def seed() -> int:
    """Differs from run to run; shown when the test fails."""
    made = int(os.environ.get("LORABAKE_TEST_SEED", time.time_ns() % 1_000_000))
    print(f"LORABAKE_TEST_SEED={made}")
    return made


def test_sigkill_at_moments_nobody_chose(kitchen: Kitchen, seed: int) -> None:
    params = settings(("locon", "AdamW", "steps of one batch", "buckets", "text too", "all dropouts", "twice"))
    straight, broken = kitchen.submit("straight", **params), kitchen.submit("broken", **params)
    began = time.monotonic()
    kitchen.bake(straight)
    took = time.monotonic() - began
    chance = random.Random(seed)
    for _ in range(3):
        if killed_after(kitchen, broken, chance.uniform(0.1, 1.0) * took):
            continue
        break
    else:
        kitchen.bake(broken)
    same(kitchen, broken, straight)
    assert not list(Path(broken.path).rglob("*.part")) or broken.lora_file(2, "tiny").exists()


def killed_after(kitchen: Kitchen, run: RunFolder, seconds: float) -> bool:
    """A boot in a process that the kernel ends after so long, whatever it does; False when it was done by then."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            kitchen.bake(run)
        finally:
            os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return os.WIFSIGNALED(status)
