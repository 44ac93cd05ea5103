"""Sentences about settings that have no effect, contradict each other, or are known to do harm.

One row per knob that depends on others; what a dataset has to say of itself is the estimate's business.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from engine.protocol.errors import ErrorInfo, describe
from engine.protocol.fields import fields
from engine.protocol.params import BakeParams


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a bake's parameters meet: the base's family, and whether there is a regularisation set."""

    family: str
    reg: bool = False


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


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


IDLE: dict[str, Why] = {
    "clip_skip": lambda _, setting: "SDXL" if setting.family == "sdxl" else "",
    "conv_alpha": _without("conv_dim"),
    "multires_noise_discount": _without("multires_noise_iterations"),
    "keep_tokens": lambda p, _: (
        "shuffle_caption = false" if not p.shuffle_caption and p.caption_tag_dropout_rate == 0 else ""
    ),
    "lr_scheduler_cycles": _unless("lr_scheduler", "cosine_with_restarts"),
    "prior_loss_weight": lambda _, setting: "" if setting.reg else "reg = none",
    "min_bucket_reso": lambda p, _: (
        "enable_bucket = false" if not p.enable_bucket else "bucket_no_upscale = true" if p.bucket_no_upscale else ""
    ),
    "max_bucket_reso": _without("enable_bucket", False),
    "bucket_reso_steps": _without("enable_bucket", False),
    "bucket_no_upscale": _without("enable_bucket", False),
    "preview_prompt": _without("preview_every_epochs"),
    "preview_negative": lambda p, _: (
        "preview_every_epochs = 0" if p.preview_every_epochs == 0 else "preview_cfg = 1" if p.preview_cfg == 1 else ""
    ),
    "preview_sampler": _without("preview_every_epochs"),
    "preview_steps": _without("preview_every_epochs"),
    "preview_cfg": _without("preview_every_epochs"),
}
"""Knob → why it has no effect here, "" when it has; asked only of knobs that are not at their default."""


def notices_of(params: BakeParams, setting: Setting) -> list[ErrorInfo]:
    """All sentences about `params` in this setting, idle knobs first; [] when everything acts as it says."""
    rows: list[ErrorInfo] = []
    for name, why in IDLE.items():
        if getattr(params, name) != fields()[name].default and (because := why(params, setting)):
            rows.append(describe("notice_no_effect", name=name, because=because))
    return rows + _contradictions(params)


def _contradictions(p: BakeParams) -> list[ErrorInfo]:
    rows: list[ErrorInfo] = []
    if p.noise_offset > 0.2:
        rows.append(describe("notice_noise_offset", value=p.noise_offset))
    if p.noise_offset and p.multires_noise_iterations:
        rows.append(describe("notice_noise_both"))
    if p.enable_bucket and 0 < p.max_bucket_reso <= p.resolution:
        rows.append(describe("notice_bucket_cap", value=p.max_bucket_reso, resolution=p.resolution))
    if p.optimizer == "Prodigy":
        rates = {"unet_lr": p.unet_lr, "text_encoder_lr": p.text_encoder_lr}
        rows += [describe("notice_prodigy_rate", name=n, value=v) for n, v in rates.items() if v not in (0, 1)]
        if p.lr_scheduler == "cosine_with_restarts":
            rows.append(describe("notice_prodigy_restarts"))
    if p.unet_lr == 0 and p.text_encoder_lr == 0:
        rows.append(describe("nothing_to_train"))
    return rows
