"""Files of other trainers, in the shapes their projects publish: every key is accounted for, and comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine import own_presets
from engine.protocol import fields
from engine.protocol.errors import EngineError
from engine.protocol.messages import ImportPreset, SavePreset
from engine.protocol.params import BakeParams
from engine.protocol.recipes import Recipe, WriteRecipe
from engine.recipes import names
from engine.recipes.convert import load
from engine.recipes.read import command_line
from engine.recipes.write import write

LORA_SCRIPTS = """
[model]
v2 = false
v_parameterization = false
pretrained_model_name_or_path = "./sd-models/base.safetensors"

[dataset]
train_data_dir = "./train/mira"
reg_data_dir = ""
prior_loss_weight = 1
cache_latents = true
shuffle_caption = true
enable_bucket = true

[additional_network]
network_dim = 32
network_alpha = 16
network_train_unet_only = false
network_train_text_encoder_only = false
network_module = "networks.lora"
network_args = []

[optimizer]
unet_lr = 1e-4
text_encoder_lr = 1e-5
optimizer_type = "AdamW8bit"
lr_scheduler = "cosine_with_restarts"
lr_warmup_steps = 0
lr_restart_cycles = 2

[training]
resolution = "512,768"
train_batch_size = 2
max_train_epochs = 12
noise_offset = 0.05
keep_tokens = 1
xformers = true
lowram = false
clip_skip = 2
mixed_precision = "fp16"
save_precision = "fp16"

[sample_prompt]
sample_sampler = "euler_a"
sample_every_n_epochs = 2

[saving]
output_name = "mira"
save_every_n_epochs = 2
save_n_epoch_ratio = 0
save_last_n_epochs = 499
save_state = false
save_model_as = "safetensors"
output_dir = "./output"
logging_dir = "./logs"
log_prefix = "mira"

[others]
min_bucket_reso = 256
max_bucket_reso = 1024
caption_extension = ".txt"
max_token_length = 225
seed = 1337
"""

TEMPLATE = """
[metadata]
name = "higher resolution"
version = "0.0.1"
author = "somebody"
description = "a template"

[data]
resolution = "768,768"
enable_bucket = true
min_bucket_reso = 256
max_bucket_reso = 2048
bucket_no_upscale = true
"""

KOHYA_SS: dict[str, Any] = {
    "LoRA_type": "Standard",
    "adaptive_noise_scale": 0,
    "additional_parameters": "--ip_noise_gamma 0.05 --immiscible_noise 8",
    "block_alphas": "",
    "block_dims": "",
    "block_lr_zero_threshold": "",
    "bucket_no_upscale": True,
    "bucket_reso_steps": 32,
    "cache_latents": True,
    "cache_latents_to_disk": True,
    "caption_dropout_every_n_epochs": 0.0,
    "caption_dropout_rate": 0.05,
    "caption_extension": ".txt",
    "clip_skip": "1",
    "color_aug": False,
    "conv_alpha": 32,
    "conv_dim": 32,
    "decompose_both": False,
    "down_lr_weight": "",
    "enable_bucket": True,
    "epoch": 16,
    "factor": -1,
    "full_bf16": False,
    "gradient_accumulation_steps": 2,
    "gradient_checkpointing": True,
    "keep_tokens": "1",
    "learning_rate": 1.0,
    "lora_network_weights": "",
    "lr_scheduler": "constant",
    "lr_scheduler_num_cycles": "1",
    "lr_scheduler_power": "",
    "lr_warmup": 10,
    "max_bucket_reso": 2048,
    "max_data_loader_n_workers": "0",
    "max_resolution": "1024,1024",
    "max_timestep": 1000,
    "max_token_length": "75",
    "max_train_epochs": "",
    "max_train_steps": "",
    "mem_eff_attn": False,
    "mid_lr_weight": "",
    "min_bucket_reso": 256,
    "min_snr_gamma": 5,
    "min_timestep": 0,
    "mixed_precision": "bf16",
    "module_dropout": 0,
    "multires_noise_discount": 0.2,
    "multires_noise_iterations": 8,
    "network_alpha": 16,
    "network_dim": 32,
    "noise_offset": 0.1,
    "noise_offset_type": "Original",
    "num_cpu_threads_per_process": 2,
    "optimizer": "Prodigy",
    "optimizer_args": "weight_decay=0.02 decouple=True d0=0.0001 use_bias_correction=True betas=0.9,0.99",
    "prior_loss_weight": 1.0,
    "random_crop": False,
    "sample_prompts": "mira, smile --n ugly --w 768 --h 768 --l 6 --s 24",
    "save_every_n_epochs": 4,
    "save_precision": "float",
    "scale_weight_norms": 5,
    "sdxl": True,
    "sdxl_no_half_vae": True,
    "seed": "",
    "shuffle_caption": False,
    "stop_text_encoder_training_pct": 0,
    "text_encoder_lr": 1.0,
    "train_batch_size": 8,
    "train_data_dir": "/data/mira",
    "train_on_input": True,
    "unet_lr": 1.0,
    "unit": 1,
    "use_cp": False,
    "use_wandb": False,
    "v2": False,
    "v_parameterization": False,
    "vae": "",
    "vae_batch_size": 0,
    "weighted_captions": True,
    "xformers": "xformers",
}

COMMAND = """accelerate launch --num_cpu_threads_per_process 1 sdxl_train_network.py \\
  --pretrained_model_name_or_path="/models/xl base.safetensors" --train_data_dir=/data/mira \\
  --network_module networks.lora --network_dim 8 --network_alpha 4 \\
  --network_args "conv_dim=4" "conv_alpha=1" "loraplus_lr_ratio=4" \\
  --resolution 1024,1024 --learning_rate 2e-4 --max_train_epochs 6 --network_train_unet_only \\
  --zero_terminal_snr --v_parameterization --optimizer_type AdaFactor \\
  --optimizer_args "relative_step=True" --max_train_steps 3000
"""

DATASET = """
[general]
enable_bucket = true
shuffle_caption = true

[[datasets]]
resolution = 768
batch_size = 4

  [[datasets.subsets]]
  image_dir = "/data/mira"
  num_repeats = 3
  class_tokens = "mira"

  [[datasets.subsets]]
  image_dir = "/data/other"
  num_repeats = 1

  [[datasets.subsets]]
  is_reg = true
  image_dir = "/data/reg"
"""


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def outcomes(recipe: Recipe) -> dict[str, str]:
    return {row.key: row.outcome for row in recipe.rows}


def refused(recipe: Recipe) -> set[str]:
    return {row.key for row in recipe.rows if row.outcome == "refused"}


def accounted(recipe: Recipe, keys: set[str]) -> None:
    """Each key once, and each row that is not taken over with its reason."""
    assert {row.key.partition(" ")[0] for row in recipe.rows} >= keys
    assert all(row.to or row.why for row in recipe.rows)
    fields.build(recipe.params)


def test_lora_scripts(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, "a.toml", LORA_SCRIPTS))
    keys = {line.split(" =")[0] for line in LORA_SCRIPTS.splitlines() if " = " in line}
    assert recipe.format == "lora-scripts"
    accounted(recipe, keys)
    assert refused(recipe) == set()
    params = fields.build(recipe.params)
    assert (params.epochs, params.batch_size, params.lr_scheduler_cycles, params.clip_skip) == (12, 2, 2, 2)
    assert params.resolution == 624, "a square of the same area"
    assert (params.optimizer, params.lr_warmup, params.min_snr_gamma) == ("AdamW8bit", 0.0, 0.0)
    assert (recipe.base, recipe.dataset, recipe.name) == ("./sd-models/base.safetensors", "./train/mira", "mira")


def test_a_template_of_lora_scripts(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, "t.toml", TEMPLATE))
    assert recipe.format == "lora-scripts"
    assert refused(recipe) == set()
    assert recipe.params["resolution"] == 768


def test_kohya_ss(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, "k.json", json.dumps(KOHYA_SS)))
    assert recipe.format == "kohya_ss"
    accounted(recipe, set(KOHYA_SS))
    assert refused(recipe) == {"weighted_captions", "immiscible_noise"}
    params = fields.build(recipe.params)
    assert (params.optimizer, params.weight_decay, params.d0, params.beta2) == ("Prodigy", 0.02, 1e-4, 0.99)
    assert (params.epochs, params.lr_warmup, params.ip_noise_gamma) == (16, 0.1, 0.05)
    assert (params.conv_dim, params.multires_noise_iterations) == (0, 0), "numbers of what is not chosen"
    assert (params.preview_prompt, params.preview_negative) == ("mira, smile", "ugly")
    assert (params.preview_cfg, params.preview_steps, params.save_precision) == (6, 24, "fp32")


def test_other_networks_are_refused(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, "k.json", json.dumps({"LoRA_type": "LyCORIS/LoHa", "conv_dim": 8})))
    assert outcomes(recipe) == {"LoRA_type": "refused", "conv_dim": "ignored"}
    recipe = load(written(tmp_path, "f.toml", 'model_train_type = "flux-lora"\nnetwork_module = "networks.lora_flux"'))
    assert refused(recipe) == {"model_train_type", "network_module"}


def test_a_command_line(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, "train.sh", COMMAND))
    assert recipe.format == "sd-scripts command line"
    accounted(recipe, {key for key, _ in command_line(COMMAND)})
    assert refused(recipe) == {"optimizer_args relative_step"}
    assert outcomes(recipe)["max_train_steps"] == "ignored"
    params = fields.build(recipe.params)
    assert (params.network_dim, params.conv_dim, params.loraplus_lr_ratio) == (8, 4, 4)
    assert (params.unet_lr, params.text_encoder_lr) == (2e-4, 0)
    assert (params.prediction_type, params.zero_terminal_snr, params.optimizer) == ("v_prediction", "on", "Adafactor")
    assert recipe.base == "/models/xl base.safetensors"


def test_a_dataset_configuration(tmp_path: Path) -> None:
    dataset = written(tmp_path, "dataset.toml", DATASET)
    recipe = load(written(tmp_path, "s.toml", f'network_module = "networks.lora"\ndataset_config = "{dataset.name}"'))
    assert recipe.format == "sd-scripts"
    assert (recipe.dataset, recipe.reg) == ("/data/mira", "/data/reg")
    assert refused(recipe) == {"subsets"}, "a second folder of training images"
    params = fields.build(recipe.params)
    assert (params.repeat, params.batch_size, params.resolution, params.shuffle_caption) == (3, 4, 768, True)


def test_steps_without_epochs_cannot_be_kept(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, "s.toml", 'network_module = "networks.lora"\nmax_train_steps = 1600\nfoo = 1'))
    assert refused(recipe) == {"max_train_steps", "foo"}


@pytest.mark.parametrize("content", ["{", "[1, 2]", "x = ", "\udcff", '{"a": ' * 3000, "{" * 2_000_000])
def test_what_is_no_recipe_is_a_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "odd"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(EngineError) as failure:
        load(path)
    assert failure.value.info.code == "recipe_unreadable"


@pytest.mark.parametrize("value", [None, [], {}, "x" * 3000, float("inf"), -5, True, [1, "a"], "1e999"])
def test_no_value_upsets_the_reader(tmp_path: Path, value: object) -> None:
    keys = {*names.PLAIN, *names.NETWORK_ARGS, *names.WHERE, *names.UNBUILT, "resolution", "optimizer", "datasets"}
    keys |= {"lr_warmup", "network_args", "optimizer_args", "sample_prompts", "additional_parameters", "learning_rate"}
    recipe = load(written(tmp_path, "k.json", json.dumps(dict.fromkeys(sorted(keys), value))))
    fields.build(recipe.params)


PARAMS = BakeParams(
    epochs=7, batch_size=3, unet_lr=2e-4, text_encoder_lr=1e-5, lr_scheduler="constant_with_warmup", lr_warmup=0.1,
    optimizer="Prodigy", d_coef=2.0, beta1=0.9, beta2=0.99, network_dim=8, network_alpha=4.0, conv_dim=4,
    conv_alpha=2.0, loraplus_lr_ratio=4.0, rank_dropout=0.1, shuffle_caption=True, keep_tokens=1, noise_offset=0.05,
    min_snr_gamma=0.0, resolution=768, clip_skip=2, max_token_length=225, precision="bf16", masked_loss=True,
    prediction_type="v_prediction", zero_terminal_snr="on", save_precision="fp32", seed=9, flip_aug=True,
    gradient_checkpointing=True, bucket_no_upscale=True, scale_weight_norms=1.0, text_encoder2_lr=2e-6,
)  # fmt: skip


def test_what_is_written_for_sd_scripts_is_read_back(tmp_path: Path) -> None:
    asked = WriteRecipe(out=str(tmp_path / "out.toml"), params=fields.changed(PARAMS), base="b", dataset="d", name="n")
    told = write(asked)
    assert told.left_out == []
    recipe = load(Path(told.path))
    assert refused(recipe) == set()
    assert (recipe.base, recipe.dataset, recipe.name) == ("b", "d", "n")
    again = fields.build(recipe.params)
    chosen = ("repeat", "min_bucket_reso", "max_bucket_reso", "bucket_reso_steps")
    assert {name for name in fields.changed(again, PARAMS) if name not in chosen} == set()
    with pytest.raises(EngineError) as failure:
        write(asked)
    assert failure.value.info.code == "recipe_exists"


def test_presets_of_ones_own_are_saved_shared_and_forgotten(tmp_path: Path) -> None:
    row = own_presets.save(SavePreset(name="mine", preset="anime.sdxl", params={"network_dim": 64}))
    assert (row.own, row.views, row.params["network_dim"], row.params["epochs"]) == (True, 2500, 64, 10)
    assert "repeat" not in row.params, "it goes on following the number of images"
    shared = written(tmp_path, "shared.toml", own_presets.text("mine").text + "# a friend's\n")
    taken = own_presets.take(ImportPreset(path=str(shared), name="theirs"))
    assert taken.row.params == row.params
    assert own_presets.text("theirs").text.endswith("# a friend's\n")
    for name, code in (("mine", "preset_exists"), ("../x", "preset_name"), ("", "preset_name")):
        with pytest.raises(EngineError) as failure:
            own_presets.save(SavePreset(name=name))
        assert failure.value.info.code == code
    own_presets.remove("mine")
    for name, code in (("mine", "preset_unknown"), ("anime.sdxl", "preset_shipped")):
        with pytest.raises(EngineError) as failure:
            own_presets.remove(name)
        assert failure.value.info.code == code
    kohya = own_presets.take(ImportPreset(path=str(written(tmp_path, "k.json", json.dumps(KOHYA_SS)))))
    assert (kohya.row.name, kohya.row.params["optimizer"]) == ("k", "Prodigy")
