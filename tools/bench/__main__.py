"""`make bench`: runs every module of this folder in a process of its own and shows what it prints.

Names given on the command line choose among them, options go to the only one chosen; exit code 1 when one failed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def names() -> list[str]:
    """The benchmarks there are, by module name."""
    return sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def main(chosen: list[str]) -> int:
    """Run the chosen benchmarks (all when none is chosen), one after the other."""
    options: list[str] = []
    if len(chosen) > 1 and chosen[1].startswith("-"):
        chosen, options = chosen[:1], chosen[1:]
    unknown = [name for name in chosen if name not in names()]
    if unknown:
        print(f"no benchmark {unknown[0]}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    failed = []
    for name in chosen or names():
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"tools.bench.{name}", *options], cwd=HERE.parents[1]).returncode:
            failed.append(name)
            print("failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
