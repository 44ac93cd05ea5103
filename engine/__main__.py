"""`python -m engine host | runner | worker RUN_DIR | tell RUN_DIR MOMENT`: the processes behind the terminal."""

from __future__ import annotations

import sys

USAGE = "usage: python -m engine host | runner | worker RUN_DIR | tell RUN_DIR MOMENT"


def main(words: list[str]) -> int:
    """Start the process that `words` names; returns its exit status, 2 for words that name none."""
    match words:
        case ["host"]:
            from engine import host

            return host.main()
        case ["runner"]:
            from engine.runs import runner

            return runner.main()
        case ["worker", run_dir]:
            from engine import worker

            return worker.main(run_dir)
        case ["worker", run_dir, berth]:
            from engine import worker

            return worker.main(run_dir, berth)
        case ["tell", run_dir, moment]:
            from engine.runs import telling

            return telling.main(run_dir, moment)
        case _:
            print(USAGE, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
