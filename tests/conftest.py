"""What all tests share: a home that is nobody's, one thread for each process, signals as a terminal gives them."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# Several test processes share the cores: threads that wait for each other would only take turns with other tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# An ignored signal stays ignored in every child, so ctrl+c and a closed terminal would do nothing in the tests.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


# Files that take long, the longest first: a process that came to one of them last would end alone.
LONG = (
    "e2e/test_survival.py",
    "train/test_exactness_matrix.py",
    "tui/test_frame_app.py",
    "train/test_every_parameter.py",
    "faults/test_real_worker.py",
    "cli/test_following.py",
    "faults/test_kills.py",
    "cli/test_real_bake.py",
    "tui/test_tags_section.py",
    "tui/test_results_section.py",
    "tui/test_monitor_section.py",
    "tui/test_dataset_section.py",
    "train/test_exactness.py",
    "train/test_guards.py",
    "train/test_requests.py",
    "tui/test_params_section.py",
    "e2e",
    "runs",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--full`: what is slow in its whole breadth, such as the product of all choices that a resumed bake can have."""
    parser.addoption(
        "--full",
        action="store_true",
        default=False,
        help="all cells of the exactness matrix, every preset, every kill: hours",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, in the order of `LONG`, which is the order in which the processes take them."""
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(here).as_posix()
        return next((n for n, long in enumerate(LONG) if name.startswith(long)), len(LONG))

    items.sort(key=place)


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
