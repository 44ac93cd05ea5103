"""What all tests share: a home that is nobody's, one thread for each process, signals as a terminal gives them."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator

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
    parser.addoption(
        "--full",
        action="store_true",
        default=False,
        help="all cells of the exactness matrix, every preset, every kill: hours",
    )


def pytest_collection_finish() -> None:
    """What all test files imported lives to the end: no search for garbage has to look at it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _home_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests that name no home of their own neither read nor need the home of the person who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORABAKE_HOME", str(tmp_path_factory.mktemp("nobody") / "home"))
        yield
