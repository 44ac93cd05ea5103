"""What all tests share: one thread for each process, and signals as a terminal gives them, also under nohup."""

from __future__ import annotations

import os
import signal

import pytest

# Several test processes share the cores: threads that wait for each other would only take turns with other tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# An ignored signal stays ignored in every child, so ctrl+c and a closed terminal would do nothing in the tests.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--full`: what is slow in its whole breadth, such as the product of all choices that a resumed bake can have."""
    parser.addoption("--full", action="store_true", default=False, help="all cells of the exactness matrix: hours")
