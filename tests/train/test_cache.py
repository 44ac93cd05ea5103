"""A cached latent is that of these very pixels, this crop, this side and this VAE, or it is not used."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from PIL import Image

from engine.dataset.manifest import file_sha256
from engine.dataset.plan import Item, make_plan
from engine.dataset.scan import scan
from engine.models.load import load_model
from engine.models.model import DiffusionModel, Posterior
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams
from engine.train.cache import Latents, frame_of
from engine.train.views import mirror_of
from tests.tiny import tiny_dataset

PARAMS = BakeParams(resolution=32)


@pytest.fixture(scope="module")
def model(base: Path) -> DiffusionModel:
    return load_model(base, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_dataset(tmp_path / "set", images=2)


def items_of(folder: Path, params: BakeParams = PARAMS) -> list[Item]:
    return list(make_plan(scan(folder), None, params).items)


def loaded(model: DiffusionModel, cache: Path, items: list[Item]) -> list[Posterior]:
    hashes = [file_sha256(item.image.path, item.image.name) for item in items]
    return list(Latents(model, cache).load(items, hashes))


def files(cache: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")}


def same(one: list[Posterior], other: list[Posterior]) -> bool:
    return all(torch.equal(a.mean, b.mean) and torch.equal(a.std, b.std) for a, b in zip(one, other, strict=True))


def test_mean_and_deviation_come_back_bit_for_bit(model: DiffusionModel, folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    fresh = loaded(model, cache, items_of(folder))
    made = files(cache)
    assert len(made) == 2
    assert all(bool((one.std > 0).all()) for one in fresh), "the posterior, not one sample of it"
    assert same(loaded(model, cache, items_of(folder)), fresh)
    assert files(cache) == made, "nothing was computed again"


def test_another_name_is_the_same_picture(model: DiffusionModel, folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    loaded(model, cache, items_of(folder))
    made = files(cache)
    (folder / "0.png").rename(folder / "elsewhere.png")
    loaded(model, cache, items_of(folder))
    assert files(cache) == made


def test_other_pixels_under_the_same_name_size_and_time(model: DiffusionModel, tmp_path: Path) -> None:
    folder, cache = tiny_dataset(tmp_path / "set", images=2, sides=(32,)), tmp_path / "cache"
    first, second = loaded(model, cache, items_of(folder))
    assert not same([first], [second])
    before = (folder / "0.png").stat()
    shutil.copy(folder / "1.png", folder / "0.png")
    os.utime(folder / "0.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert same(loaded(model, cache, items_of(folder)), [second, second])


def test_another_vae_finds_nothing(
    model: DiffusionModel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(model, tmp_path / "cache", items_of(folder))
    monkeypatch.setattr(model, "vae_hash", "another")
    loaded(model, tmp_path / "cache", items_of(folder))
    assert len(files(tmp_path / "cache")) == 4


def test_another_crop_bucket_or_side_is_another_latent(model: DiffusionModel, folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    items = items_of(folder)
    plain = loaded(model, cache, items)
    turned = loaded(model, cache, [mirror_of(item, PARAMS) for item in items])
    assert len(files(cache)) == 4
    assert not same(plain, turned)
    larger = items_of(folder, BakeParams(resolution=48))
    assert loaded(model, cache, larger)[0].mean.shape != plain[0].mean.shape
    assert len(files(cache)) == 6


def test_the_mirrored_latent_is_that_of_the_mirrored_picture(
    model: DiffusionModel, folder: Path, tmp_path: Path
) -> None:
    from PIL import Image, ImageOps

    (turned,) = loaded(model, tmp_path / "cache", [mirror_of(items_of(folder)[0], PARAMS)])
    other = tmp_path / "mirrored"
    other.mkdir()
    ImageOps.mirror(Image.open(folder / "0.png")).save(other / "0.png")
    (expected,) = loaded(model, tmp_path / "other", items_of(other))
    assert torch.allclose(turned.mean, expected.mean, atol=1e-5)


def test_the_frame_of_a_mirrored_picture_is_cut_from_the_other_side(folder: Path) -> None:
    import msgspec

    (item, *_) = items_of(folder)
    fit = msgspec.structs.replace(item.fit, resize=(50, 32), crop=(4, 0, 36, 32), bucket=(32, 32))
    item = msgspec.structs.replace(item, fit=fit)
    assert frame_of(item).crop == (0, 4)
    assert frame_of(mirror_of(item, PARAMS)).crop == (0, 14)
    assert mirror_of(mirror_of(item, PARAMS), PARAMS) == item


@pytest.mark.parametrize("damage", ["torn", "other shape", "no number"])
def test_a_damaged_file_is_computed_again(model: DiffusionModel, folder: Path, tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "cache"
    fresh = loaded(model, cache, items_of(folder))
    victim = next(iter(files(cache)))
    if damage == "torn":
        victim.write_bytes(victim.read_bytes()[:-9])
    else:
        tensors = safetensors.torch.load(victim.read_bytes())
        bad = tensors["mean"][:, 1:] if damage == "other shape" else tensors["mean"] * float("nan")
        victim.write_bytes(safetensors.torch.save({**tensors, "mean": bad.contiguous()}))
    assert same(loaded(model, cache, items_of(folder)), fresh)


def test_a_file_that_was_replaced_after_it_was_hashed_is_refused(
    model: DiffusionModel, folder: Path, tmp_path: Path
) -> None:
    """Else the latent of the new picture would be found under the hash of the old one for ever."""
    items = items_of(folder)
    hashes = [file_sha256(item.image.path, item.image.name) for item in items]
    data = bytearray((folder / "0.png").read_bytes())
    (folder / "0.png").write_bytes(bytes(data) + b"more")
    with pytest.raises(EngineError) as caught:
        list(Latents(model, tmp_path / "cache").load(items, hashes))
    assert caught.value.info.code == "dataset_changed"
    assert not files(tmp_path / "cache")


def test_kohya_trains_on_zeros_where_the_vae_gives_no_numbers(
    model: DiffusionModel, folder: Path, tmp_path: Path
) -> None:
    weight = next(model.vae.parameters())
    kept = weight.detach().clone()
    try:
        weight.data.fill_(float("nan"))
        with pytest.raises(EngineError) as caught:
            loaded(model, tmp_path / "cache", items_of(folder))
    finally:
        weight.data.copy_(kept)
    assert caught.value.info.code == "latent_nonfinite"
    assert "0.png" in caught.value.info.message
    assert not files(tmp_path / "cache")


def test_a_cache_that_takes_no_file_is_only_slower(model: DiffusionModel, folder: Path, tmp_path: Path) -> None:
    expected = loaded(model, tmp_path / "cache", items_of(folder))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        found = loaded(model, tmp_path / "full", items_of(folder))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert same(found, expected)
    assert not list((tmp_path / "full").rglob("*.safetensors*"))


def test_kohyas_crop_offsets_are_those_of_a_picture_that_fits_inside(tmp_path: Path) -> None:
    """800 × 1200 in a bucket of 832 × 1216: the real cut is 16 from the top, kohya tells 10 from the left."""
    Image.new("RGB", (800, 1200)).save(tmp_path / "a.png")
    (item,) = make_plan(scan(tmp_path), None, BakeParams(resolution=1024)).items
    assert item.fit.bucket == (832, 1216)
    assert frame_of(item).crop == (16, 0)
    assert frame_of(item, kohya=True).crop == (0, 10)
