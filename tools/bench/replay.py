"""How fast a journal of 100,000 events becomes a Monitor's view: decode, fold, smooth, downsample.

Prints one line per measure: the best of several rounds in milliseconds, and the memory the folded run takes.
"""

from __future__ import annotations

import argparse
import random
import time
import tracemalloc
from collections.abc import Callable

from engine.protocol.events import Checkpoint, Event, Phase, Plan, Preview, Step, Validation
from engine.protocol.wire import encode
from lorabake_tui.store import RunFold, downsample

PER_EPOCH = 2000


def journal(events: int) -> list[bytes]:
    """The lines of a believable long bake of about `events` events."""
    rng = random.Random(1)
    lines: list[bytes] = []

    def emit(kind: type[Event], /, **fields: object) -> None:
        lines.append(
            encode(kind(run="bench", seq=len(lines) + 1, boot="b", t=1e9 + len(lines) / 4, **fields))[:-1]  # type: ignore[arg-type]
        )

    emit(Phase, name="train", plan=Plan(steps=events, epochs=events // PER_EPOCH, steps_per_epoch=PER_EPOCH))
    step = 0
    while len(lines) < events:
        step += 1
        epoch = (step - 1) // PER_EPOCH + 1
        emit(
            Step,
            step=step,
            epoch=epoch,
            loss=0.1 + rng.random() / 10,
            lr={"unet": 1e-4, "text_encoder": 5e-5},
            grad_norm=rng.random(),
            images=4,
            it_s=4.0,
            eta_s=100.0,
            elapsed_s=step / 4,
        )
        if step % PER_EPOCH == 0:
            emit(Checkpoint, kind="epoch", epoch=epoch, step=step, path=f"epochs/{epoch:02d}/m.safetensors")
            emit(Validation, epoch=epoch, step=step, loss=0.1)
            for index in range(1, 5):
                path = f"epochs/{epoch:02d}/preview-{index}.png"
                emit(Preview, epoch=epoch, step=step, index=index, path=path, seed=index, prompt="1girl")
    return lines


def best(action: Callable[[], object], rounds: int) -> float:
    """The shortest of `rounds` runs of `action`, in milliseconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def main(events: int = 100_000, rounds: int = 3) -> dict[str, float]:
    """Measure and print; returns the figures by name."""
    lines = journal(events)

    def replay() -> RunFold:
        fold = RunFold("bench")
        fold.add_lines(lines)
        return fold

    fold = replay()
    loss = fold.series.loss

    def smooth() -> None:
        fold.series.generation += 1
        fold.series.smoothed(0.9)

    figures = {
        f"replay {len(lines)} events, ms": best(replay, rounds),
        "view, ms": best(lambda: (setattr(fold, "_view", None), fold.view()), rounds),
        "smooth all, ms": best(smooth, rounds),
        "downsample all to 200, ms": best(lambda: downsample(fold.series.steps, loss, 200), rounds),
    }
    tracemalloc.start()
    replay_kept = replay()
    figures["memory, MB"] = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    assert replay_kept.seq == len(lines)
    for name, value in figures.items():
        print(f"{name:32} {value:8.1f}")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    main(parser.parse_args().events)
