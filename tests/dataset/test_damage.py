"""Files damaged in any way give a picture or a named error, never anything else."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.dataset.buckets import cover
from engine.dataset.captions import read_caption
from engine.dataset.pixels import load_rgb, upright_rgb
from engine.dataset.scan import scan
from engine.protocol.errors import EngineError
from tests.dataset import make

WHOLE = {suffix: make.encoded(kind, 90, 60) for suffix, kind in ((".png", "PNG"), (".jpg", "JPEG"), (".webp", "WEBP"))}


@settings(max_examples=100)
@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
    st.binary(max_size=20),
)
def test_damaged_images(suffix: str, changes: list[tuple[float, int]], kept: float, tail: bytes) -> None:
    data = bytearray(WHOLE[suffix])
    for place, value in changes:
        data[int(place * len(data))] = value
    cut = data[: int(kept * len(data)) if kept < 0.8 else len(data)] + tail
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"x{suffix}"
        path.write_bytes(cut)
        (image,) = scan(Path(name)).images
        assert image.problem in ("", "image_unreadable", "image_too_large")
        assert image.usable == (image.problem == "")
        fit = cover(image.width or 90, image.height or 60, (64, 64))
        for read in (lambda: load_rgb(path, fit).shape, lambda: upright_rgb(path, within=(20, 20))):
            try:
                read()
            except EngineError as error:
                codes = {"image_unreadable", "image_too_large", "dataset_changed"}
                if error.info.code not in codes:
                    raise


@settings(max_examples=40)
@example(b"\xef\xbb\xbf")
@example(b"\xed\xa0\x80")
@example(b"a\0b")
@given(st.binary(max_size=200))
def test_captions_of_any_bytes(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = make.image(Path(name) / "a.png")
        path.with_suffix(".txt").write_bytes(raw)
        (image,) = scan(Path(name)).images
        try:
            assert image.caption == read_caption(path)
            raw.decode("utf-8")
        except EngineError as error:
            if error.info.code != "caption_undecodable":
                raise
            assert (image.caption, image.problem) == ("", "caption_undecodable")
        assert path.with_suffix(".txt").read_bytes() == raw
