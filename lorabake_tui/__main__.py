"""`python -m lorabake_tui`: the same as the `lorabake` script."""

import sys

from lorabake_tui.cli import main

if __name__ == "__main__":
    sys.exit(main())
