"""Folders of every awkward kind open without a crash, and what is wrong is named."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.dataset import rows
from engine.dataset.names import locate
from engine.dataset.scan import find, reread, scan
from engine.dataset.sidecar import read_sidecar, set_repeat, sidecar_path
from engine.protocol.errors import EngineError
from tests.dataset import make


def problems(folder: Path) -> dict[str, str]:
    return {image.name: image.problem for image in scan(folder).images}


def test_kohya_folders_nested_folders_and_loose_images(tmp_path: Path) -> None:
    make.image(tmp_path / "loose.png", 30, 40)
    make.image(tmp_path / "10_girl" / "a.jpg", caption="girl, hat")
    make.image(tmp_path / "10_girl" / "deep" / "er" / "b.webp")
    make.image(tmp_path / "3_b_c" / "c.JPEG")
    make.image(tmp_path / "nodigits" / "d.jpeg")
    (tmp_path / "notes.md").write_text("not an image")
    images = {image.name: image for image in scan(tmp_path).images}
    repeats = {name: image.folder_repeat for name, image in images.items()}
    assert repeats == {
        "loose.png": None,
        "10_girl/a.jpg": 10,
        "10_girl/deep/er/b.webp": 10,
        "3_b_c/c.JPEG": 3,
        "nodigits/d.jpeg": None,
    }
    assert (images["loose.png"].width, images["loose.png"].height) == (30, 40)
    assert images["10_girl/a.jpg"].caption == "girl, hat"
    assert images["loose.png"].caption is None


def test_names_sort_as_people_count(tmp_path: Path) -> None:
    for number in (10, 9, 1, 100):
        make.image(tmp_path / f"i{number}.png")
    assert [image.name for image in scan(tmp_path).images] == ["i1.png", "i9.png", "i10.png", "i100.png"]


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sizes_are_those_after_exif_rotation(tmp_path: Path, suffix: str, orientation: int) -> None:
    make.rotated(tmp_path / f"x{suffix}", 48, 80, orientation)
    image = scan(tmp_path).images[0]
    assert (image.width, image.height) == (48, 80)


def test_broken_files_are_rows_with_a_problem(tmp_path: Path) -> None:
    make.image(tmp_path / "good.png")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "gif.png").write_bytes(make.encoded("GIF"))
    (tmp_path / "cut.jpg").write_bytes(make.encoded("JPEG", 400, 400)[:2000])
    (tmp_path / "cut.webp").write_bytes(make.encoded("WEBP", 400, 400)[:-50])
    (tmp_path / "cut.png").write_bytes(make.encoded("PNG", 400, 400)[:-30])
    (tmp_path / "bomb.png").write_bytes(make.png_of_size(50_000, 50_000))
    found = problems(tmp_path)
    assert found.pop("good.png") == ""
    assert found.pop("bomb.png") == "image_too_large"
    twins = {"cut.jpg", "cut.webp", "cut.png"}
    assert {found.pop(name) for name in twins} == {"image_unreadable"}
    assert set(found.values()) == {"image_unreadable"}
    dataset = scan(tmp_path)
    told = {info.args["file"] for info in dataset.findings if info.code == "image_unreadable"}
    assert told == {"empty.png", "text.jpg", "gif.png", *twins}
    assert [image.name for image in dataset.usable] == ["good.png"]


def test_a_right_image_under_a_wrong_extension_is_used(tmp_path: Path) -> None:
    (tmp_path / "really-a-png.jpg").write_bytes(make.encoded("PNG", 20, 30))
    image = scan(tmp_path).images[0]
    assert (image.width, image.height, image.problem) == (20, 30, "")


def test_trailing_bytes_after_a_whole_jpeg_are_no_damage(tmp_path: Path) -> None:
    (tmp_path / "motion.jpg").write_bytes(make.encoded("JPEG") + b"video" * 100)
    assert problems(tmp_path) == {"motion.jpg": ""}


def test_hidden_folders_sidecar_and_links_outside_are_left_out(tmp_path: Path) -> None:
    outside = make.image(tmp_path / "outside" / "secret.png")
    folder = tmp_path / "set"
    make.image(folder / "a.png")
    make.image(folder / ".hidden" / "b.png")
    make.image(folder / ".lorabake" / "c.png")
    make.image(folder / "__MACOSX" / "d.png")
    (folder / "._e.png").write_bytes(b"mac")
    (folder / "link.png").symlink_to(outside)
    (folder / "inner.png").symlink_to(folder / "a.png")
    (folder / "dirlink").symlink_to(outside.parent)
    (folder / "loop").symlink_to(folder)
    (folder / "a.txt").symlink_to("/etc/hostname")
    dataset = scan(folder)
    assert {image.name for image in dataset.images} == {"a.png", "inner.png"}
    assert find(dataset, "a.png").caption is None
    assert find(reread(dataset, ["a.png"]), "a.png").caption is None
    assert {(info.code, info.args["path"]) for info in dataset.findings} == {
        ("path_outside", "link.png"),
        ("folder_link", "dirlink"),
        ("folder_link", "loop"),
    }


def test_pipes_block_nobody(tmp_path: Path) -> None:
    make.image(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    os.mkfifo(tmp_path / "a.txt")
    assert problems(tmp_path) == {"a.png": ""}


def test_undecodable_and_endless_captions_count_as_empty(tmp_path: Path) -> None:
    make.image(tmp_path / "a.png").with_suffix(".txt").write_bytes("ärger".encode("latin-1"))
    make.image(tmp_path / "b.png").with_suffix(".txt").write_bytes(b"x" * 100_000)
    dataset = scan(tmp_path)
    assert [image.caption for image in dataset.images] == ["", ""]
    assert [image.problem for image in dataset.images] == ["caption_undecodable", "caption_too_long"]
    assert all(image.usable for image in dataset.images)


def test_kohyas_own_caption_extension_is_read(tmp_path: Path) -> None:
    make.image(tmp_path / "a.png").with_suffix(".caption").write_text("from caption")
    assert scan(tmp_path).images[0].caption == "from caption"


def test_two_images_with_one_caption_are_told(tmp_path: Path) -> None:
    make.image(tmp_path / "a.png", caption="x")
    make.image(tmp_path / "a.jpg")
    dataset = scan(tmp_path)
    assert [image.problem for image in dataset.images] == ["same_stem", "same_stem"]
    assert [info.code for info in dataset.findings] == ["same_stem"]


def test_unicode_escape_sequences_and_undecodable_names(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "café.png")
    names = [decomposed, "猫 (1).png", "\x1b[31mred.png", "a\nb.png", "[bold]x[/].png"]
    for name in names:
        make.image(tmp_path / name)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.png")).write_bytes(make.encoded("PNG"))
    dataset = scan(tmp_path)
    found = {image.name for image in dataset.images}
    assert unicodedata.normalize("NFC", "café.png") in found
    assert r"\xff\xfe.png" in found
    assert len(found) == 6
    for image in dataset.images:
        assert os.path.samefile(locate(tmp_path, image.name), image.path)
    # Every row survives the wire.
    page = rows.page(dataset, 0)
    assert json.loads(rows._encoder.encode(page))["rows"][0]["name"]


def test_both_spellings_of_one_name_stay_apart(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        make.image(tmp_path / unicodedata.normalize(form, "é.png"))
    images = scan(tmp_path).images
    assert len({image.name for image in images}) == 2
    assert len({image.path for image in images}) == 2


def test_deep_paths(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d" * 50] * 20)
    make.image(deep / "x.png")
    assert scan(tmp_path).images[0].name.count("/") == 20


def test_folders_that_are_none(tmp_path: Path) -> None:
    file = make.image(tmp_path / "x" / "a.png")
    (tmp_path / "empty").mkdir()
    for path, code in (
        (tmp_path / "nowhere", "dataset_missing"),
        (file, "dataset_not_folder"),
        (tmp_path / "empty", "dataset_empty"),
        (Path("a\0b"), "dataset_missing"),
    ):
        with pytest.raises(EngineError) as failure:
            scan(path)
        assert failure.value.info.code == code


def as_nobody(work: Callable[[], object]) -> object:
    """The JSON result of `work` in a child process without root's right to read everything."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            os.write(writer, json.dumps(work()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        text = file.read()
    os.waitpid(child, 0)
    return json.loads(text)


def test_no_permission() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        make.image(folder / "open.png").chmod(0o644)
        make.image(folder / "secret.png").chmod(0)
        make.image(folder / "shut" / "x.png")
        (folder / "shut").chmod(0)

        def look() -> object:
            dataset = scan(folder)
            codes = sorted(info.code for info in dataset.findings)
            return {image.name: image.problem for image in dataset.images}, codes

        found, codes = as_nobody(look)  # type: ignore[misc]
        (folder / "shut").chmod(0o700)
    assert found == {"open.png": "", "secret.png": "image_unreadable"}
    assert codes == ["dataset_unreadable", "image_unreadable"]


def test_repeats_of_single_images_are_kept_in_the_sidecar(tmp_path: Path) -> None:
    make.image(tmp_path / "5_x" / "a.png")
    make.image(tmp_path / "b.png")
    set_repeat(tmp_path, ["5_x/a.png", "b.png"], 7)
    set_repeat(tmp_path, ["b.png"], None)
    dataset = scan(tmp_path)
    a, b = find(dataset, "5_x/a.png"), find(dataset, "b.png")
    assert (a.folder_repeat, a.own_repeat, a.set_repeat) == (5, 7, 7)
    assert (b.own_repeat, b.set_repeat) == (None, None)


def test_a_damaged_sidecar_is_told_and_never_overwritten(tmp_path: Path) -> None:
    make.image(tmp_path / "a.png")
    set_repeat(tmp_path, ["a.png"], 7)
    sidecar_path(tmp_path).write_text('{"repeats": {"a.png": "many"}}')
    dataset = scan(tmp_path)
    assert dataset.images[0].own_repeat is None
    assert [info.code for info in dataset.findings] == ["sidecar_unreadable"]
    with pytest.raises(EngineError, match="cannot be read"):
        set_repeat(tmp_path, ["a.png"], 8)
    assert "many" in sidecar_path(tmp_path).read_text()


def test_a_sidecar_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    make.image(tmp_path / "set" / "a.png")
    (tmp_path / "else").mkdir()
    (tmp_path / "set" / ".lorabake").symlink_to(tmp_path / "else")
    with pytest.raises(EngineError) as failure:
        set_repeat(tmp_path / "set", ["a.png"], 3)
    assert failure.value.info.code == "path_outside"
    assert list((tmp_path / "else").iterdir()) == []


def test_viewers_that_set_repeats_at_once_lose_nothing(tmp_path: Path) -> None:
    make.image(tmp_path / "a.png")
    code = (
        "import sys; from pathlib import Path; from engine.dataset.sidecar import set_repeat\n"
        "for i in range(15): set_repeat(Path(sys.argv[1]), [f'{sys.argv[2]}-{i}.png'], i)"
    )
    viewers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(n)]) for n in range(3)]
    assert [viewer.wait() for viewer in viewers] == [0, 0, 0]
    assert len(read_sidecar(tmp_path).repeats) == 45


@pytest.mark.parametrize("repeat", [-1, 5001])
def test_repeats_have_limits(tmp_path: Path, repeat: int) -> None:
    make.image(tmp_path / "a.png")
    with pytest.raises(EngineError, match="not allowed"):
        set_repeat(tmp_path, ["a.png"], repeat)


def test_a_second_scan_reads_only_what_changed(tmp_path: Path) -> None:
    make.image(tmp_path / "a.png", 10, 10)
    make.image(tmp_path / "b.png", 10, 10)
    before = scan(tmp_path)
    make.image(tmp_path / "b.png", 20, 30)
    os.utime(tmp_path / "b.png", ns=(1, 1))
    make.image(tmp_path / "c.png", 5, 5, caption="new")
    after = scan(tmp_path, previous=before)
    assert [(i.name, i.width, i.height) for i in after.images] == [
        ("a.png", 10, 10),
        ("b.png", 20, 30),
        ("c.png", 5, 5),
    ]


def test_reread_after_an_edit(tmp_path: Path) -> None:
    make.image(tmp_path / "a.png", caption="old")
    make.image(tmp_path / "b.png", caption="other")
    dataset = scan(tmp_path)
    (tmp_path / "a.txt").write_text("new")
    (tmp_path / "b.txt").write_text("not asked for")
    set_repeat(tmp_path, ["a.png"], 3)
    dataset = reread(dataset, ["a.png"])
    assert (find(dataset, "a.png").caption, find(dataset, "a.png").own_repeat) == ("new", 3)
    assert find(dataset, "b.png").caption == "other"
    assert [row.name for row in rows.only(dataset, ["b.png"]).rows] == ["b.png"]


def test_pages_cover_every_row_once(tmp_path: Path) -> None:
    for i in range(30):
        make.image(tmp_path / f"{i}.png", 8, 8, caption="x" * 60_000)
    dataset = scan(tmp_path)
    names, offset, pages = [], 0, 0
    while offset is not None:
        page = rows.page(dataset, offset)
        names += [row.name for row in page.rows]
        offset, pages = page.next, pages + 1
    assert names == [image.name for image in dataset.images]
    assert pages > 1
    assert rows.summary(dataset).captioned == 30


@pytest.mark.parametrize("name", ["../x.png", "/etc/hostname", "a/../../x.png", "out.png", "nul\0.png"])
def test_no_name_leads_outside(tmp_path: Path, name: str) -> None:
    make.image(tmp_path / "x.png")
    folder = tmp_path / "set"
    make.image(folder / "a.png")
    (folder / "out.png").symlink_to(tmp_path / "x.png")
    with pytest.raises(EngineError) as failure:
        locate(folder, name)
    assert failure.value.info.code == "path_outside"
