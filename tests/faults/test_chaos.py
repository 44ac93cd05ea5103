"""A small run of the chaos bench: random faults, and every bake ends as it does without them."""

import subprocess
import sys

from tests.engine_processes import ROOT


def test_random_faults_change_nothing_that_is_baked() -> None:
    words = ["--faults", "6", "--bakes", "2", "--seed", "3", "--rate", "400"]
    done = subprocess.run(
        [sys.executable, "-m", "tools.bench.chaos", *words], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "as without faults, bit for bit" in done.stdout
