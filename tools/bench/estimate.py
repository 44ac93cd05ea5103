"""Estimates after a probe beside what the bakes then took, on the demo base, for ten different settings.

Prints one line per bake and how many times and memories were within their limits (15 % and 10 %). Ten probes and ten
short bakes: some minutes on two quiet cores.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TIME_LIMIT, MEMORY_LIMIT = 0.15, 0.10

SHORT: dict[str, Any] = {"epochs": 3, "repeat": 4, "preview_steps": 10}
"""What makes the bakes short; the settings say otherwise where they do."""

SETTINGS: list[dict[str, Any]] = [
    {},
    {"batch_size": 1, "repeat": 2},
    {"batch_size": 8, "repeat": 8},
    {"resolution": 96},
    {"gradient_checkpointing": True},
    {"text_encoder_lr": 0, "epochs": 4},
    {"gradient_accumulation": 4, "batch_size": 2, "repeat": 8},
    {"optimizer": "Prodigy", "unet_lr": 1, "text_encoder_lr": 1, "network_dim": 64},
    {"preview_every_epochs": 0, "validation_split": 0.2},
    {"preview_steps": 20, "conv_dim": 0, "use_dora": True, "epochs": 2},
]


def call(home: Path, *words: str) -> Any:
    """The JSON that a command prints."""
    env = {**os.environ, "LORABAKE_HOME": str(home), "LORABAKE_LANG": "en"}
    done = subprocess.run(
        [sys.executable, "-m", "lorabake_tui", *words, "--json"], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr or done.stdout[-2000:])
    return json.loads(done.stdout if words[0] != "bake" else done.stdout.splitlines()[-1])


def main() -> None:
    """Measure and print."""
    home = Path(tempfile.mkdtemp(prefix="lorabake-bench-"))
    chosen = SETTINGS[: int(sys.argv[1].removeprefix("--"))] if len(sys.argv) > 1 else SETTINGS
    timely = fitting = 0
    try:
        dataset = call(home, "demo", "--where")["dataset"]
        for setting in chosen:
            words = ["--dataset", dataset, "--base", "demo"]
            for name, value in {**SHORT, **setting}.items():
                words += ["--set", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
            told = call(home, "probe", *words)
            end = call(home, "bake", *words)
            outcome = json.loads((home / "runs" / end["run"] / "measured.json").read_text())
            off = outcome["seconds"] / told["seconds"] - 1
            more = outcome["memory_bytes"] / told["memory_bytes"] - 1
            timely += abs(off) <= TIME_LIMIT
            fitting += abs(more) <= MEMORY_LIMIT
            print(
                f"{told['source']:6} {told['seconds']:6.1f} s  took {outcome['seconds']:6.1f} s  {off:+6.1%}   "
                f"{told['memory_bytes'] / 1e6:5.0f} MB  took {outcome['memory_bytes'] / 1e6:5.0f} MB  {more:+6.1%}   "
                f"{setting}",
                flush=True,
            )
        print(f"time within {TIME_LIMIT:.0%}: {timely} of {len(chosen)}; memory within {MEMORY_LIMIT:.0%}: {fitting}")
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
