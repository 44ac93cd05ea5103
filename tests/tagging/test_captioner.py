"""Sentences by a tiny random BLIP, built here from its configuration: asked once, kept, joined to captions, undone."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from engine.dataset import tag_edit
from engine.dataset.scan import Dataset, scan
from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.tag_options import TagOptions
from engine.protocol.tags import TagOp
from engine.tagging import captioners, describe, sentences
from engine.tagging.fetch import ASKED_OFFLINE

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[DEC]",
    "[ENC]",
    "a",
    "girl",
    "with",
    "hat",
    "red",
    "blue",
    "sky",
]


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import (
        BertTokenizerFast,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
    )

    folder = tmp_path_factory.mktemp("models") / "tiny-blip"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    text = {**small, "vocab_size": len(WORDS), "encoder_hidden_size": 16, "max_position_embeddings": 64}
    text |= {"bos_token_id": 5, "pad_token_id": 0, "eos_token_id": 3, "sep_token_id": 3}
    vision = {**small, "image_size": 32, "patch_size": 16}
    torch.manual_seed(1)
    model = BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision))
    model.save_pretrained(folder)
    images = BlipImageProcessor(size={"height": 32, "width": 32})
    BlipProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Dataset:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, mode in enumerate(("RGB", "RGBA", "L")):
        Image.new(mode, (64, 48)).save(folder / f"{number}.png")
    (folder / "1.txt").write_text("by hand", encoding="utf-8")
    return scan(folder)


def said(dataset: Dataset) -> dict[str, str | None]:
    return {image.name: image.caption for image in scan(dataset.path).images}


def test_sentences_are_asked_once_and_never_take_a_persons_place(blip: Path, pictures: Dataset) -> None:
    found = captioners.find(str(blip))
    assert found is not None
    assert found.present
    model = describe.Model(found)
    kept = sentences.Kept(pictures.path, found)
    told: list[int] = []
    failed: list[ErrorInfo] = []

    def ask() -> None:
        left = [image for image in pictures.images if kept.of(image) is None]
        describe.describe(
            model, kept, left, check=lambda: None, tell=told.append, fail=lambda _image, info: failed.append(info)
        )

    ask()
    assert (told, failed) == ([1, 2, 3], [])
    texts = {image.name: kept.of(image) for image in pictures.images}
    assert all(text and set(text.split()) <= set(WORDS) for text in texts.values())
    again = sentences.Kept(pictures.path, found)
    assert {image.name: again.of(image) for image in pictures.images} == texts

    tag_edit.carry_out(pictures, sentences.plan(pictures, found, kept, "keep", set()))
    assert said(pictures) == {**texts, "1.png": "by hand"}
    tag_edit.undo(scan(pictures.path))
    assert said(pictures) == {"0.png": None, "1.png": "by hand", "2.png": None}
    tag_edit.carry_out(pictures, sentences.plan(pictures, found, kept, "prepend", set()))
    assert said(pictures)["1.png"] == f"{texts['1.png']}, by hand"
    now = scan(pictures.path)
    tag_edit.carry_out(now, tag_edit.plan(now.images, TagOp(verb="add", tags=["mine"], names=["1.png"])))
    changed = sentences.plan(scan(pictures.path), found, kept, "replace", set()).changes
    assert "1.png" not in [image.name for image, _ in changed]
    options = TagOptions(existing="replace")
    for name in ("0", "2"):
        (pictures.path / f"{name}.txt").write_text("5, 6", encoding="utf-8")
    report = sentences.from_kept(scan(pictures.path), found, options, write=True)
    assert (report.scored, report.changed, report.kept) == (3, 2, 1)
    assert said(pictures)["0.png"] == texts["0.png"]

    Image.new("RGB", (70, 40), "red").save(pictures.path / "0.png")
    assert kept.of(pictures.images[0]) is None
    ask()
    assert told == [1, 2, 3, 1]


def test_what_is_no_captioner_is_said_in_words(blip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert captioners.find("demo") is None
    assert captioners.find(str(tmp_path)) is None
    known = captioners.find("florence-2-base")
    assert known is not None
    assert known.prompt == "<DETAILED_CAPTION>"
    monkeypatch.setenv(ASKED_OFFLINE, "1")
    with pytest.raises(EngineError, match="HF_HUB_OFFLINE"):
        describe.Model(known)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text('{"model_type": "nothing known"}')
    found = captioners.find(str(broken))
    assert found is not None
    with pytest.raises(EngineError) as caught:
        describe.Model(found)
    assert caught.value.info.code == "tagger_broken"
