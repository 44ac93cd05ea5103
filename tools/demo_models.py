"""Rebuilds the whole embedded demo from nothing: drawings, sample dataset, autoencoder, base model, tagger.

Two processor cores need about three hours for it. Each step is skipped when what it makes is there; the trainings
resume, so the command can be stopped and given again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parent.parent / "engine" / "demo"
CORPORA = {  # name: (count, further options of demo_data)
    "base": (20_000, ["--seed", "1"]),
    "held": (1_200, ["--seed", "2"]),
    "character": (1_200, ["--seed", "3", "--character"]),
    "pixel": (1_000, ["--seed", "4", "--style", "pixel"]),
    "apart": (1_600, ["--seed", "5", "--style", "apart"]),  # for the tagger alone
}


def run(module: str, *arguments: object) -> None:
    """One of the tools, on one OpenMP thread: beside other work, one is faster than two."""
    command = [sys.executable, "-m", f"tools.{module}", *map(str, arguments)]
    print("$", " ".join(command[1:]), flush=True)
    subprocess.run(command, check=True, env={"OMP_NUM_THREADS": "1", **os.environ})


def main() -> None:
    """Make what is missing in the work folder, then write the shipped files."""
    parser = argparse.ArgumentParser(description="Rebuild the embedded demo.")
    parser.add_argument("--work", type=Path, default=Path("build/demo"), help="drawings and checkpoints")
    parser.add_argument("--out", type=Path, default=DEMO)
    parser.add_argument("--minutes", type=float, default=120, help="training time of the base model")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    corpora = {name: args.work / f"{name}.npz" for name in CORPORA}
    for name, (count, options) in CORPORA.items():
        if not corpora[name].exists():
            run("demo_data", corpora[name], "--count", count, *options)
    learnt = [corpora[name] for name in ("base", "character", "pixel")]
    run("demo_sample", "--out", args.out)
    vae = args.work / "vae" / "vae"
    if not vae.exists():
        run("train_demo_vae", *learnt, "--out", args.work / "vae")
    work = args.work / "unet"
    base, held = corpora["base"], corpora["held"]
    run("train_demo_base", "--corpus", base, "--held", held, "--vae", vae, "--work", work,
        "--out", args.out / "base", "--minutes", args.minutes)  # fmt: skip
    run("train_demo_tagger", *learnt, corpora["apart"], "--held", held, "--out", args.out / "tagger")


if __name__ == "__main__":
    main()
