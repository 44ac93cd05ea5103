"""A setting without effect, or against another, is said: every row of the table once with and once without reason."""

from __future__ import annotations

from typing import Any

import pytest

from engine.protocol import fields
from engine.protocol.errors import EngineError
from engine.protocol.notices import IDLE, Setting, notices_of, refuse

SD15 = Setting(family="sd15", reg=True)

STARTED = {"network_weights": "a.safetensors", "dim_from_weights": True}

# Knob → (a value, settings that make it idle, settings that give it effect, the word the reason must hold).
KNOBS: dict[str, tuple[Any, dict[str, Any], dict[str, Any], str]] = {
    "dim_from_weights": (True, {}, {"network_weights": "a.safetensors"}, "network_weights"),
    "network_dim": (4, STARTED, {}, "dim_from_weights"),
    "network_alpha": (4.0, STARTED, {}, "dim_from_weights"),
    "conv_dim": (4, {"unet_lr": 0.0}, {}, "unet_lr"),
    "lr_scheduler_power": (2.0, {}, {"lr_scheduler": "polynomial"}, "lr_scheduler"),
    "lr_scheduler_min_lr_ratio": (0.2, {}, {"lr_scheduler": "cosine_with_min_lr"}, "lr_scheduler"),
    "lr_warmup": (0.2, {"lr_scheduler": "constant"}, {"lr_scheduler": "constant_with_warmup"}, "constant"),
    "beta2": (0.99, {"optimizer": "Adafactor"}, {}, "optimizer"),
    "optimizer_eps": (1e-6, {"optimizer": "Lion"}, {}, "optimizer"),
    "d_coef": (2.0, {}, {"optimizer": "Prodigy"}, "optimizer = AdamW"),
    "d0": (1e-5, {}, {"optimizer": "Prodigy"}, "optimizer = AdamW"),
    "loraplus_lr_ratio": (
        16.0,
        {"loraplus_unet_lr_ratio": 8.0, "text_encoder_lr": 0.0},
        {"loraplus_unet_lr_ratio": 8.0},
        "loraplus_unet_lr_ratio",
    ),
    "loraplus_unet_lr_ratio": (16.0, {"unet_lr": 0.0}, {}, "unet_lr"),
    "loraplus_text_encoder_lr_ratio": (16.0, {"text_encoder_lr": 0.0}, {}, "text_encoder_lr"),
    "noise_offset_random_strength": (True, {}, {"noise_offset": 0.1}, "noise_offset"),
    "adaptive_noise_scale": (0.1, {}, {"noise_offset": 0.1}, "noise_offset"),
    "ip_noise_gamma_random_strength": (True, {}, {"ip_noise_gamma": 0.1}, "ip_noise_gamma"),
    "scale_v_pred_loss": (
        True,
        {"prediction_type": "epsilon"},
        {"prediction_type": "v_prediction"},
        "prediction_type = epsilon",
    ),
    "v_pred_like_loss": (
        0.5,
        {"prediction_type": "v_prediction"},
        {"prediction_type": "epsilon"},
        "prediction_type = v_prediction",
    ),
    "huber_schedule": ("constant", {}, {"loss_type": "huber"}, "loss_type = l2"),
    "huber_c": (0.3, {"loss_type": "l1"}, {"loss_type": "smooth_l1"}, "loss_type = l1"),
    "huber_scale": (
        2.0,
        {"loss_type": "huber", "kohya_compat": True},
        {"loss_type": "huber"},
        "kohya_compat",
    ),
    "mask_dir": ("masks", {}, {"masked_loss": True}, "masked_loss = false"),
    "conv_alpha": (4.0, {}, {"conv_dim": 4}, "conv_dim"),
    "multires_noise_discount": (0.5, {}, {"multires_noise_iterations": 6}, "multires_noise_iterations"),
    "keep_tokens": (1, {}, {"caption_tag_dropout_rate": 0.1}, "shuffle_caption"),
    "token_warmup_min": (2, {}, {"token_warmup_step": 0.5}, "token_warmup_step"),
    "lr_scheduler_cycles": (2, {}, {"lr_scheduler": "cosine_with_restarts"}, "lr_scheduler"),
    "min_bucket_reso": (128, {"bucket_no_upscale": True}, {}, "bucket_no_upscale"),
    "max_bucket_reso": (768, {"enable_bucket": False}, {}, "enable_bucket"),
    "bucket_reso_steps": (32, {"enable_bucket": False}, {}, "enable_bucket"),
    "bucket_no_upscale": (True, {"enable_bucket": False}, {}, "enable_bucket"),
    "preview_negative": ("ugly", {"preview_cfg": 1.0}, {}, "preview_cfg"),
}
# What decides lies outside the parameters: a value, the setting without effect and the one with, the reason.
OUTSIDE = {
    "text_encoder2_lr": (1e-5, Setting(family="sd15"), Setting(family="sdxl"), "SD 1.5"),
    "clip_skip": (2, Setting(family="sdxl"), SD15, "SDXL"),
    "prior_loss_weight": (0.5, Setting(family="sd15"), SD15, "reg = none"),
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
    value, without, with_effect, because = OUTSIDE[name]
    assert idle(name, without, **{name: value}) == [because]
    assert idle(name, with_effect, **{name: value}) == []


def test_noise_that_goes_too_far_or_twice() -> None:
    assert told(noise_offset=0.3)["notice_noise_offset"] == {"value": "0.3"}
    assert "notice_noise_both" in told(noise_offset=0.1, multires_noise_iterations=6)
    assert told(noise_offset=0.1) == {}


def test_buckets_no_longer_than_the_square() -> None:
    assert told(resolution=1024, max_bucket_reso=1024)["notice_bucket_cap"]["value"] == "1024"
    assert told(resolution=1024, max_bucket_reso=2048) == {}


def test_weights_that_multiply() -> None:
    assert "notice_weights_both" in told(debiased_estimation=True)
    assert told(debiased_estimation=True, min_snr_gamma=0) == {}


def test_a_prediction_against_the_bases_own_word() -> None:
    noise, velocity = (Setting(family="sdxl", reg=True, prediction=p) for p in ("epsilon", "v_prediction"))
    assert told(noise, prediction_type="v_prediction")["notice_prediction"] == {
        "value": "v_prediction",
        "base": "epsilon",
    }
    assert told(velocity, prediction_type="v_prediction") == {}
    assert told(SD15, prediction_type="v_prediction") == {}, "nobody knows what the base says"
    assert "notice_zero_snr" in told(noise, zero_terminal_snr="on")
    assert told(velocity, zero_terminal_snr="on") == {}
    assert idle("scale_v_pred_loss", noise, scale_v_pred_loss=True) == ["prediction_type = epsilon"]
    assert idle("scale_v_pred_loss", velocity, scale_v_pred_loss=True) == []
    assert idle("scale_v_pred_loss", SD15, scale_v_pred_loss=True) == []


def test_prodigy_finds_its_rate_itself() -> None:
    right = {"optimizer": "Prodigy", "unet_lr": 1.0, "text_encoder_lr": 0.0}
    assert told(**right) == {}
    assert told(**right | {"text_encoder_lr": 0.5})["notice_prodigy_rate"] == {
        "name": "text_encoder_lr",
        "value": "0.5",
    }
    assert "notice_prodigy_restarts" in told(**right | {"lr_scheduler": "cosine_with_restarts"})
    assert "notice_prodigy_loraplus" in told(**right | {"loraplus_lr_ratio": 16.0})
    second = right | {"text_encoder2_lr": 0.5}
    assert told(Setting(family="sdxl", reg=True), **second)["notice_prodigy_rate"]["name"] == "text_encoder2_lr"


def test_a_bake_that_could_learn_nothing_is_refused() -> None:
    for code, params in (
        ("nothing_to_train", {"unet_lr": 0.0, "text_encoder_lr": 0.0}),
        ("timesteps_empty", {"min_timestep": 500, "max_timestep": 500}),
    ):
        assert code in told(**params)
        with pytest.raises(EngineError) as refused:
            refuse(fields.build(params), SD15)
        assert refused.value.info.code == code
    second = fields.build({"unet_lr": 0.0, "text_encoder_lr": 0.0, "text_encoder2_lr": 1e-5})
    refuse(second, Setting(family="sdxl"))
    with pytest.raises(EngineError):
        refuse(second, SD15)
