"""Sentences about settings that have no effect, contradict each other, or are known to do harm.

One row per knob that depends on others; what a dataset has to say of itself is the estimate's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.fields import fields
from engine.protocol.params import BakeParams


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a bake's parameters meet: the base's family, whether there is a regularisation set, and what the base says
    that it predicts ("epsilon" | "v_prediction", "" where nobody knows)."""

    family: str
    reg: bool = False
    prediction: str = ""


IMPOSSIBLE = frozenset({"nothing_to_train", "timesteps_empty"})
"""Sentences about settings that a bake is refused for; every other one is a warning."""

# Those of one word, as `repeat`, are words of English as well.
_NAME = re.compile(r"\b[a-z][a-z0-9]*_[a-z0-9_]+\b")

Why = Callable[[BakeParams, Setting], str]


def _unless(name: str, *values: object) -> Why:
    """Idle unless the knob `name` has one of these values; the reason says which it has."""

    def why(params: BakeParams, _: Setting) -> str:
        value = getattr(params, name)
        return "" if value in values else f"{name} = {_written(value)}"

    return why


def _without(name: str, nothing: object = 0) -> Why:
    """Idle while the knob `name` is off."""

    def why(params: BakeParams, _: Setting) -> str:
        value = getattr(params, name)
        return f"{name} = {_written(value)}" if value == nothing else ""

    return why


def _unpredicted(kind: str) -> Why:
    """Idle where the base is known to predict something else than `kind`."""

    def why(params: BakeParams, setting: Setting) -> str:
        known = _prediction(params, setting)
        return "" if known in ("", kind) else f"prediction_type = {known}"

    return why


def _prediction(params: BakeParams, setting: Setting) -> str:
    return setting.prediction if params.prediction_type == "auto" else params.prediction_type


def _common_ratio(params: BakeParams, _: Setting) -> str:
    """The common LoRA+ ratio is idle where every part that is trained has a ratio of its own."""
    unet = params.unet_lr == 0 or params.loraplus_unet_lr_ratio
    text = max(params.text_encoder_lrs) == 0 or params.loraplus_text_encoder_lr_ratio
    return "loraplus_unet_lr_ratio, loraplus_text_encoder_lr_ratio" if unet and text else ""


def _sized(params: BakeParams, _: Setting) -> str:
    """Ranks and alphas are those of a LoRA that the bake goes on from."""
    return "dim_from_weights = true" if params.network_weights and params.dim_from_weights else ""


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


IDLE: dict[str, Why] = {
    "clip_skip": lambda _, setting: "SDXL" if setting.family == "sdxl" else "",
    "network_dim": _sized,
    "network_alpha": _sized,
    "conv_dim": lambda p, setting: _without("unet_lr")(p, setting) or _sized(p, setting),
    "conv_alpha": lambda p, setting: _sized(p, setting) or _without("conv_dim")(p, setting),
    "multires_noise_discount": _without("multires_noise_iterations"),
    "keep_tokens": lambda p, _: (
        "" if p.shuffle_caption or p.caption_tag_dropout_rate or p.token_warmup_step else "shuffle_caption = false"
    ),
    "token_warmup_min": _without("token_warmup_step"),
    "text_encoder2_lr": lambda _, setting: "" if setting.family == "sdxl" else "SD 1.5",
    "lr_scheduler_power": _unless("lr_scheduler", "polynomial"),
    "lr_scheduler_min_lr_ratio": _unless("lr_scheduler", "cosine_with_min_lr"),
    "lr_warmup": lambda p, _: "lr_scheduler = constant" if p.lr_scheduler == "constant" and p.lr_warmup else "",
    "beta2": _unless("optimizer", "AdamW", "AdamW8bit", "Lion", "Prodigy"),
    "optimizer_eps": _unless("optimizer", "AdamW", "AdamW8bit", "Prodigy", "Adafactor"),
    "d_coef": _unless("optimizer", "Prodigy"),
    "d0": _unless("optimizer", "Prodigy"),
    "loraplus_lr_ratio": _common_ratio,
    "loraplus_unet_lr_ratio": _without("unet_lr"),
    "loraplus_text_encoder_lr_ratio": lambda p, _: "text_encoder_lr = 0" if max(p.text_encoder_lrs) == 0 else "",
    "noise_offset_random_strength": _without("noise_offset"),
    "adaptive_noise_scale": _without("noise_offset"),
    "ip_noise_gamma_random_strength": _without("ip_noise_gamma"),
    "scale_v_pred_loss": _unpredicted("v_prediction"),
    "v_pred_like_loss": _unpredicted("epsilon"),
    "huber_schedule": _unless("loss_type", "huber", "smooth_l1"),
    "huber_c": _unless("loss_type", "huber", "smooth_l1"),
    "huber_scale": lambda p, setting: (
        _unless("loss_type", "huber", "smooth_l1")(p, setting)
        or ("huber_schedule = snr, kohya_compat = true" if p.kohya_compat and p.huber_schedule == "snr" else "")
    ),
    "mask_dir": _without("masked_loss", False),
    "lr_scheduler_cycles": _unless("lr_scheduler", "cosine_with_restarts"),
    "prior_loss_weight": lambda _, setting: "" if setting.reg else "reg = none",
    "min_bucket_reso": lambda p, _: (
        "enable_bucket = false" if not p.enable_bucket else "bucket_no_upscale = true" if p.bucket_no_upscale else ""
    ),
    "max_bucket_reso": _without("enable_bucket", False),
    "bucket_reso_steps": _without("enable_bucket", False),
    "bucket_no_upscale": _without("enable_bucket", False),
    "dim_from_weights": _without("network_weights", ""),
    # Where no previews are drawn at all, nobody wonders why their other settings rest.
    "preview_negative": lambda p, _: "preview_cfg = 1" if p.preview_cfg == 1 and p.preview_every_epochs else "",
}
"""Knob → why it has no effect here, "" when it has; asked only of knobs that are not at their default."""


def notices_of(params: BakeParams, setting: Setting) -> list[ErrorInfo]:
    """All sentences about `params` in this setting, idle knobs first; [] when everything acts as it says."""
    rows: list[ErrorInfo] = []
    for name, why in IDLE.items():
        if getattr(params, name) != fields()[name].default and (because := why(params, setting)):
            rows.append(describe("notice_no_effect", name=name, because=because))
    return (
        rows
        + _data(params)
        + _noise(params)
        + _answers(params, setting)
        + _prodigy(params, setting)
        + _impossible(params, setting)
    )


def concerned(info: ErrorInfo) -> list[str]:
    """The parameters that a sentence of `notices_of` is about; [] where it names none."""
    name = str(info.args.get("name", ""))
    if name in fields():
        return [name]
    text = f"{info.message} {info.hint}" if info.code in IMPOSSIBLE else info.message
    return [word for word in dict.fromkeys(_NAME.findall(text)) if word in fields()]


def refuse(params: BakeParams, setting: Setting) -> None:
    """Raises EngineError `nothing_to_train` or `timesteps_empty` for a bake that could not learn anything."""
    for info in _impossible(params, setting):
        raise EngineError(info.code, recoverable=info.recoverable, **info.args)


def _data(p: BakeParams) -> list[ErrorInfo]:
    rows: list[ErrorInfo] = []
    for name in ("caption_dropout_rate", "caption_dropout_every_n_epochs"):
        if getattr(p, name) == 1:
            rows.append(describe("notice_never_captions", name=name, value=f"{getattr(p, name):g}"))
    return rows


def _noise(p: BakeParams) -> list[ErrorInfo]:
    rows: list[ErrorInfo] = []
    if p.noise_offset > 0.2:
        rows.append(describe("notice_noise_offset", value=p.noise_offset))
    if p.noise_offset and p.multires_noise_iterations:
        rows.append(describe("notice_noise_both"))
    if p.enable_bucket and 0 < p.max_bucket_reso <= p.resolution:
        rows.append(describe("notice_bucket_cap", value=p.max_bucket_reso, resolution=p.resolution))
    return rows


def _answers(p: BakeParams, setting: Setting) -> list[ErrorInfo]:
    """What the base is asked for, and how its answers count."""
    rows: list[ErrorInfo] = []
    if p.min_snr_gamma and p.debiased_estimation:
        rows.append(describe("notice_weights_both"))
    known = _prediction(p, setting)
    if setting.prediction and known != setting.prediction:
        rows.append(describe("notice_prediction", value=known, base=setting.prediction))
    if p.zero_terminal_snr == "on" and known == "epsilon":
        rows.append(describe("notice_zero_snr"))
    return rows


def _prodigy(p: BakeParams, setting: Setting) -> list[ErrorInfo]:
    if p.optimizer != "Prodigy":
        return []
    rates = {"unet_lr": p.unet_lr, "text_encoder_lr": p.text_encoder_lr}
    if setting.family == "sdxl" and p.text_encoder2_lr >= 0:
        rates["text_encoder2_lr"] = p.text_encoder2_lr
    rows = [describe("notice_prodigy_rate", name=n, value=v) for n, v in rates.items() if v not in (0, 1)]
    if p.lr_scheduler == "cosine_with_restarts":
        rows.append(describe("notice_prodigy_restarts"))
    if any(r > 1 for r in (p.loraplus_lr_ratio, p.loraplus_unet_lr_ratio, p.loraplus_text_encoder_lr_ratio)):
        rows.append(describe("notice_prodigy_loraplus"))
    return rows


def _impossible(p: BakeParams, setting: Setting) -> list[ErrorInfo]:
    rows: list[ErrorInfo] = []
    encoders = p.text_encoder_lrs if setting.family == "sdxl" else p.text_encoder_lrs[:1]
    if p.unet_lr == 0 and not any(encoders):
        rows.append(describe("nothing_to_train"))
    if p.min_timestep >= p.max_timestep:
        rows.append(describe("timesteps_empty", first=p.min_timestep, end=p.max_timestep))
    return rows
