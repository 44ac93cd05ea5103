"""Making room: what stays, what goes to the trash, what comes back, and that the published never goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.drawing.sources import epoch_files
from engine.protocol.errors import EngineError
from engine.protocol.publishing import PruneParams, PublishParams, TrashParams
from engine.publish.deliver import publish
from engine.publish.judged import Judged, Losses, Seen, verdict
from engine.publish.prune import held, prune, trash
from engine.publish.results import results
from tests.results.conftest import Bench


def epochs(bench: Bench) -> list[int]:
    return sorted(epoch_files(bench.run, bench.run.read_job()))


def test_epochs_go_to_the_trash_and_come_back(bench: Bench) -> None:
    told = prune(PruneParams(run="last", dry_run=True))
    assert epochs(bench) == [1, 2, 3]
    done = prune(PruneParams(run="last"))
    assert (done.epochs, done.kept) == (told.epochs, told.kept) == ([1, 2], {3: "last"})
    assert epochs(bench) == [3]
    assert [row.present for row in results(bench.run).epochs] == [False, False, False, True]
    assert prune(PruneParams(run="last", restore=True)).restored == 2
    assert epochs(bench) == [1, 2, 3]
    assert list(trash().iterdir()) == []


def test_the_published_and_every_nth_stay(bench: Bench, tmp_path: Path) -> None:
    publish(PublishParams(run="last", to=str(tmp_path / "out"), epoch=1), lambda done, total: None)
    assert prune(PruneParams(run="last", every=2)).kept == {1: "published", 2: "every", 3: "last"}
    for asked in (PruneParams(run="last", epochs=[1]), PruneParams(run="last", whole=True)):
        with pytest.raises(EngineError) as raised:
            prune(asked)
        assert raised.value.info.code == "prune_published"
    assert epochs(bench) == [1, 2, 3]


def test_a_whole_run_goes_and_comes_back(bench: Bench) -> None:
    before = sorted(path.relative_to(bench.run.path) for path in bench.run.path.rglob("*"))
    prune(PruneParams(run="last", whole=True))
    assert not bench.run.path.exists()
    prune(PruneParams(run=bench.run.id, restore=True))
    assert sorted(path.relative_to(bench.run.path) for path in bench.run.path.rglob("*")) == before


def test_parameters_tell_where_they_come_from(bench: Bench) -> None:
    found = results(bench.run)
    sources = {row.name: (row.value, row.source) for row in found.params}
    assert sources["epochs"] == ("3", "set")
    assert sources["max_grad_norm"][1] == "default"
    assert found.derived["steps"].isdigit()
    assert found.trigger == "nekomizu"
    assert all(row.loss is not None for row in found.epochs if row.epoch)


def seen(**by_epoch: tuple[float, float]) -> Judged:
    return Judged(tagger="t", epochs={int(k[1:]): Seen(likeness=a, obedience=b) for k, (a, b) in by_epoch.items()})


@pytest.mark.parametrize(
    ("figures", "held", "best", "overtrained"),
    [
        ({"e1": (0.2, 0.8), "e2": (0.9, 0.8), "e3": (0.91, 0.79)}, {}, 2, 0),
        ({"e1": (0.5, 0.8), "e2": (1.0, 0.8), "e3": (1.0, 0.4), "e4": (1.0, 0.3)}, {}, 2, 3),
        ({"e1": (0.5, 0.8), "e2": (1.0, 0.3), "e3": (1.0, 0.8)}, {}, 3, 0),
        ({"e1": (1.0, 0.5), "e2": (1.0, 0.5), "e3": (1.0, 0.5)}, {1: 0.1, 2: 0.12, 3: 0.13}, 1, 2),
    ],
)
def test_the_hint(figures: dict[str, tuple[float, float]], held: dict[int, float], best: int, overtrained: int) -> None:
    found = verdict(seen(**figures), Losses(held=held), [1, 2, 3, 4])
    assert found is not None
    assert (found.best, found.overtrained) == (best, overtrained)
    assert verdict(None, Losses(), [1, 2]) is None


def test_what_is_learned_by_heart_is_too_much_though_it_looks_well() -> None:
    figures = seen(e1=(0.88, 0.63), e2=(0.93, 0.78), e3=(0.94, 0.77), e4=(0.94, 0.79))
    # The losses of a demo bake of five times the steps, and of one as it should be.
    much = Losses(trained={1: 0.066, 2: 0.033, 3: 0.018, 4: 0.011}, beginning=0.121)
    fine = Losses(trained={1: 0.091, 2: 0.064, 3: 0.052, 4: 0.047}, beginning=0.104)
    found = verdict(figures, much, [1, 2, 3, 4])
    assert found is not None
    assert (found.best, found.overtrained) == (2, 3)
    assert [hint.code for hint in found.hints] == ["hint_best_seen", "hint_by_heart"]
    assert found.hints[1].args["share"] == "15%"
    other = verdict(figures, fine, [1, 2, 3, 4])
    assert other is not None
    assert (other.best, other.overtrained) == (3, 0)


def test_the_trash_is_looked_at_and_emptied_for_good(bench: Bench) -> None:
    size = sum(path.stat().st_size for epoch, path in epoch_files(bench.run, bench.run.read_job()).items() if epoch < 3)
    prune(PruneParams(run="last"))
    seen = held(TrashParams())
    assert (seen.runs, seen.files, seen.bytes, seen.emptied) == ({bench.run.id: size}, 2, size, False)
    with pytest.raises(EngineError) as raised:
        held(TrashParams(run="nobody", empty=True))
    assert raised.value.info.code == "run_unknown"
    gone = held(TrashParams(run=bench.run.id, empty=True))
    assert (gone.bytes, gone.emptied) == (size, True)
    assert held(TrashParams()).files == 0
    with pytest.raises(EngineError):
        prune(PruneParams(run=bench.run.id, restore=True))
    assert epochs(bench) == [3]
