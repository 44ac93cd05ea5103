"""The plan's steps are those the trainer's own order of batches takes, on hundreds of random datasets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from engine.dataset.plan import make_plan
from engine.dataset.scan import Dataset, ImageFile
from engine.estimate import of_plan
from engine.protocol.params import BakeParams
from engine.protocol.records import Crop
from engine.train.order import epoch_steps


@st.composite
def folders(draw: st.DrawFn) -> Dataset:
    sides, repeats = st.integers(1, 40).map(lambda n: n * 40), st.none() | st.integers(0, 9)
    rows = draw(st.lists(st.tuples(sides, sides, repeats, repeats, st.booleans(), repeats), max_size=12))
    images = tuple(
        ImageFile(
            name=f"{i}.png",
            path=Path(f"/{i}.png"),
            width=w,
            height=h,
            own_repeat=own,
            folder_repeat=folder,
            flip=flip,
            flip_repeat=mirrored,
            crop=Crop(box=(0, 0, w, h // 2), size=(w, h // 2), of=(w, h)) if (own or 0) > 6 else None,
        )
        for i, (w, h, own, folder, flip, mirrored) in enumerate(rows)
    )
    # One at least that trains whatever the others do.
    sure = ImageFile(name="sure.png", path=Path("/sure.png"), width=512, height=512)
    return Dataset(path=Path("/set"), images=(sure, *images))


@st.composite
def settings(draw: st.DrawFn) -> BakeParams:
    return BakeParams(
        repeat=draw(st.integers(1, 6)),
        epochs=draw(st.integers(1, 3)),
        batch_size=draw(st.integers(1, 8)),
        gradient_accumulation=draw(st.integers(1, 4)),
        resolution=draw(st.sampled_from([64, 512, 1024])),
        enable_bucket=draw(st.booleans()),
        bucket_no_upscale=draw(st.booleans()),
        validation_split=draw(st.sampled_from([0.0, 0.2])),
        seed=draw(st.integers(0, 5)),
        min_bucket_reso=draw(st.sampled_from([0, 32, 64])),
        max_bucket_reso=draw(st.sampled_from([0, 256, 2048])),
        bucket_reso_steps=draw(st.sampled_from([0, 8, 64])),
        flip_aug=draw(st.booleans()),
        module_dropout=draw(st.sampled_from([0.0, 0.5])),
    )


@budget(max_examples=200)
@given(folders(), st.none() | folders(), settings())
def test_steps_and_views_are_the_trainers(dataset: Dataset, reg: Dataset | None, params: BakeParams) -> None:
    plan = make_plan(dataset, reg, params)
    total = views = 0
    for epoch in range(1, params.epochs + 1):
        steps = epoch_steps(plan, params, epoch)
        assert len(steps) == plan.steps_per_epoch
        total += len(steps)
        seen = Counter(view.item for batches in steps for batch in batches for view in batch)
        assert seen == {i: item.repeat for i, item in enumerate(plan.items)}
        views += sum(n for i, n in seen.items() if not plan.items[i].reg)
        for batch in (batch for batches in steps for batch in batches):
            assert len({plan.items[view.item].fit.bucket for view in batch}) == 1
            assert len(batch) <= params.batch_size
    assert total == plan.optimizer_steps
    told = of_plan(plan, params, base="demo", device="CPU")
    assert (told.optimizer_steps, told.steps_per_epoch, told.image_views) == (total, len(steps), views)
    assert views == plan.image_views
