"""From scores to captions: thresholds, words, merging; what a person did is never undone by a tagger."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.dataset import tag_edit
from engine.dataset.captions import split_tags
from engine.dataset.scan import Dataset, scan
from engine.dataset.tag_names import key_of
from engine.protocol.errors import EngineError
from engine.protocol.tag_options import TagOptions
from engine.protocol.tags import TagOp
from engine.tagging import apply
from engine.tagging.labels import Label
from engine.tagging.merge import left_by, merged, taken_out
from engine.tagging.pick import Picker, written
from engine.tagging.scores import Scores, file_of, stored

LABELS = [
    Label("general", "rating"),
    Label("sensitive", "rating"),
    Label("1girl", "general"),
    Label("long_hair", "general"),
    Label("^_^", "general"),
    Label("photo_(medium)", "general"),
    Label(";)", "general"),
    Label("hat", "general"),
    Label("hatsune_miku", "character"),
    Label("rin_(vocaloid)", "character"),
    Label("vocaloid", "copyright"),
]


def made(tmp_path: Path, images: dict[str, list[float]], *, tagger: str = "demo") -> tuple[Dataset, Scores]:
    """A dataset of single-coloured images with these scores of LABELS."""
    root = tmp_path / "set"
    root.mkdir(exist_ok=True)
    for number, name in enumerate(images):
        if not (root / name).exists():
            Image.new("RGB", (9, 9), (number * 7, 40, 90)).save(root / name)
    scores = Scores(root, tagger)
    scores.begin("mark", LABELS, 0.35, 0.85, again=False)
    for name, values in images.items():
        scores.put(name, file_of(root / name), np.array(values, np.float32))
    scores.save()
    return scan(root), scores


VALUES = [0.7, 0.9, 0.99, 0.5, 0.36, 0.35, 0.3501, 0.049, 0.86, 0.5, 0.97]


def words(scores: Scores | list[Scores], **options: object) -> list[str]:
    picker = Picker(scores if isinstance(scores, list) else [scores], TagOptions(**options))  # type: ignore[arg-type]
    return [one.text for one in picker.tags("a.png")]


def test_thresholds_are_strict_and_the_taggers_own_unless_set(tmp_path: Path) -> None:
    _, scores = made(tmp_path, {"a.png": VALUES})
    assert words(scores) == ["1girl", "hatsune miku", "long hair", "^_^", ";)"]
    assert words(scores, general=0.4, character=0.9) == ["1girl", "long hair"]
    assert words(scores, general=0.05) == ["1girl", "hatsune miku", "long hair", "^_^", ";)", "photo (medium)"]
    assert words(scores, character=0.4) == [
        "1girl",
        "hatsune miku",
        "rin (vocaloid)",
        "long hair",
        "^_^",
        ";)",
    ]


def test_the_forms_and_the_order_of_words(tmp_path: Path) -> None:
    _, scores = made(tmp_path, {"a.png": VALUES})
    assert words(scores, spaces=False)[:3] == ["1girl", "hatsune_miku", "long_hair"]
    assert words(scores, characters=False, rating=True) == ["1girl", "long hair", "^_^", ";)", "sensitive"]
    assert words(scores, order=("character", "general")) == ["hatsune miku", "1girl", "long hair", "^_^", ";)"]
    assert words(scores, exclude=("LONG_hair", "hatsune*")) == ["1girl", "^_^", ";)"]
    assert words(scores, limit=2) == ["1girl", "hatsune miku"]
    for kaomoji in ("(o)_(o)", "||_||", "<|>_<|>", "o_o", "^_^"):
        assert written(kaomoji, spaces=True) == kaomoji
    assert written("a,_b", spaces=True) == "a b"


def mcut(values: np.ndarray) -> float:
    """imgutils' formula."""
    falling = np.sort(values)[::-1]
    place = int((falling[:-1] - falling[1:]).argmax())
    return float(falling[place] + falling[place + 1]) / 2


@pytest.mark.parametrize("seed", range(8))
def test_mcut_is_the_formula_of_the_whole_vector(seed: int, tmp_path: Path) -> None:
    values = np.round(np.random.default_rng(seed).random(len(LABELS)) ** 4, 4)
    _, scores = made(tmp_path, {"a.png": values.tolist()})
    by = {
        category: [n for n, one in enumerate(LABELS) if one.category == category]
        for category in ("general", "character")
    }
    wanted = set()
    for category, floor in (("general", 0.05), ("character", 0.15)):
        threshold = max(floor, mcut(values[by[category]]))
        wanted |= {LABELS[n].name.replace("_", " ") for n in by[category] if values[n] > threshold}
    assert {word.replace("_", " ") for word in words(scores, mcut=True)} == wanted


def test_several_taggers_as_union_and_intersection(tmp_path: Path) -> None:
    _, one = made(tmp_path, {"a.png": VALUES})
    other = [0.9, 0.1, 0.2, 0.8, 0.0, 0.9, 0.0, 0.0, 0.9, 0.0, 0.0]
    _, two = made(tmp_path, {"a.png": other}, tagger="other")
    assert set(words([one, two])) == {"1girl", "hatsune miku", "photo (medium)", "long hair", "^_^", ";)"}
    assert words([one, two], merge="intersection") == ["hatsune miku", "long hair"]


def test_scores_outlive_renaming_and_not_another_content(tmp_path: Path) -> None:
    dataset, _ = made(tmp_path, {"a.png": VALUES, "b.png": VALUES[::-1]})
    root = dataset.path
    assert Scores(root, "demo").of_tag("1GIRL") == {"a.png": 0.99, "b.png": 0.86}
    assert Scores(root, "demo").of_image("a.png")[0] == (Label("1girl", "general"), 0.99)
    assert [label.name for label, _ in Scores(root, "demo").of_image("a.png")].count("hat") == 0  # below the floor
    shutil.move(root / "a.png", root / "c.png")
    Image.new("RGB", (9, 9), (1, 2, 3)).save(root / "b.png")
    scores = Scores(root, "demo")
    known = {image.name: scores.has(image) for image in scan(root).images}
    assert known == {"b.png": False, "c.png": True}
    assert [one.tagger for one in stored(root)] == ["demo"]
    scores.path.write_bytes(scores.path.read_bytes()[:-20])
    assert not list(Scores(root, "demo").scored())
    scores = Scores(root, "demo")
    scores.begin("other model", LABELS, 0.3, 0.8, again=False)
    assert not any(scores.has(image) for image in scan(root).images)


# -- merging --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("existing", "wanted"),
    [
        ("keep", None),
        ("prepend", ["x", "b", "mira", "A"]),
        ("append", ["mira", "A", "x", "b"]),
        ("replace", ["a", "x", "b"]),
    ],
)
def test_what_becomes_of_a_caption_that_is_there(existing: str, wanted: list[str] | None) -> None:
    assert merged(["mira", "A"], ["a", "x", "b"], existing, {}) == wanted  # type: ignore[arg-type]
    assert merged([], ["a"], existing, {}) == ["a"]  # type: ignore[arg-type]


def test_hand_made_tags_survive_even_a_replacement() -> None:
    assert merged(["mira", "old"], ["a"], "replace", {"mira": "manual"}) == ["mira", "a"]


TAGS = st.sampled_from(["a", "b", "long hair", "^_^", "photo (medium)", ";)", "d", "e"])


@settings(max_examples=120, deadline=None)
@given(
    first=st.lists(TAGS, unique=True),
    second=st.lists(TAGS, unique=True),
    old=st.lists(st.sampled_from(["old 1", "old 2", "b"]), unique=True),
    out=st.sets(TAGS),
    put=st.lists(st.sampled_from(["hand 1", "hand 2", "a"]), unique=True),
    existing=st.sampled_from(["keep", "prepend", "append", "replace"]),
)
def test_what_a_person_did_outlives_the_next_tagging(
    first: list[str], second: list[str], old: list[str], out: set[str], put: list[str], existing: str
) -> None:
    after = merged(old, first, existing, {})  # type: ignore[arg-type]
    if after is None:
        assert existing == "keep"
        return
    sources = {tag: "model" for tag in after if tag not in old}
    by_hand = [tag for tag in after if tag not in out]
    by_hand += [tag for tag in put if tag not in by_hand]
    sources.update(dict.fromkeys(put, "manual"))
    before = left_by(old, after, {}, None)
    gone = taken_out(by_hand, sources, before)  # type: ignore[arg-type]
    again = merged(by_hand, second, existing, sources, before)  # type: ignore[arg-type]
    assert again is not None
    keys = [key_of(tag) for tag in again]
    assert len(set(keys)) == len(keys)
    assert set(put) <= set(again)
    if by_hand:
        taken = out & set(sources) - set(put)
        assert {key_of(tag) for tag in taken} >= gone
        assert not {key_of(t) for t in taken if sources.get(t) == "model" and t in after} & set(keys)
        kept = [tag for tag in by_hand if sources.get(tag) == "manual"]
        assert [tag for tag in again if tag in kept] == kept


# -- on files -------------------------------------------------------------------------------------------------


def caption(dataset: Dataset, name: str = "a.png") -> str:
    return (dataset.path / name).with_suffix(".txt").read_text()


def tag(dataset: Dataset, scores: Scores, **options: object) -> apply.TaggingReport:
    fresh = scan(dataset.path)
    return apply.carry_out(fresh, apply.plan(fresh, TagOptions(**options), [scores]))[0]  # type: ignore[arg-type]


def edit(dataset: Dataset, verb: str, *tags: str) -> None:
    fresh = scan(dataset.path)
    tag_edit.carry_out(fresh, tag_edit.plan(fresh.images, TagOp(verb=verb, tags=list(tags))))  # type: ignore[arg-type]


def test_thresholds_move_live_around_what_a_person_did(tmp_path: Path) -> None:
    dataset, scores = made(tmp_path, {"a.png": VALUES})
    assert tag(dataset, scores).changed == 1
    assert caption(dataset) == "1girl, hatsune miku, long hair, ^_^, ;)"
    edit(dataset, "prepend", "mira")
    edit(dataset, "remove", "long hair")
    (dataset.path / "a.txt").write_text(caption(dataset) + ", typed elsewhere\n")
    report = tag(dataset, scores, general=0.3, character=0.4)
    assert (report.changed, report.added, report.removed) == (1, 2, 0)
    moved = "mira, 1girl, hatsune miku, ^_^, ;), rin (vocaloid), photo (medium), typed elsewhere\n"
    assert caption(dataset) == moved
    report = tag(dataset, scores, general=0.36, characters=False)
    assert caption(dataset) == "mira, 1girl, typed elsewhere\n"
    assert tag(dataset, scores, general=0.36, characters=False).changed == 0
    tag_edit.undo(scan(dataset.path))
    assert caption(dataset) == moved
    tag(dataset, scores, existing="replace")
    assert caption(dataset) == "mira, 1girl, hatsune miku, ^_^, ;), typed elsewhere\n"


def test_an_undone_tagging_leaves_no_memory(tmp_path: Path) -> None:
    dataset, scores = made(tmp_path, {"a.png": VALUES, "b.png": VALUES})
    (dataset.path / "b.txt").write_bytes(b"\xef\xbb\xbfowned\r\nsecond line\r\n")
    assert tag(dataset, scores).kept == 1
    tag_edit.undo(scan(dataset.path))
    assert not (dataset.path / "a.txt").exists()
    (dataset.path / "a.txt").write_text("mine")
    assert tag(dataset, scores, existing="append", general=0.4).changed == 2
    assert split_tags(caption(dataset)) == ["mine", "1girl", "hatsune miku", "long hair"]
    whole = (dataset.path / "b.txt").read_bytes()
    assert whole == b"\xef\xbb\xbfowned, 1girl, hatsune miku, long hair\r\nsecond line\r\n"


def test_only_the_named_images_and_only_those_with_scores(tmp_path: Path) -> None:
    dataset, scores = made(tmp_path, {"a.png": VALUES, "b.png": VALUES})
    Image.new("RGB", (9, 9), (200, 2, 3)).save(dataset.path / "c.png")
    assert tag(dataset, scores, images=("b.png", "c.png")).scored == 1
    assert sorted(path.name for path in dataset.path.glob("*.txt")) == ["b.txt"]
    rows = apply.of_image(scan(dataset.path), scan(dataset.path).images[1]).tags
    assert (rows[0].tag, rows[0].provenance, rows[0].score, rows[0].written) == ("1girl", "model", 0.99, True)
    assert ("vocaloid", "copyright", False) in [(row.tag, row.category, row.written) for row in rows]


def test_thresholds_that_cannot_be_meant(tmp_path: Path) -> None:
    dataset, _ = made(tmp_path, {"a.png": VALUES})
    for options in (TagOptions(general=0.01), TagOptions(character=1.5), TagOptions(limit=-1), TagOptions(taggers=())):
        with pytest.raises(EngineError, match="not allowed"):
            apply.check(options)
    with pytest.raises(EngineError, match="No scores of wd-vit-v3"):
        apply.scores_of(dataset, TagOptions(taggers=("wd-vit-v3",)))
