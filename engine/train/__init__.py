"""The trainer: one loop, small pure files of mathematics, and what keeps a bake alive over crashes."""

import os

# Read once, when torch loads its OpenMP runtime. By default waiting threads spin: beside one busy neighbour on the
# same cores (the terminal, another job) a step then takes ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
