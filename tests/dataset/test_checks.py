"""The doctor names every fault, and only faults that are there."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.dataset.checks import FIXES, SUFFIXES, diagnose, presumed_trigger
from engine.dataset.decode import EXTENSIONS
from engine.dataset.encodings import guess
from engine.dataset.plan import make_plan
from engine.dataset.scan import scan
from engine.dataset.tokens import about_tokens
from engine.protocol.errors import SENTENCES
from engine.protocol.params import BakeParams
from engine.protocol.records import Finding
from tests.dataset import make
from tests.dataset.odd_files import corpus

PARAMS = BakeParams(resolution=64)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path_factory.mktemp("home")))


def findings(path: Path, reg: Path | None = None, **changes: object) -> list[Finding]:
    params = BakeParams(**{"resolution": 64, **changes})
    return diagnose(scan(path), scan(reg) if reg else None, params).findings


def codes(path: Path, **changes: object) -> set[tuple[str, str]]:
    return {(finding.file, finding.code) for finding in findings(path, **changes)}


def drawing(path: Path, seed: int, width: int = 80, height: int = 80) -> Path:
    """A picture of coarse blocks that looks like no other seed's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def test_every_odd_file_gets_its_finding_and_none_is_touched(tmp_path: Path) -> None:
    root = tmp_path / "odd"
    wanted = corpus(root)
    assert len(wanted) >= 40
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and not path.is_symlink()}
    found = codes(root)
    of_pictures = {(name, code) for name, code in found if code not in ("image_cropped", "caption_missing")}
    lacking = {(name, code) for name, code in wanted.items() if code} - of_pictures
    assert not lacking
    fine = {name for name, code in wanted.items() if not code}
    assert not {(name, code) for name, code in of_pictures if name in fine and code != "image_similar"}
    assert {path: path.read_bytes() for path in before} == before
    assert not (root / ".lorabake").exists()


def test_the_second_check_says_the_same_and_sees_what_changed(tmp_path: Path) -> None:
    for i in range(4):
        drawing(tmp_path / f"{i}.png", i)
    first = findings(tmp_path)
    assert findings(tmp_path) == first
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:200])
    assert ("2.png", "image_unreadable") in codes(tmp_path)


def test_pictures_that_look_alike_are_told_and_others_are_not(tmp_path: Path) -> None:
    for i in range(12):
        drawing(tmp_path / f"{i:02}.png", i)
    with Image.open(tmp_path / "03.png") as picture:
        picture.resize((64, 64)).save(tmp_path / "smaller.jpg", quality=80)
    for shade in (10, 90, 200):
        Image.new("RGB", (80, 80), (shade, 20, 255 - shade)).save(tmp_path / f"plain-{shade}.png")
    alike = [finding for finding in findings(tmp_path) if finding.code == "image_similar"]
    assert [(finding.file, finding.args["other"]) for finding in alike] == [("smaller.jpg", "03.png")]


def test_regularisation_images_that_are_trained_are_told(tmp_path: Path) -> None:
    train, reg = tmp_path / "train", tmp_path / "reg"
    for i in range(3):
        drawing(train / f"{i}.png", i)
        drawing(reg / f"r{i}.png", i + 50)
    shutil.copy(train / "1.png", reg / "copy.png")
    with Image.open(train / "2.png") as picture:
        picture.save(reg / "again.webp", quality=70)
    found = {(f.file, f.code, f.args["other"], f.fix, f.reg) for f in findings(train, reg) if f.code.startswith("reg_")}
    assert found == {("copy.png", "reg_duplicate", "1.png", "", True), ("again.webp", "reg_similar", "2.png", "", True)}


@pytest.mark.parametrize(
    ("caption", "code"),
    [
        (None, "caption_missing"),
        ("", "caption_empty"),
        ("\n\n", "caption_empty"),
        ("米拉".encode("gb18030"), "caption_undecodable"),
        ("x" * 70000, "caption_too_long"),
        ("mira, " + ", ".join(f"tag{i}" for i in range(60)), "caption_tokens"),
        ("a girl in a park", "caption_trigger"),
        ("miranda, standing", "caption_trigger"),
        ("mira, sitting\nsecond line", "caption_lines"),
        ("Mira, standing\n", ""),
        ("a photo of mira in the rain", ""),
    ],
)
def test_captions(tmp_path: Path, caption: str | bytes | None, code: str) -> None:
    for i in range(3):
        drawing(tmp_path / f"{i}.png", i).with_suffix(".txt").write_text("mira, standing", encoding="utf-8")
    path = drawing(tmp_path / "x.png", 9)
    if caption is not None:
        path.with_suffix(".txt").write_bytes(caption if isinstance(caption, bytes) else caption.encode())
    assert {found for name, found in codes(tmp_path) if found.startswith("caption")} == ({code} if code else set())
    assert {name for name, found in codes(tmp_path) if found.startswith("caption")} <= {"x.png"}


def test_the_trigger_is_presumed_only_where_captions_agree() -> None:
    assert presumed_trigger(["mira, a", "mira, b", "mira, c", "d"]) == "mira"
    assert presumed_trigger(["mira, a", "lena, b", "ada, c"]) == ""
    assert presumed_trigger(["1girl, a", "1girl, b", "1girl, c"]) == ""
    assert presumed_trigger(["mira"]) == ""


def test_sizes_and_buckets_are_those_of_the_bake(tmp_path: Path) -> None:
    for i in range(5):
        drawing(tmp_path / f"{i}.png", i)
    drawing(tmp_path / "wide.png", 20, 128, 64)
    drawing(tmp_path / "small.png", 21, 40, 40)
    drawing(tmp_path / "speck.png", 22, 20, 20)
    drawing(tmp_path / "strip.png", 23, 640, 60)
    params = BakeParams(resolution=64, batch_size=4, repeat=1)
    dataset = scan(tmp_path)
    found = diagnose(dataset, None, params)
    plan = make_plan(dataset, None, params)
    told = {(f.file, f.code) for f in found.findings if not f.code.startswith("caption")}
    assert {("small.png", "image_enlarged"), ("speck.png", "image_tiny"), ("strip.png", "image_extreme")} <= told
    small = {f.args["bucket"] for f in found.findings if f.code == "bucket_small"}
    assert small == {f"{row.width} × {row.height}" for row in plan.buckets if row.views < 4} != set()
    assert [(row.size, row.images, row.views, row.steps) for row in found.buckets] == [
        (f"{row.width}x{row.height}", row.images, row.views, row.steps) for row in plan.buckets
    ]
    assert sum(row.enlarged for row in found.buckets) == 2


def test_a_folder_with_nothing_to_train_is_checked_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    found = diagnose(scan(tmp_path), None, PARAMS)
    assert found.plan is None
    assert [(f.file, f.code, f.fix) for f in found.findings][:1] == [("a.png", "image_unreadable", "drop")]


def test_progress_counts_every_image_once(tmp_path: Path) -> None:
    for i in range(6):
        drawing(tmp_path / "train" / f"{i}.png", i)
        drawing(tmp_path / "reg" / f"{i}.png", i + 9)
    told: list[tuple[int, int]] = []
    diagnose(
        scan(tmp_path / "train"),
        scan(tmp_path / "reg"),
        PARAMS,
        tell=lambda done, total: told.append((done, total)),
    )
    assert told == [(n, 12) for n in range(1, 13)]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("米拉, 站立, 微笑", "gb18030"),
        ("女の子が公園を歩いている、青い髪", "cp932"),
        ("ミラ, 立つ", "cp932"),
        ("café, naïve", "cp1252"),
        ("米拉, mira", "utf-16"),
    ],
)
def test_encodings_are_guessed(text: str, encoding: str) -> None:
    found = guess(text.encode(encoding))
    assert found is not None
    assert found.text == text


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe\x00", b"a\0\x80b", bytes(range(128, 256)), "женщина".encode("cp1251")])
def test_what_cannot_be_guessed_is_left_alone(raw: bytes) -> None:
    assert guess(raw) is None


def test_tokens_are_counted_as_clip_cuts_words() -> None:
    assert about_tokens("") == 0
    assert about_tokens("1girl, solo") == 4
    assert about_tokens("long_hair") == 3
    assert about_tokens("(girl:1.2)") == 7
    assert about_tokens("it's") == 2


def test_every_fix_belongs_to_a_sentence_and_every_ending_to_a_format() -> None:
    assert set(FIXES) <= set(SENTENCES)
    assert {suffix for group in SUFFIXES.values() for suffix in group} == EXTENSIONS


def test_folders_without_an_image_below_are_no_concern(tmp_path: Path) -> None:
    make.image(tmp_path / "a.png", caption="mira")
    (tmp_path / "notes").mkdir()
    assert {code for _, code in codes(tmp_path)} <= {"image_enlarged"}
