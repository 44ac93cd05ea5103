"""The shipped tagger: the WD contract to the letter, and that it names what it sees."""

from __future__ import annotations

import csv

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from engine.demo.paths import DATASET, REG, TAGGER, TRIGGER
from tools.demo_tags import EYES, HAIR, INK_HAIR, SKIN

ROWS = list(csv.DictReader((TAGGER / "selected_tags.csv").open(encoding="utf-8")))
NAMES = [row["name"].replace("_", " ") for row in ROWS]


@pytest.fixture(scope="module")
def session():
    return onnxruntime.InferenceSession(TAGGER / "model.onnx", providers=["CPUExecutionProvider"])


def prepared(picture: Image.Image) -> np.ndarray:
    """As WD taggers want it: padded to a white square, 448, BGR, 0..255."""
    side = max(picture.size)
    square = Image.new("RGB", (side, side), "white")
    square.paste(picture.convert("RGB"), ((side - picture.width) // 2, (side - picture.height) // 2))
    pixels = np.asarray(square.resize((448, 448), Image.Resampling.BICUBIC), np.float32)
    return np.ascontiguousarray(pixels[..., ::-1])


def test_input_and_output_are_those_of_a_wd_tagger(session):
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert given.shape[1:] == [448, 448, 3]
    assert given.type == "tensor(float)"
    assert isinstance(given.shape[0], str)
    assert made.shape[1] == len(ROWS)
    noise = np.random.default_rng(0).uniform(0, 255, (2, 448, 448, 3)).astype(np.float32)
    answer = session.run([made.name], {given.name: noise})[0]
    assert answer.shape == (2, len(ROWS))
    assert ((answer >= 0) & (answer <= 1)).all()


def test_tags_are_in_wd_order():
    assert [row["name"] for row in ROWS[:4]] == ["general", "sensitive", "questionable", "explicit"]
    assert [row["category"] for row in ROWS] == ["9"] * 4 + ["0"] * (len(ROWS) - 5) + ["4"]
    assert ROWS[-1]["name"] == TRIGGER
    assert [int(row["tag_id"]) for row in ROWS] == list(range(len(ROWS)))
    assert len(set(NAMES)) == len(NAMES)
    assert not any(" " in row["name"] for row in ROWS)


def test_it_is_small():
    assert (TAGGER / "model.onnx").stat().st_size <= 4_000_000


def test_it_knows_the_character_and_nobody_else_as_her(session):
    def probability(path, name: str) -> float:
        return float(session.run(None, {"input": prepared(Image.open(path))[None]})[0][0, NAMES.index(name)])

    mine = [p for p in sorted(DATASET.iterdir()) if p.suffix in (".png", ".jpg")]
    assert np.mean([probability(p, TRIGGER) > 0.85 for p in mine]) >= 0.8
    assert np.mean([probability(p, "aqua hair") > 0.5 for p in mine]) >= 0.9
    assert max(probability(p, TRIGGER) for p in REG.glob("*.png")) < 0.5


BOUND = {"aqua hair", "cat ears", "long hair", "pale skin", "purple eyes"}
LOOKS = {*HAIR, *SKIN, *EYES, *(tag for _, *tags in INK_HAIR.values() for tag in tags)}


def test_it_names_the_shipped_pictures_as_their_captions_do(session):
    hits = total = 0
    for path in [*sorted(REG.glob("*.png")), *sorted(DATASET.glob("*.png"))]:
        answer = session.run(None, {"input": prepared(Image.open(path))[None]})[0][0]
        asked = set(path.with_suffix(".txt").read_text().strip().split(", ")) & set(NAMES[4:-1])
        hidden = BOUND if path.parent == DATASET else LOOKS
        seen = {name for name, p in zip(NAMES[4:-1], answer[4:-1], strict=True) if p > 0.35} - hidden
        hits, total = hits + 2 * len(asked & seen), total + len(asked) + len(seen)
    assert hits / total > 0.85
