"""A setting without effect, or against another, is said: every row of the table once with and once without reason."""

from __future__ import annotations

from typing import Any

import pytest

from engine.protocol import fields
from engine.protocol.notices import IDLE, Setting, notices_of

SD15 = Setting(family="sd15", reg=True)

# Knob → (a value, settings that make it idle, settings that give it effect, the word the reason must hold).
KNOBS: dict[str, tuple[Any, dict[str, Any], dict[str, Any], str]] = {
    "conv_alpha": (4.0, {}, {"conv_dim": 4}, "conv_dim"),
    "multires_noise_discount": (0.5, {}, {"multires_noise_iterations": 6}, "multires_noise_iterations"),
    "keep_tokens": (1, {}, {"caption_tag_dropout_rate": 0.1}, "shuffle_caption"),
    "token_warmup_min": (2, {}, {"token_warmup_step": 0.5}, "token_warmup_step"),
    "lr_scheduler_cycles": (2, {}, {"lr_scheduler": "cosine_with_restarts"}, "lr_scheduler"),
    "min_bucket_reso": (128, {"bucket_no_upscale": True}, {}, "bucket_no_upscale"),
    "max_bucket_reso": (768, {"enable_bucket": False}, {}, "enable_bucket"),
    "bucket_reso_steps": (32, {"enable_bucket": False}, {}, "enable_bucket"),
    "bucket_no_upscale": (True, {"enable_bucket": False}, {}, "enable_bucket"),
    "preview_prompt": ("a cat", {"preview_every_epochs": 0}, {}, "preview_every_epochs"),
    "preview_negative": ("ugly", {"preview_cfg": 1.0}, {}, "preview_cfg"),
    "preview_sampler": ("ddim", {"preview_every_epochs": 0}, {}, "preview_every_epochs"),
    "preview_steps": (9, {"preview_every_epochs": 0}, {}, "preview_every_epochs"),
    "preview_cfg": (5.0, {"preview_every_epochs": 0}, {}, "preview_every_epochs"),
}
# What decides lies outside the parameters: a value, the setting without effect, the reason.
OUTSIDE = {
    "clip_skip": (2, Setting(family="sdxl"), "SDXL"),
    "prior_loss_weight": (0.5, Setting(family="sd15"), "reg = none"),
}


def told(setting: Setting = SD15, **params: Any) -> dict[str, dict[str, str]]:
    """Code → arguments of what is said, for codes that come once."""
    return {row.code: row.args for row in notices_of(fields.build(params), setting)}


def idle(name: str, setting: Setting = SD15, **params: Any) -> list[str]:
    """The reasons given for the knob `name`."""
    rows = notices_of(fields.build(params), setting)
    return [r.args["because"] for r in rows if r.code == "notice_no_effect" and r.args["name"] == name]


def test_every_row_is_covered() -> None:
    assert KNOBS.keys() | OUTSIDE.keys() == IDLE.keys()


def test_the_defaults_are_at_peace() -> None:
    assert notices_of(fields.build({}), Setting(family="sd15")) == []
    assert notices_of(fields.build({}), Setting(family="sdxl")) == []


@pytest.mark.parametrize("name", KNOBS)
def test_a_knob_without_effect_says_so_and_why(name: str) -> None:
    value, off, on, word = KNOBS[name]
    (because,) = idle(name, **off | {name: value})
    assert word in because
    assert idle(name, **on | {name: value}) == []
    assert idle(name, **off) == [], "a knob nobody touched is not worth a word"


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_the_base_or_the_dataset_decides(name: str) -> None:
    value, setting, because = OUTSIDE[name]
    assert idle(name, setting, **{name: value}) == [because]
    assert idle(name, **{name: value}) == []


def test_noise_that_goes_too_far_or_twice() -> None:
    assert told(noise_offset=0.3)["notice_noise_offset"] == {"value": "0.3"}
    assert "notice_noise_both" in told(noise_offset=0.1, multires_noise_iterations=6)
    assert told(noise_offset=0.1) == {}


def test_buckets_no_longer_than_the_square() -> None:
    assert told(resolution=1024, max_bucket_reso=1024)["notice_bucket_cap"]["value"] == "1024"
    assert told(resolution=1024, max_bucket_reso=2048) == {}


def test_prodigy_finds_its_rate_itself() -> None:
    right = {"optimizer": "Prodigy", "unet_lr": 1.0, "text_encoder_lr": 0.0}
    assert told(**right) == {}
    assert told(**right | {"text_encoder_lr": 0.5})["notice_prodigy_rate"] == {
        "name": "text_encoder_lr",
        "value": "0.5",
    }
    assert "notice_prodigy_restarts" in told(**right | {"lr_scheduler": "cosine_with_restarts"})


def test_nothing_to_train() -> None:
    assert "nothing_to_train" in told(unet_lr=0.0, text_encoder_lr=0.0)


def test_captions_that_never_train_are_said() -> None:
    assert told(caption_dropout_rate=1.0)["notice_never_captions"]["name"] == "caption_dropout_rate"
    assert told(caption_dropout_every_n_epochs=1)["notice_never_captions"]["value"] == "1"
    assert "notice_never_captions" not in told(caption_dropout_rate=0.9, caption_dropout_every_n_epochs=2)
