"""The hint from the held-out loss says what the numbers say, and no more."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from engine.runs.best import best_epoch

SAVED = range(1, 6)


@pytest.mark.parametrize(
    ("losses", "saved", "epoch", "code"),
    [
        ({0: 0.5, 1: 0.4, 2: 0.3, 3: 0.2, 4: 0.25, 5: 0.3}, SAVED, 3, "hint_best_epoch"),
        ({0: 0.5, 1: 0.4, 2: 0.3, 3: 0.25, 4: 0.2, 5: 0.1}, SAVED, 5, "hint_best_last"),
        ({0: 0.5, 1: 0.4, 2: 0.3, 3: 0.2, 4: 0.2005, 5: 0.201}, SAVED, 3, "hint_best_even"),
        ({0: 0.5, 1: 0.6, 2: 0.55, 3: 0.52, 4: 0.51, 5: 0.5}, SAVED, 0, "hint_best_none"),
        # Only an epoch whose file exists can be recommended.
        ({0: 0.5, 1: 0.4, 2: 0.3, 3: 0.2, 4: 0.25, 5: 0.3}, (2, 4, 5), 4, "hint_best_epoch"),
    ],
)
def test_the_hint_fits_the_curve(losses: dict[int, float], saved: Collection[int], epoch: int, code: str) -> None:
    best = best_epoch(losses, saved)
    assert best is not None
    assert (best.epoch, best.hint.code) == (epoch, code)
    assert best.hint.message.startswith("Hint: ")
    assert "?" not in best.hint.message, "every figure of the reason is there"


@pytest.mark.parametrize(("losses", "saved"), [({}, SAVED), ({0: 0.5, 1: 0.4}, SAVED), ({1: 0.5, 2: 0.4}, [2])])
def test_nothing_to_choose_from_is_no_hint(losses: dict[int, float], saved: Collection[int]) -> None:
    assert best_epoch(losses, saved) is None
