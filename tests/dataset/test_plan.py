"""The plan's numbers equal a walk through every batch, and regularisation and validation take what they should."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dataset.manifest import freeze, thaw, verify
from engine.dataset.plan import BakePlan, make_plan
from engine.dataset.scan import Dataset, ImageFile, scan
from engine.dataset.sidecar import set_repeat
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams
from tests.dataset import make


def image(name: str, size: tuple[int, int], folder: int | None = None, own: int | None = None) -> ImageFile:
    return ImageFile(
        name=name, path=Path("/set") / name, width=size[0], height=size[1], folder_repeat=folder, own_repeat=own
    )


sizes = st.tuples(st.integers(0, 40).map(lambda n: n * 50), st.integers(1, 40).map(lambda n: n * 50))
repeats = st.none() | st.integers(0, 12)


@st.composite
def datasets(draw: st.DrawFn, least: int = 1, most: int = 25) -> Dataset:
    rows = draw(st.lists(st.tuples(sizes, repeats, repeats), min_size=least, max_size=most))
    images = tuple(image(f"{i}.png", size, folder, own) for i, (size, folder, own) in enumerate(rows))
    return Dataset(path=Path("/set"), images=images)


@st.composite
def settings(draw: st.DrawFn) -> BakeParams:
    return BakeParams(
        repeat=draw(st.integers(1, 20)),
        epochs=draw(st.integers(1, 5)),
        batch_size=draw(st.integers(1, 9)),
        gradient_accumulation=draw(st.integers(1, 5)),
        resolution=draw(st.sampled_from([64, 512, 1024])),
        enable_bucket=draw(st.booleans()),
        bucket_no_upscale=draw(st.booleans()),
        validation_split=draw(st.sampled_from([0.0, 0.0, 0.1, 0.5])),
        seed=draw(st.integers(0, 9)),
    )


def trainable(dataset: Dataset) -> bool:
    return any(image.usable and image.set_repeat != 0 for image in dataset.images)


def walk(plan: BakePlan, params: BakeParams) -> tuple[int, int, int]:
    """Batches, optimizer steps and views of one epoch, by taking every single view in turn."""
    waiting: dict[tuple[int, int], int] = {}
    batches = views = 0
    for item in plan.items:
        for _ in range(item.repeat):
            views += 1
            size = item.fit.bucket
            waiting[size] = waiting.get(size, 0) + 1
            if waiting[size] == params.batch_size:
                batches += 1
                waiting[size] = 0
    batches += sum(left > 0 for left in waiting.values())
    steps = pending = 0
    for _ in range(batches):
        pending += 1
        if pending == params.gradient_accumulation:
            steps, pending = steps + 1, 0
    return batches, steps + (pending > 0), views


@given(datasets(), st.none() | datasets(), settings())
def test_steps_equal_a_walk_through_all_batches(dataset: Dataset, reg: Dataset | None, params: BakeParams) -> None:
    if not trainable(dataset):
        with pytest.raises(EngineError, match="no image that can be trained"):
            make_plan(dataset, reg, params)
        return
    plan = make_plan(dataset, reg, params)
    assert (plan.batches_per_epoch, plan.steps_per_epoch, plan.views_per_epoch) == walk(plan, params)
    assert plan.optimizer_steps == plan.steps_per_epoch * params.epochs
    train = [item for item in plan.items if not item.reg]
    assert plan.image_views == sum(item.repeat for item in train) * params.epochs
    assert sum(row.views for row in plan.buckets) == plan.views_per_epoch
    assert sum(row.images for row in plan.buckets) == len(plan.items)
    assert plan.skipped + len(train) + len(plan.validation) == len(dataset.images)


@given(datasets(), datasets(), settings())
def test_regularisation_views_equal_training_views(dataset: Dataset, reg: Dataset, params: BakeParams) -> None:
    if not trainable(dataset):
        return
    plan = make_plan(dataset, reg, params)
    train = sum(item.repeat for item in plan.items if not item.reg)
    extra = [item.repeat for item in plan.items if item.reg]
    usable = [i for i in reg.images if i.usable and i.set_repeat != 0]
    assert sum(extra) == (train if usable else 0) == plan.reg.views
    assert plan.reg.used == len(extra) == min(len(extra), len(usable))
    assert plan.reg.used + plan.reg.unused == len(reg.usable)
    assert plan.reg.repeated == sum(n > 1 for n in extra)
    # Nobody is left out while another one is seen more often than its own repeat asks.
    if len(extra) < len(usable):
        asked = [i.set_repeat or 1 for i in usable]
        assert all(n <= wish for n, wish in zip(extra, asked, strict=False))


@given(datasets(least=2), settings())
def test_validation_is_the_same_whatever_else_is_there(dataset: Dataset, params: BakeParams) -> None:
    if not trainable(dataset):
        return
    plan = make_plan(dataset, dataset, params)
    held = {item.image.name for item in plan.validation}
    trained = [item.image.name for item in plan.items if not item.reg]
    assert not held & set(trained)
    assert trained
    assert not any(item.reg for item in plan.validation)
    if params.validation_split == 0:
        assert not held
    shuffled = Dataset(path=dataset.path, images=dataset.images[::-1])
    assert {item.image.name for item in make_plan(shuffled, None, params).validation} == held


def test_validation_share_and_seed() -> None:
    dataset = Dataset(path=Path("/set"), images=tuple(image(f"{i}.png", (64, 64)) for i in range(50)))

    def held(seed: int) -> set[str]:
        plan = make_plan(dataset, None, BakeParams(validation_split=0.2, seed=seed))
        return {item.image.name for item in plan.validation}

    assert len(held(1)) == 10
    assert held(1) == held(1)
    assert held(1) != held(2)


def test_own_repeat_beats_folder_beats_global() -> None:
    rows = (
        image("a.png", (64, 64)),
        image("b.png", (64, 64), folder=5),
        image("c.png", (64, 64), folder=5, own=2),
        image("d.png", (64, 64), folder=5, own=0),
    )
    plan = make_plan(Dataset(path=Path("/set"), images=rows), None, BakeParams(repeat=10, epochs=3))
    assert [(item.image.name, item.repeat) for item in plan.items] == [("a.png", 10), ("b.png", 5), ("c.png", 2)]
    assert (plan.image_views, plan.skipped) == (51, 1)


@pytest.mark.parametrize(
    ("count", "own", "expected"),
    [
        (4, None, [3, 3, 2, 2]),  # too few: rounds of one more, from the front
        (20, None, [1] * 10),  # too many: the rest is unused
        (4, 4, [4, 4, 2]),  # own repeats first; the last one is cut to fit
        (2, 4, [5, 5]),
    ],
)
def test_kohyas_balance(count: int, own: int | None, expected: list[int]) -> None:
    dataset = Dataset(path=Path("/set"), images=(image("t.png", (64, 64)),))
    reg = Dataset(path=Path("/reg"), images=tuple(image(f"{i}.png", (64, 64), own) for i in range(count)))
    plan = make_plan(dataset, reg, BakeParams(repeat=10))
    assert [item.repeat for item in plan.items if item.reg] == expected


def test_a_frozen_bake_thaws_as_it_was(tmp_path: Path) -> None:
    folder, reg = tmp_path / "train", tmp_path / "reg"
    for i in range(12):
        make.image(folder / f"{i}.png", 40 + 7 * i, 60, caption=f"tag {i}")
        make.image(reg / f"{i}.jpg", 60, 40)
    set_repeat(folder, ["3.png"], 4)
    params = BakeParams(resolution=64, repeat=2, batch_size=3, validation_split=0.2)
    plan = make_plan(scan(folder), scan(reg), params)
    manifest = freeze(plan)
    for i in range(12):
        (folder / f"{i}.txt").write_text("edited later")
    set_repeat(folder, ["5.png"], 50)
    again = thaw(manifest, params)
    assert verify(manifest) == []
    for name in ("buckets", "image_views", "views_per_epoch", "steps_per_epoch", "optimizer_steps"):
        assert getattr(again, name) == getattr(plan, name)
    for old, new in zip([*plan.items, *plan.validation], [*again.items, *again.validation], strict=True):
        assert (old.image.name, old.image.path, old.repeat, old.fit, old.reg) == (
            new.image.name,
            new.image.path,
            new.repeat,
            new.fit,
            new.reg,
        )
        assert new.image.caption == (old.image.caption or "")
    assert Counter(entry.validation for entry in manifest)[True] == len(plan.validation) > 0


def test_verify_names_changed_and_missing_files(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png", "\udcff.png"):
        make.image(tmp_path / name)
    manifest = freeze(make_plan(scan(tmp_path), None, BakeParams()))
    assert verify(manifest) == []
    make.image(tmp_path / "b.png", 65, 64)
    (tmp_path / "c.png").unlink()
    assert sorted(Path(file).name for file in verify(manifest)) == ["b.png", "c.png"]


def test_freezing_a_file_that_went_away(tmp_path: Path) -> None:
    make.image(tmp_path / "a.png")
    plan = make_plan(scan(tmp_path), None, BakeParams())
    (tmp_path / "a.png").unlink()
    with pytest.raises(EngineError) as failure:
        freeze(plan)
    assert failure.value.info.code == "image_missing"


@pytest.mark.parametrize(
    "limits",
    [
        {"min_bucket_reso": 640, "resolution": 512},
        {"min_bucket_reso": 512, "max_bucket_reso": 256, "resolution": 1024},
        {"bucket_reso_steps": 128, "resolution": 64},
        {"bucket_reso_steps": 64, "max_bucket_reso": 32, "resolution": 64},
    ],
    ids=str,
)
def test_limits_that_contradict_each_other_are_refused(limits: dict[str, int]) -> None:
    dataset = Dataset(path=Path("/set"), images=(image("t.png", (64, 64)),))
    with pytest.raises(EngineError) as failure:
        make_plan(dataset, None, BakeParams(**limits))
    assert failure.value.info.code == "bucket_limits"
    assert all(failure.value.info.args[name] in limits for name in ("small", "large"))
    make_plan(dataset, None, BakeParams(**limits, enable_bucket=False))
