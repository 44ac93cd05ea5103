"""`make bench hint`: does the hint name the epoch that looks most like the dataset, and is too much training flagged?

Ten demo bakes over seeds and presets, half a minute each on a quiet processor. The truth is measured apart from the
hint: fresh pictures of every epoch, of captions and with seeds that no preview has, seen by the embedded tagger.
`--quick` bakes two; `--in FOLDER` keeps the bakes there, and bakes only what is not there yet.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SEEDS = (42, 7, 99, 1234, 5)
KINDS: dict[str, dict[str, Any]] = {"": {}, "-slow": {"unet_lr": 1.5e-3, "text_encoder_lr": 7e-4, "epochs": 6}}
TOO_MUCH = 5
PREVIEWS = 4
NEEDED = 0.8


def main() -> int:
    """Bake, measure, compare; 1 when the hint is right too seldom or a bake of five times the steps is not flagged."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--in", dest="folder", default="")
    parser.add_argument("--only", default="", help="one bake by name: s42, s42-slow … or much")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(LORABAKE_HOME=args.folder or folder, OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1"))
        bakes = {f"s{seed}{kind}": {"seed": seed, **params} for kind, params in KINDS.items() for seed in SEEDS}
        names = [name for name in bakes if args.only in ("", name)][: 2 if args.quick else None]
        right = sum(_agrees(name, bakes[name]) for name in names)
        print(f"within one epoch: {right} of {len(names)}", flush=True)
        flagged = args.only not in ("", "much") or _flagged()
        return 0 if right >= NEEDED * len(names) and flagged else 1


def _bake(name: str, params: dict[str, Any]) -> Any:
    """The finished and judged run of that name, baked where there is none."""
    from engine.dataset.scan import scan
    from engine.demo import paths
    from engine.judge import judge
    from engine.protocol.control import ControlReader
    from engine.protocol.journal import JournalWriter
    from engine.protocol.messages import Submit
    from engine.runs import queue
    from engine.runs.folder import all_runs
    from engine.runs.submit import prepare
    from engine.train.loop import bake

    run = next((run for run in all_runs() if run.read_job().name == name and (run.path / "judged.json").exists()), None)
    if run is None:
        asked = Submit(dataset=str(paths.DATASET), base="demo", preset="demo", name=name, params=params)
        job, manifest = prepare(asked, lambda path: scan(Path(path)))
        run = queue.submit(job, manifest, start=False)
        journal = JournalWriter(run.journal, run.id)
        try:
            bake(run, run.read_job(), journal, ControlReader(run.control))
        finally:
            journal.close()
    judge(run)
    return run


def _agrees(name: str, params: dict[str, Any]) -> bool:
    from engine.publish.results import results

    began = time.monotonic()
    run = _bake(name, params)
    found, truth = results(run), _likeness(run)
    best = max(truth, key=lambda epoch: truth[epoch])
    figures = " ".join(f"{epoch}:{value:.3f}" for epoch, value in truth.items())
    flag = f", flagged from {found.overtrained}" if found.overtrained else ""
    seconds = time.monotonic() - began
    print(f"{name}: hint {found.best}, best {best}, likeness {figures}{flag}, {seconds:.0f} s", flush=True)
    return abs(found.best - best) <= 1


def _likeness(run: Any) -> dict[int, float]:
    """Likeness of every epoch by pictures that no hint has seen: each caption without a preview once."""
    import torch

    from engine.drawing import request, sources
    from engine.drawing.apply import Dressed
    from engine.drawing.picture import draw
    from engine.drawing.prompt import escaped
    from engine.judge import Eye, tagger_for
    from engine.models.catalogue import locate
    from engine.models.load import load_model
    from engine.protocol.drawing import DrawParams
    from engine.train.device import choose

    job = run.read_job()
    compute = choose(job.params)
    dressed = Dressed(load_model(locate("demo").path, device=compute.device, dtype=torch.float32))
    entries = [row for row in run.read_manifest() if not row.reg]
    tagger = tagger_for("demo")
    assert tagger is not None
    eye = Eye(tagger, entries)
    means = {}
    for epoch in (0, *sources.of_run(run).epochs):
        files = []
        for number, entry in enumerate(entries[PREVIEWS:]):
            prompt = escaped(entry.caption)
            asked = DrawParams(source=run.id, epoch=epoch, prompt=prompt, seed=20_000 + number, steps=12)
            shot = request.prepare(asked, 0.0).drawn.shots[0]
            path = run.path / f"apart-{epoch}-{number}.png"
            if not path.exists():
                dressed.wear(shot.loras)
                path.write_bytes(draw(dressed.model, "demo", shot, compute, lambda: None))
            files.append(path)
        means[epoch] = eye.mean(files)
    return {epoch: eye.likeness(mean, means[0]) for epoch, mean in means.items() if epoch}


def _flagged() -> bool:
    from engine.publish.results import results

    found = results(_bake("much", {"repeat": 8 * TOO_MUCH}))
    figures = " ".join(f"{row.epoch}:{row.likeness or 0:.2f}/{row.obedience or 0:.2f}" for row in found.epochs)
    print(
        f"×{TOO_MUCH} steps: flagged from epoch {found.overtrained or '–'}, best {found.best}, seen {figures}",
        flush=True,
    )
    return bool(found.overtrained)


if __name__ == "__main__":
    sys.exit(main())
