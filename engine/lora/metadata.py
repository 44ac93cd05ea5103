"""What a LoRA file says about itself: kohya's `ss_*` fields and the `modelspec.*` block, all values strings.

Hashes over the tensors are added by `kohya`, which has the tensors.
"""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from engine import __version__
from engine.dataset.captions import split_tags
from engine.dataset.checks import presumed_trigger
from engine.dataset.plan import BakePlan, Item
from engine.lora.inject import Network
from engine.lora.start import Start
from engine.models.model import DiffusionModel
from engine.optimizers import OPTIMIZERS, betas
from engine.protocol.params import BakeParams
from engine.protocol.records import Job
from engine.train.schedule import warmup_steps

_NETWORK_ARGUMENTS = (
    "rank_dropout",
    "module_dropout",
    "loraplus_lr_ratio",
    "loraplus_unet_lr_ratio",
    "loraplus_text_encoder_lr_ratio",
)


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """When and where in the bake the file is written; times are Unix seconds."""

    epoch: int
    step: int
    started: float
    finished: float


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a bake comes from beyond its job: the hashes of a single-file base (A1111's old one, sha256), and the LoRA
    it went on from."""

    base: tuple[str, str] | None = None
    start: Start | None = None


def metadata(
    job: Job,
    plan: BakePlan,
    model: DiffusionModel,
    network: Network,
    precision: str,
    moment: Moment,
    origin: Origin,
) -> dict[str, str]:
    """All fields for one file; `kohya.save` shortens the list of tags where the header would grow too long."""
    values = _run(job, plan, precision, moment) | _network(job.params, network) | _model(job, model, moment, origin)
    values |= _loss(job.params) | _data(job, plan)
    return {name: value if isinstance(value, str) else str(value) for name, value in values.items()}


def _run(job: Job, plan: BakePlan, precision: str, moment: Moment) -> dict[str, Any]:
    p = job.params
    return {
        "ss_output_name": job.name,
        "ss_session_id": job.id,
        "ss_training_started_at": moment.started,
        "ss_training_finished_at": moment.finished,
        "ss_training_comment": f"baked with LoRABake {__version__}",
        "ss_seed": p.seed,
        "ss_steps": moment.step,
        "ss_epoch": moment.epoch,
        "ss_num_epochs": plan.epochs,
        "ss_max_train_steps": plan.optimizer_steps,
        "ss_num_batches_per_epoch": plan.batches_per_epoch,
        "ss_num_train_images": sum(i.repeat for i in plan.items if not i.reg),
        "ss_num_reg_images": sum(i.repeat for i in plan.items if i.reg),
        "ss_num_validation_images": len(plan.validation),
        "ss_learning_rate": p.unet_lr,
        "ss_unet_lr": p.unet_lr,
        "ss_text_encoder_lr": p.text_encoder_lr if p.text_encoder2_lr < 0 else list(p.text_encoder_lrs),
        "ss_optimizer": _optimizer(p),
        "ss_lr_scheduler": p.lr_scheduler,
        "ss_lr_warmup_steps": warmup_steps(p, plan.optimizer_steps),
        "ss_max_grad_norm": p.max_grad_norm,
        "ss_gradient_accumulation_steps": p.gradient_accumulation,
        "ss_gradient_checkpointing": p.gradient_checkpointing,
        "ss_mixed_precision": "no" if precision == "fp32" else precision,
        "ss_full_fp16": False,
        "ss_fp8_base": False,
        "ss_fp8_base_unet": False,
        "ss_lowram": False,
        "lorabake_params": _all(p),
    }


def _all(p: BakeParams) -> str:
    """Every parameter as JSON, so that the file alone can be baked again; of paths only the last part leaves home."""
    values: dict[str, Any] = msgspec.to_builtins(p)
    for name in ("mask_dir", "validation_dir", "network_weights"):
        values[name] = PurePosixPath(values[name]).name
    return json.dumps(values, ensure_ascii=False)


def _optimizer(p: BakeParams) -> str:
    """The class and what it was given, as kohya writes them; what was left to the optimizer is left out."""
    given = [f"weight_decay={p.weight_decay:g}"]
    given += [f"betas={betas(p)}"] if p.beta1 or p.beta2 else []
    given += [f"eps={p.optimizer_eps:g}"] if p.optimizer_eps else []
    if p.optimizer == "Prodigy":
        given += [f"d_coef={p.d_coef:g}", f"d0={p.d0:g}"]
    return f"{OPTIMIZERS[p.optimizer].kohya}({','.join(given)})"


def _network(p: BakeParams, network: Network) -> dict[str, Any]:
    large = [m.target for m in network.modules if m.down.dim() == 4 and m.down.shape[-1] > 1]
    plain = [m.target for m in network.modules if m.down.dim() != 4 or m.down.shape[-1] == 1]
    arguments: dict[str, Any] = {}
    if large:
        arguments = {"conv_dim": _common([t.rank for t in large]), "conv_alpha": _common([t.alpha for t in large])}
    arguments |= {name: share for name in _NETWORK_ARGUMENTS if (share := getattr(p, name))}
    if p.use_dora:
        # kohya's own network has no DoRA; with these arguments LyCORIS makes and reads the same file.
        arguments |= {"algo": "locon", "dora_wd": True, "wd_on_output": False}
    return {
        "ss_network_module": "lycoris.kohya" if p.use_dora else "networks.lora",
        "ss_network_dim": _common([target.rank for target in plain]),
        "ss_network_alpha": _common([target.alpha for target in plain]),
        "ss_network_dropout": p.network_dropout or None,
        "ss_scale_weight_norms": p.scale_weight_norms or None,
    } | ({"ss_network_args": json.dumps(arguments)} if arguments else {})


def _common(sizes: Sequence[float]) -> Any:
    """The size that all layers have; kohya's tools write "Dynamic" where they differ."""
    return sizes[0] if len(set(sizes)) == 1 else "Dynamic" if sizes else None


def _model(job: Job, model: DiffusionModel, moment: Moment, origin: Origin) -> dict[str, Any]:
    p = job.params
    spec = {
        "sai_model_spec": "1.0.1",
        "architecture": f"{model.architecture}/lora",
        "implementation": "diffusers",
        "implementation_version": f"lorabake/{__version__}",
        "title": job.name,
        "date": datetime.datetime.fromtimestamp(moment.finished, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "resolution": f"{p.resolution}x{p.resolution}",
        "prediction_type": "v" if model.prediction_type == "v_prediction" else "epsilon",
    }
    if p.clip_skip > 1 and model.family == "sd15":
        spec["encoder_layer"] = str(p.clip_skip)
    if p.min_timestep or p.max_timestep < int(model.scheduler.get("num_train_timesteps", 1000)):
        spec["timestep_range"] = f"{p.min_timestep},{p.max_timestep}"
    more: dict[str, Any] = {}
    if origin.base is not None:
        more = {"ss_sd_model_hash": origin.base[0], "ss_new_sd_model_hash": origin.base[1]}
    if origin.start is not None:
        more["lorabake_network_weights"] = f"{origin.start.file} {origin.start.sha256}"
    return (
        more
        | {f"modelspec.{name}": value for name, value in spec.items()}
        | {
            "ss_base_model_version": model.kohya_version,
            "ss_v2": False,
            "ss_sd_model_name": model.path.name,
            "ss_new_vae_hash": model.vae_hash,
            "ss_clip_skip": p.clip_skip if model.family == "sd15" else None,
            "ss_max_token_length": None if p.max_token_length == 75 else p.max_token_length,
            "ss_cache_latents": True,
            "ss_zero_terminal_snr": model.zero_terminal_snr,
        }
    )


def _loss(p: BakeParams) -> dict[str, Any]:
    return {
        "ss_noise_offset": p.noise_offset or None,
        "ss_noise_offset_random_strength": p.noise_offset_random_strength,
        "ss_adaptive_noise_scale": p.adaptive_noise_scale or None,
        "ss_multires_noise_iterations": p.multires_noise_iterations or None,
        "ss_multires_noise_discount": p.multires_noise_discount,
        "ss_min_snr_gamma": p.min_snr_gamma or None,
        "ss_ip_noise_gamma": p.ip_noise_gamma or None,
        "ss_ip_noise_gamma_random_strength": p.ip_noise_gamma_random_strength,
        "ss_debiased_estimation": p.debiased_estimation,
        "ss_loss_type": p.loss_type,
        "ss_huber_schedule": p.huber_schedule,
        "ss_huber_scale": p.huber_scale,
        "ss_huber_c": p.huber_c,
        "ss_prior_loss_weight": p.prior_loss_weight,
    }


def _data(job: Job, plan: BakePlan) -> dict[str, Any]:
    p = job.params
    train = [item for item in plan.items if not item.reg]
    reg = [item for item in plan.items if item.reg]
    buckets = {
        str(i): {"resolution": [row.width, row.height], "count": row.views} for i, row in enumerate(plan.buckets)
    }
    trigger = presumed_trigger([item.image.caption or "" for item in train])
    return ({"modelspec.trigger_phrase": trigger} if trigger else {}) | {
        "ss_dataset_dirs": json.dumps(_folders(train, job.dataset), ensure_ascii=False),
        "ss_reg_dataset_dirs": json.dumps(_folders(reg, job.reg), ensure_ascii=False),
        "ss_tag_frequency": tag_frequency(train, job.dataset),
        "ss_bucket_info": json.dumps({"buckets": buckets}) if p.enable_bucket else "null",
        "ss_batch_size_per_device": p.batch_size,
        "ss_total_batch_size": p.batch_size,
        "ss_resolution": (p.resolution, p.resolution),
        "ss_enable_bucket": p.enable_bucket,
        "ss_bucket_no_upscale": p.bucket_no_upscale,
        "ss_min_bucket_reso": p.min_bucket_reso or None,
        "ss_max_bucket_reso": p.max_bucket_reso or None,
        "ss_shuffle_caption": p.shuffle_caption,
        "ss_keep_tokens": p.keep_tokens,
        "ss_caption_dropout_rate": p.caption_dropout_rate,
        "ss_caption_dropout_every_n_epochs": p.caption_dropout_every_n_epochs,
        "ss_caption_tag_dropout_rate": p.caption_tag_dropout_rate,
        "ss_color_aug": False,
        "ss_flip_aug": p.flip_aug,
        "ss_random_crop": False,
        "ss_face_crop_aug_range": None,
        "ss_resize_interpolation": None,
        "ss_validation_split": p.validation_split,
        "ss_validation_seed": p.seed if p.validation_split else None,
        "ss_validate_every_n_epochs": 1 if p.validation_split else None,
        "ss_validate_every_n_steps": None,
        "ss_max_validation_steps": None,
    }


def _folder(item: Item, root: str) -> str:
    parent = PurePosixPath(item.image.name).parent.name
    return parent or PurePosixPath(root).name


def _folders(items: Sequence[Item], root: str) -> dict[str, dict[str, int]]:
    repeats: dict[str, Counter[int]] = {}
    for item in items:
        repeats.setdefault(_folder(item, root), Counter())[item.repeat] += 1
    return {
        folder: {"n_repeats": counts.most_common(1)[0][0], "img_count": counts.total()}
        for folder, counts in repeats.items()
    }


def tag_frequency(items: Sequence[Item], root: str) -> str:
    """JSON {folder: {tag: images}}, commonest first."""
    counts: dict[str, Counter[str]] = {}
    for item in items:
        counts.setdefault(_folder(item, root), Counter()).update(split_tags(item.image.caption or ""))
    return json.dumps({folder: dict(counter.most_common()) for folder, counter in counts.items()}, ensure_ascii=False)
