"""What the keys of sd-scripts, kohya_ss and lora-scripts mean here: the tables that `convert` goes by.

Gathered from the option lists and example files of these projects; every value is data, nothing is run.
"""

from __future__ import annotations

from typing import Any


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PLAIN: dict[str, str] = {
    "num_repeats": "repeat",
    "dataset_repeats": "repeat",
    "max_train_epochs": "epochs",
    "epoch": "epochs",
    "train_batch_size": "batch_size",
    "batch_size": "batch_size",
    "gradient_accumulation_steps": "gradient_accumulation",
    "seed": "seed",
    "unet_lr": "unet_lr",
    "lr_scheduler_num_cycles": "lr_scheduler_cycles",
    "lr_restart_cycles": "lr_scheduler_cycles",
    "lr_scheduler_power": "lr_scheduler_power",
    "lr_scheduler_min_lr_ratio": "lr_scheduler_min_lr_ratio",
    "lr_warmup_steps": "lr_warmup",
    "max_grad_norm": "max_grad_norm",
    "network_dim": "network_dim",
    "network_alpha": "network_alpha",
    "network_dropout": "network_dropout",
    "rank_dropout": "rank_dropout",
    "module_dropout": "module_dropout",
    "scale_weight_norms": "scale_weight_norms",
    "network_weights": "network_weights",
    "lora_network_weights": "network_weights",
    "dim_from_weights": "dim_from_weights",
    "caption_prefix": "caption_prefix",
    "caption_suffix": "caption_suffix",
    "enable_wildcard": "enable_wildcard",
    "shuffle_caption": "shuffle_caption",
    "keep_tokens": "keep_tokens",
    "keep_tokens_separator": "keep_tokens_separator",
    "caption_dropout_rate": "caption_dropout_rate",
    "caption_dropout_every_n_epochs": "caption_dropout_every_n_epochs",
    "caption_tag_dropout_rate": "caption_tag_dropout_rate",
    "token_warmup_step": "token_warmup_step",
    "token_warmup_min": "token_warmup_min",
    "secondary_separator": "secondary_separator",
    "max_token_length": "max_token_length",
    "clip_skip": "clip_skip",
    "noise_offset": "noise_offset",
    "noise_offset_random_strength": "noise_offset_random_strength",
    "adaptive_noise_scale": "adaptive_noise_scale",
    "multires_noise_iterations": "multires_noise_iterations",
    "multires_noise_discount": "multires_noise_discount",
    "ip_noise_gamma": "ip_noise_gamma",
    "ip_noise_gamma_random_strength": "ip_noise_gamma_random_strength",
    "min_timestep": "min_timestep",
    "max_timestep": "max_timestep",
    "min_snr_gamma": "min_snr_gamma",
    "debiased_estimation_loss": "debiased_estimation",
    "scale_v_pred_loss_like_noise_pred": "scale_v_pred_loss",
    "v_pred_like_loss": "v_pred_like_loss",
    "loss_type": "loss_type",
    "huber_schedule": "huber_schedule",
    "huber_c": "huber_c",
    "huber_scale": "huber_scale",
    "prior_loss_weight": "prior_loss_weight",
    "masked_loss": "masked_loss",
    "alpha_mask": "masked_loss",
    "conditioning_data_dir": "mask_dir",
    "enable_bucket": "enable_bucket",
    "min_bucket_reso": "min_bucket_reso",
    "max_bucket_reso": "max_bucket_reso",
    "bucket_reso_steps": "bucket_reso_steps",
    "bucket_no_upscale": "bucket_no_upscale",
    "flip_aug": "flip_aug",
    "gradient_checkpointing": "gradient_checkpointing",
    "save_every_n_epochs": "save_every_epochs",
    "sample_every_n_epochs": "preview_every_epochs",
    "validation_split": "validation_split",
    "validation_data_dir": "validation_dir",
    "negative_prompts": "preview_negative",
    "sample_cfg": "preview_cfg",
    "sample_steps": "preview_steps",
}
"""Keys whose value is taken as it stands; where two mean the same, the later in a file wins."""

NETWORK_ARGS: dict[str, str] = {
    "conv_dim": "conv_dim",
    "conv_alpha": "conv_alpha",
    "dropout": "network_dropout",
    "rank_dropout": "rank_dropout",
    "module_dropout": "module_dropout",
    "loraplus_lr_ratio": "loraplus_lr_ratio",
    "loraplus_unet_lr_ratio": "loraplus_unet_lr_ratio",
    "loraplus_text_encoder_lr_ratio": "loraplus_text_encoder_lr_ratio",
    "dora_wd": "use_dora",
}
"""`network_args`, which kohya_ss also has as keys of their own."""

OPTIMIZER_ARGS: dict[str, str] = {
    "weight_decay": "weight_decay",
    "eps": "optimizer_eps",
    "d_coef": "d_coef",
    "d0": "d0",
}

OPTIMIZERS: dict[str, str] = {
    "adamw": "AdamW",
    "adamw8bit": "AdamW8bit",
    "pagedadamw8bit": "AdamW8bit",
    "lion": "Lion",
    "lion8bit": "Lion",
    "pagedlion8bit": "Lion",
    "prodigy": "Prodigy",
    "adafactor": "Adafactor",
}

SAMPLERS: dict[str, str] = {
    "euler_a": "euler_a",
    "k_euler_a": "euler_a",
    "euler": "euler",
    "k_euler": "euler",
    "ddim": "ddim",
    "dpmsolver++": "dpmpp_2m_karras",
    "dpm++_2m_karras": "dpmpp_2m_karras",
    "unipc": "unipc",
}

WHERE: dict[str, str] = {
    "pretrained_model_name_or_path": "base",
    "train_data_dir": "dataset",
    "image_dir": "dataset",
    "reg_data_dir": "reg",
    "output_name": "name",
}
"""Keys that say where things are, or what the LoRA is called."""

# How another program works, where it writes, what it logs: nothing of it changes what is learned.
MACHINE = _words(
    """
    cache_latents cache_latents_to_disk cache_text_encoder_outputs cache_text_encoder_outputs_to_disk skip_cache_check
    sdxl_cache_text_encoder_outputs vae_batch_size xformers sdpa sdp mem_eff_attn lowram highvram no_half_vae
    sdxl_no_half_vae max_data_loader_n_workers persistent_data_loader_workers num_cpu_threads_per_process num_processes
    num_machines multi_gpu gpu_ids main_process_port dynamo_backend dynamo_mode dynamo_use_dynamic dynamo_use_fullgraph
    torch_compile extra_accelerate_launch_args accelerate_extra_args ddp_timeout ddp_gradient_as_bucket_view
    ddp_static_graph deepspeed logging_dir log_with log_prefix log_tracker_name log_tracker_config log_config
    wandb_api_key wandb_run_name use_wandb console_log_level console_log_file console_log_simple output_dir
    save_model_as save_last_n_epochs save_last_n_epochs_state save_last_n_steps save_last_n_steps_state
    save_n_epoch_ratio save_every_n_steps save_state save_state_on_train_end save_state_to_huggingface
    huggingface_repo_id huggingface_repo_type huggingface_path_in_repo huggingface_token huggingface_repo_visibility
    resume_from_huggingface async_upload no_metadata metadata_title metadata_author metadata_description
    metadata_license metadata_tags training_comment full_fp16 full_bf16 fp8_base fp8_base_unet tokenizer_cache_dir
    fused_backward_pass sample_at_first sample_width sample_height sample_seed sample_every_n_steps enable_preview
    randomly_choice_prompt random_prompt_include_subdir train_on_input sdxl gui_version version
    author description ui_custom_params headless show_timesteps disable_mmap_load_safetensors
    caption_separator class_tokens metadata_file LyCORIS_preset unit factor use_cp use_tucker use_scalar
    use_trainable decompose_both train_norm constrain rescaled bypass_mode
    prompt_file folder_name
    """
)

# What would change the learning, and is not built: fine while it is off, told when it is on.
UNBUILT = _words(
    """
    v2 vae vae_path resume color_aug random_crop face_crop_aug_range weighted_captions no_token_padding
    base_weights base_weights_multiplier stop_text_encoder_training stop_text_encoder_training_pct block_dims
    block_alphas conv_block_dims conv_block_alphas conv_dims conv_alphas down_lr_weight mid_lr_weight up_lr_weight
    block_lr_zero_threshold block_lr enable_block_weights enable_base_weight in_json
    lr_scheduler_type lr_scheduler_args lr_scheduler_timescale lr_decay_steps immiscible_noise enable_contrastive
    t5xxl_lr t5xxl_max_token_length
    resize_interpolation initial_epoch initial_step skip_until_initial_step max_validation_steps
    validate_every_n_steps apply_t5_attn_mask blocks_to_swap
    """
)

# Settings of a switch that has its own row: idle while that one is off.
IDLE_WITH: dict[str, str] = {
    "negative_sampling_method": "enable_contrastive",
    "noise_strength": "enable_contrastive",
    "contrastive_weight": "enable_contrastive",
    "contrastive_warmup_steps": "enable_contrastive",
    "validate_every_n_epochs": "validation_split",
    "validation_seed": "validation_split",
}

DEFAULTS: dict[str, Any] = {
    "repeat": 1,
    "batch_size": 1,
    "unet_lr": 1e-4,
    "text_encoder_lr": 1e-4,
    "lr_scheduler": "constant",
    "lr_scheduler_cycles": 1,
    "lr_warmup": 0.0,
    "network_dim": 4,
    "network_alpha": 1.0,
    "min_snr_gamma": 0.0,
    "enable_bucket": False,
    "min_bucket_reso": 256,
    "max_bucket_reso": 1024,
    "bucket_reso_steps": 64,
}
"""What sd-scripts takes where a configuration is silent and our default is another."""

OF_BUCKETS = ("min_bucket_reso", "max_bucket_reso", "bucket_reso_steps")
"""Those of them that mean nothing while there are no buckets."""
