"""Runs another trainer's script unchanged and tells when each of its optimizer steps was done, and its peak memory.

    PYTHON tools/bench/_watched.py SCRIPT [ARGUMENTS …]

Needs nothing but torch, for it runs in the other trainer's environment.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import sys
import time

from torch.optim.optimizer import register_optimizer_step_post_hook


def tell(**facts: float) -> None:
    """A JSON line on the standard output, whatever else is written there."""
    print(json.dumps(facts), file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    register_optimizer_step_post_hook(lambda *_: tell(t=time.time(), cpu=time.process_time()))
    script = sys.argv[1]
    sys.argv = sys.argv[1:]
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        tell(peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
