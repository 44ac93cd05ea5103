"""Paths of the demo's shipped files. What is in them is built by tools/train_demo_*.py and tools/demo_sample.py."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent
BASE = _HERE / "base"  # a diffusers folder of SD1.5 layout: 64×64 pixels, factor 4
TAGGER = _HERE / "tagger"  # model.onnx and selected_tags.csv in the WD contract
DATASET = _HERE / "dataset"  # pictures and captions of one character
REG = _HERE / "reg"  # regularisation pictures of the base's own domain
TRIGGER = "nekomizu"  # the character's trigger word


def where() -> dict[str, str]:
    """The four folders by name, as `lorabake demo --where` prints them."""
    return {"base": str(BASE), "tagger": str(TAGGER), "dataset": str(DATASET), "reg": str(REG)}
