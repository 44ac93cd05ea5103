"""Writes parameters as a configuration of sd-scripts (`--config_file`), and tells what has no word there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w

from engine import optimizers
from engine.protocol import fields
from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_write
from engine.protocol.params import BakeParams
from engine.protocol.recipes import RecipeText, WriteRecipe
from engine.recipes import names

_OURS = frozenset(
    {"kohya_compat", "validation_dir", "mask_dir", "preview_prompt", "preview_negative", "preview_steps", "preview_cfg"}
    | {"repeat"}
)
"""Parameters that a configuration of sd-scripts cannot hold, or holds in files and folder names of their own."""


def write(asked: WriteRecipe) -> RecipeText:
    """Write the file; raises EngineError for a parameter, `recipe_exists` or `out_unwritable`."""
    params = fields.build(asked.params)
    out = Path(asked.out).expanduser().absolute()
    if out.exists() and not asked.overwrite:
        raise EngineError("recipe_exists", path=out)
    table = {**_where(asked), **table_of(params)}
    try:
        atomic_write(out, tomli_w.dumps(table).encode(), mode=0o644)
    except OSError as error:
        raise EngineError("out_unwritable", path=out, reason=error.strerror or error) from None
    changed = fields.changed(params)
    return RecipeText(path=str(out), left_out=[name for name in changed if name in _OURS])


def _where(asked: WriteRecipe) -> dict[str, str]:
    rows = {
        "pretrained_model_name_or_path": asked.base,
        "train_data_dir": asked.dataset,
        "reg_data_dir": asked.reg,
        "output_name": asked.name,
    }
    return {key: value for key, value in rows.items() if value}


def table_of(params: BakeParams) -> dict[str, Any]:
    """The keys of sd-scripts for these parameters; repeats go into a dataset configuration and are told there."""
    turned = {ours: theirs for theirs, ours in reversed(names.PLAIN.items())}
    skipped = {"batch_size", "max_token_length", "clip_skip", "network_weights", "dim_from_weights"} | _OURS
    table: dict[str, Any] = {}
    for name, key in turned.items():
        value = getattr(params, name)
        if name not in skipped and (value != fields.fields()[name].default or name in names.DEFAULTS):
            table[key] = value
    table |= {
        "train_batch_size": params.batch_size,
        "max_train_epochs": params.epochs,
        "seed": params.seed,
        "resolution": f"{params.resolution},{params.resolution}",
        "unet_lr": params.unet_lr,
        "text_encoder_lr": [*params.text_encoder_lrs] if params.text_encoder2_lr >= 0 else params.text_encoder_lr,
        "lr_scheduler": params.lr_scheduler,
        "optimizer_type": params.optimizer,
        "optimizer_args": _optimizer_args(params),
        "network_module": "lycoris.kohya" if params.use_dora else "networks.lora",
        "network_dim": params.network_dim,
        "network_alpha": params.network_alpha or params.network_dim,
        "network_args": _network_args(params),
        "save_every_n_epochs": params.save_every_epochs,
        "save_precision": "float" if params.save_precision == "fp32" else params.save_precision,
        "save_model_as": "safetensors",
        "caption_extension": ".txt",
        "cache_latents": True,
        "max_bucket_reso": params.max_bucket_reso or 2 * params.resolution,
        "min_bucket_reso": params.min_bucket_reso or params.resolution // 2,
        "bucket_reso_steps": params.bucket_reso_steps or min(64, max(8, params.resolution // 8)),
    }
    if params.precision != "auto":
        table["mixed_precision"] = "no" if params.precision == "fp32" else params.precision
    if params.max_token_length != 75:
        table["max_token_length"] = params.max_token_length
    if params.clip_skip != 1:
        table["clip_skip"] = params.clip_skip
    if params.network_weights:
        table |= {"network_weights": params.network_weights, "dim_from_weights": params.dim_from_weights}
    if params.prediction_type == "v_prediction":
        table["v_parameterization"] = True
    if params.zero_terminal_snr == "on":
        table["zero_terminal_snr"] = True
    if params.text_encoder_lrs == (0, 0):
        table["network_train_unet_only"] = True
    if params.preview_every_epochs:
        table["sample_sampler"] = params.preview_sampler
    return {key: value for key, value in table.items() if value != []}


def _optimizer_args(params: BakeParams) -> list[str]:
    words = [f"weight_decay={params.weight_decay:g}"]
    if params.beta1 or params.beta2:
        first, second = optimizers.betas(params)
        words.append(f"betas={first:g},{second:g}")
    words += [f"eps={params.optimizer_eps:g}"] if params.optimizer_eps else []
    if params.optimizer == "Prodigy":
        words += [f"d_coef={params.d_coef:g}", f"d0={params.d0:g}", "decouple=True"]
    return words


def _network_args(params: BakeParams) -> list[str]:
    turned = {ours: theirs for theirs, ours in names.NETWORK_ARGS.items()}
    wanted = ["rank_dropout", "module_dropout", *(name for name in turned if name.startswith("loraplus"))]
    words = [f"{turned[name]}={getattr(params, name):g}" for name in wanted if getattr(params, name)]
    if params.conv_dim:
        words += [f"conv_dim={params.conv_dim}", f"conv_alpha={params.conv_alpha:g}"]
    return [*words, "algo=lora", "dora_wd=True"] if params.use_dora else words
