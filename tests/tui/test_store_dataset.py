"""The pure parts of the Dataset section: findings by kind, orders, and the arithmetic of a crop moved by hand."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.protocol.errors import describe
from engine.protocol.records import Crop, DatasetPage, DatasetSummary, Finding, ImageRow
from lorabake_tui.opened import OpenedDataset
from lorabake_tui.store import cropping
from lorabake_tui.store.cropping import Part
from lorabake_tui.store.findings import Findings
from lorabake_tui.store.order import ORDERS, natural
from lorabake_tui.widgets.boxed import Part as Light
from lorabake_tui.widgets.boxed import lit

SIDES = st.integers(16, 5000)
SIZES = st.tuples(st.integers(16, 2048), st.integers(16, 2048))


def _finding(file: str, code: str, fix: str = "") -> Finding:
    info = describe(code, file=file, other="b.png", format="JPEG", wanted="a.jpg")
    return Finding(file=file, code=code, message=info.message, hint=info.hint, args=info.args, fix=fix)  # type: ignore[arg-type]


def test_findings_by_image_and_by_kind() -> None:
    found = [
        _finding("a.png", "caption_missing"),
        _finding("b.png", "caption_missing"),
        _finding("a.png", "image_extension", "rename"),
        _finding("", "bucket_small"),
    ]
    findings = Findings(findings=found)
    assert [kind.code for kind in findings.kinds] == ["image_extension", "caption_missing", "bucket_small"]
    assert (findings.images, findings.total, findings.fixable) == (2, 4, 1)
    assert [one.code for one in findings.of("a.png")] == ["caption_missing", "image_extension"]
    assert findings.of("a.png")[1].info.args == found[2].args


def test_a_regularisation_image_is_no_image_of_the_set() -> None:
    one = Finding(file="a.png", code="image_grey", message="", reg=True)
    assert Findings(findings=[one]).of("a.png") == []


def test_orders_are_stable_and_worst_first() -> None:
    opened = OpenedDataset(DatasetSummary(path="/d", images=3))
    rows = [
        ImageRow(name="10.png", width=10, height=10, caption="a, b"),
        ImageRow(name="9.png", width=30, height=30, caption="a, b"),
        ImageRow(name="x.png", width=20, height=20, caption=None, problem="caption_missing"),
    ]
    opened.add(DatasetPage(path="/d", offset=0, rows=rows))
    assert natural("9.png") < natural("10.png")
    everything = range(3)
    assert list(opened.arranged(everything, "size", reverse=False, marked=set())) == [1, 2, 0]
    assert list(opened.arranged(everything, "size", reverse=True, marked=set())) == [0, 2, 1]
    assert list(opened.arranged(everything, "findings", reverse=False, marked=set())) == [2, 0, 1]
    assert list(opened.arranged(everything, "marks", reverse=False, marked={1})) == [1, 0, 2]
    for order in ORDERS:
        assert sorted(opened.arranged(everything, order, reverse=True, marked=set())) == [0, 1, 2]


@settings(max_examples=40, deadline=None)
@given(full=st.tuples(SIDES, SIDES), size=SIZES, right=st.integers(-9000, 9000), down=st.integers(-9000, 9000))
def test_a_moved_part_keeps_its_size_and_stays_inside(
    full: tuple[int, int], size: tuple[int, int], right: int, down: int
) -> None:
    part = cropping.reshaped(full, Part(None, size), size)
    assert part.box is not None
    for factor in (1 / 1.06, 1.06, 0.5):
        part = cropping.scaled(full, part, factor)
        moved = cropping.moved(full, part.box, right, down)
        assert 0 <= moved[0] < moved[2] <= full[0]
        assert 0 <= moved[1] < moved[3] <= full[1]
        assert (moved[2] - moved[0], moved[3] - moved[1]) == (part.box[2] - part.box[0], part.box[3] - part.box[1])


def test_a_part_keeps_its_shape_when_it_grows() -> None:
    full, size = (1000, 800), (512, 768)
    part = cropping.reshaped(full, Part(None, size), size)
    assert part.box == (234, 0, 767, 800)
    smaller = cropping.scaled(full, part, 1 / 1.06)
    left, top, right, bottom = smaller.box
    assert abs((right - left) / (bottom - top) - 2 / 3) < 0.01
    assert smaller.factor > part.factor
    assert cropping.scaled(full, part, 1.06).box == part.box


def test_a_cut_face_is_seen() -> None:
    assert cropping.cuts((0, 0, 50, 50), [(40, 10, 60, 30)])
    assert not cropping.cuts((0, 0, 60, 50), [(40, 10, 60, 30)])


def test_an_uncropped_row_is_a_whole_part() -> None:
    assert cropping.of_row(ImageRow(name="a"), (64, 64)) == Part(None, (64, 64))
    crop = Crop(box=(0, 0, 10, 10), size=(20, 20), of=(30, 30))
    assert cropping.of_row(ImageRow(name="a", crop=crop), (64, 64)).factor == 2.0


def test_the_part_is_lit_and_the_rest_in_shade() -> None:
    white = b"\xff" * (8 * 8 * 3)
    shown = lit(white, 8, 8, part=Light((20, 20, 60, 60), (80, 80)), line=(1, 2, 3), outline=(4, 5, 6))
    pixel = [shown[(y * 8 + x) * 3 : (y * 8 + x) * 3 + 3] for y in range(8) for x in range(8)]
    assert pixel[0] == bytes((102, 102, 102))
    assert pixel[2 * 8 + 2] == bytes((1, 2, 3))
    assert pixel[3 * 8 + 3] == b"\xff\xff\xff"
    assert lit(white, 8, 8, part=Light((0, 0, 80, 80), (80, 80)), line=(1, 2, 3), outline=(4, 5, 6)) == white
