"""Adding files, folders and archives, removing images, and taking every round back; nothing is lost on the way."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from engine.dataset.add import add, remove
from engine.dataset.groups import set_repeat
from engine.dataset.scan import scan
from engine.dataset.undo import history, take_back
from engine.protocol.errors import EngineError
from tests.dataset import make


def names(root: Path) -> list[str]:
    return [image.name for image in scan(root).images]


def pictures(folder: Path, count: int, start: int = 0) -> Path:
    for number in range(start, start + count):
        make.image(folder / f"{number}.png", 40 + number, 30, caption=f"mira, number {number}")
    return folder


@pytest.mark.parametrize("how", ["copy", "link", "in_place"])
def test_files_and_folders_with_their_captions(tmp_path: Path, how: str) -> None:
    source = pictures(tmp_path / "10_mira", 3)
    single = make.image(tmp_path / "one.webp", 50, 50, caption="alone")
    root = tmp_path / "set"
    report = add(root, [str(source), str(single)], how=how)  # type: ignore[arg-type]
    assert (report.added, report.images, report.skipped) == (4, 4, [])
    found = {image.name: image for image in scan(root).images}
    assert list(found) == ["10_mira/0.png", "10_mira/1.png", "10_mira/2.png", "one.webp"]
    assert found["10_mira/1.png"].caption == "mira, number 1"
    assert found["10_mira/1.png"].set_repeat == 10
    same = os.stat(found["one.webp"].path).st_ino == single.stat().st_ino
    assert same == (how != "copy")
    assert found["one.webp"].path.is_symlink() == (how == "in_place")
    change, _, failed = take_back(root)
    assert (change.kind, change.count, failed) == ("add", 4, [])
    with pytest.raises(EngineError, match="holds no"):
        scan(root)
    assert single.exists()
    assert sorted(path.name for path in root.iterdir()) == [".lorabake"]


def test_duplicates_stems_and_the_limit_are_told(tmp_path: Path) -> None:
    root = pictures(tmp_path / "set", 2)
    other = tmp_path / "more"
    make.image(other / "copy.png", 40, 30)
    make.image(other / "0.jpg", 60, 30, caption="another nought")
    (other / "broken.png").write_bytes(b"no picture")
    (other / "link.png").symlink_to(root / "0.png")
    make.image(other / "z1.png", 61, 30)
    make.image(other / "z2.png", 62, 30)
    report = add(root, [str(other), str(tmp_path / "none")], limit=4)
    assert [(finding.code, Path(finding.file).name) for finding in report.skipped] == [
        ("image_unreadable", "broken.png"),
        ("add_duplicate", "copy.png"),
        ("add_link", "link.png"),
        ("add_unreadable", "none"),
        ("add_limit", ""),
    ]
    assert report.skipped[-1].args["count"] == "1"
    assert [finding.args["name"] for finding in report.notices] == ["0-2.jpg"]
    assert names(root) == ["0-2.jpg", "0.png", "1.png", "z1.png"]
    assert (root / "0-2.txt").read_text() == "another nought"


def test_an_archive_is_believed_in_nothing(tmp_path: Path) -> None:
    good, beside = make.encoded("PNG", 50, 40), make.encoded("PNG", 51, 40)
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("10_mira/good.png", good)
        packed.writestr("10_mira/good.txt", "mira, packed")
        for hostile in ("../up.png", "/etc/root.png", "a/../../up.png", "c:/drive.png", "..\\back.png"):
            packed.writestr(hostile, beside)
        packed.writestr("__MACOSX/._good.png", good)
        packed.writestr("bomb.png", good + bytes(20_000_000))
        packed.writestr("lies.png", b"no picture")
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "/etc/passwd")
    locked = bytearray(archive.read_bytes())
    root = tmp_path / "set"
    report = add(root, [str(archive)])
    codes = sorted(finding.code for finding in report.skipped)
    assert codes == ["add_link", "image_unreadable", "zip_bomb", *["zip_path"] * 5]
    assert names(root) == ["10_mira/good.png"]
    assert (root / "10_mira/good.txt").read_text() == "mira, packed"
    assert {path.name for path in tmp_path.iterdir()} == {"set", "set.zip"}
    torn = tmp_path / "torn.zip"
    torn.write_bytes(bytes(locked[: len(locked) // 2]))
    assert [finding.code for finding in add(root, [str(torn)]).skipped] == ["add_kind"]
    # A directory of entries that says less than what is in them.
    small = tmp_path / "small.zip"
    with zipfile.ZipFile(small, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr("a.png", make.encoded("PNG", 52, 40))
    data = bytearray(small.read_bytes())
    data[60] ^= 0xFF
    small.write_bytes(bytes(data))
    assert [finding.code for finding in add(root, [str(small)]).skipped] == ["zip_broken"]
    assert not list((root / ".lorabake").rglob("*.part"))


@pytest.mark.parametrize(
    ("encoding", "told"), [("gb18030", "GB18030"), ("cp932", "CP932"), ("utf-8", ""), ("cp437", "CP437")]
)
def test_names_of_older_packers_are_read_as_they_are_meant(tmp_path: Path, encoding: str, told: str) -> None:
    wanted = {
        "gb18030": ["银发少女/站立.png", "银发少女/微笑的脸.png"],
        "cp932": ["表情/ソフトな光.png", "表情/笑顔のミラ.png"],
        "utf-8": ["银发/ソフト.png", "é/ü.png"],
        "cp437": ["║═╗/░▒▓.png", "║═╗/██.png"],
    }[encoding]

    class Unmarked(zipfile.ZipInfo):
        """An entry as an older packer leaves it: the bytes of its name, with no word of what they mean."""

        def _encodeFilenameFlags(self) -> tuple[bytes, int]:
            return self.filename.encode(encoding), self.flag_bits

    path = tmp_path / "old.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(wanted):
            archive.writestr(Unmarked(name), make.encoded("PNG", 50 + number, 40))
            archive.writestr(Unmarked(name.replace(".png", ".txt")), "mira")
    report = add(tmp_path / "set", [str(path)])
    assert report.skipped == []
    assert sorted(names(tmp_path / "set")) == sorted(wanted)
    assert {image.caption for image in scan(tmp_path / "set").images} == {"mira"}
    assert [finding.args["encoding"] for finding in report.notices if finding.code == "zip_names"] == [told] * bool(
        told
    )


def test_an_ended_round_leaves_nothing_of_itself(tmp_path: Path) -> None:
    source, root = pictures(tmp_path / "more", 60, 10), pictures(tmp_path / "set", 2)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def tell(done: int, total: int) -> None:
        if done > 50:
            raise EngineError("cancelled", done=done, total=total)

    for target in (root, tmp_path / "new" / "set"):
        with pytest.raises(EngineError, match="nothing was added"):
            add(target, [str(source)], tell=tell)
    left = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and ".lorabake" not in path.parts}
    assert left == before
    assert history(root) == []
    assert not (tmp_path / "new" / "set").exists()
    assert not list((root / ".lorabake").rglob("*.png"))


def test_removed_images_come_back_with_all_that_was_known(tmp_path: Path) -> None:
    root = pictures(tmp_path / "set", 3)
    (root / "1.caption").write_text("second file")
    set_repeat(scan(root), 7, images=["1.png"])
    dataset = scan(root)
    count, failed = remove(dataset, [dataset.images[1]])
    assert (count, failed, names(root)) == (1, [], ["0.png", "2.png"])
    assert not (root / "1.txt").exists()
    make.image(root / "1.png", 99, 30)
    assert scan(root).images[1].own_repeat is None
    _, _, failed = take_back(root, "remove")
    assert [finding.code for finding in failed] == ["file_changed"]
    (root / "1.png").unlink()
    assert [change.kind for change in history(root)] == ["repeat"]


def test_rounds_are_taken_back_one_by_one(tmp_path: Path) -> None:
    root = pictures(tmp_path / "set", 2)
    before = {path.name: path.read_bytes() for path in root.iterdir()}
    set_repeat(scan(root), 5, images=["0.png"])
    set_repeat(scan(root), 0, images=["0.png", "1.png"])
    dataset = scan(root)
    remove(dataset, dataset.images)
    assert [(change.kind, change.count) for change in history(root)] == [("remove", 2), ("repeat", 2), ("repeat", 1)]
    take_back(root)
    assert {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()} == before
    assert [image.own_repeat for image in scan(root).images] == [0, 0]
    take_back(root)
    assert [image.own_repeat for image in scan(root).images] == [5, None]
    take_back(root)
    assert [image.own_repeat for image in scan(root).images] == [None, None]
    with pytest.raises(EngineError, match="Nothing is left"):
        take_back(root)
