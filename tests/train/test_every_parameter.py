"""No parameter is without effect: a bake with another value differs where that parameter says it does."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from engine.dataset.chance import caption_rng
from engine.dataset.plan import make_plan
from engine.dataset.render import render_caption
from engine.dataset.scan import scan
from engine.lora import kohya
from engine.protocol import fields
from engine.protocol.control import send
from engine.protocol.events import Event, Phase, Preview, Step, Validation
from engine.runs.folder import RunFolder
from engine.train import order
from engine.train.schedule import factor
from tests.tiny import tiny_dataset
from tests.train.conftest import QUICK, Kitchen, losses
from tests.train.test_loss import LOSS_KNOBS
from tests.train.test_optimizers import OPTIMIZER_KNOBS

SHORT = {"epochs": 1, "repeat": 1, "unet_lr": 0.05, "text_encoder_lr": 0.05}

# Parameters that change the numbers of training, each with a value that must, and what it needs beside it.
TRAINING: dict[str, tuple[Any, dict[str, Any]]] = {
    "seed": (1, {}),
    "unet_lr": (0.01, {}),
    "text_encoder_lr": (0.0, {}),
    "optimizer": ("Lion", {}),
    "weight_decay": (5.0, {}),
    "max_grad_norm": (0.001, {"weight_decay": 0.0, "epochs": 2}),
    "network_dim": (8, {}),
    "network_alpha": (8.0, {}),
    "conv_dim": (4, {}),
    "conv_alpha": (16.0, {"conv_dim": 4}),
    "network_dropout": (0.5, {}),
    "rank_dropout": (0.5, {}),
    "module_dropout": (0.5, {}),
    "scale_weight_norms": (0.01, {}),
    "use_dora": (True, {}),
    "flip_aug": (True, {}),
    "shuffle_caption": (True, {}),
    "max_token_length": (150, {}),
    "clip_skip": (2, {}),
    "resolution": (48, {}),
    "enable_bucket": (False, {"resolution": 64}),
    "precision": ("bf16", {}),
    "validation_split": (0.4, {}),
}
# Those that decide what is trained and when, before any tensor: the steps of the bake, their rates, their captions.
ORDER: dict[str, tuple[Any, dict[str, Any]]] = {
    "repeat": (2, {}),
    "epochs": (2, {}),
    "batch_size": (2, {}),
    "gradient_accumulation": (2, {}),
    "min_bucket_reso": (64, {"resolution": 64}),
    "max_bucket_reso": (32, {}),
    "bucket_reso_steps": (32, {"resolution": 64}),
    "bucket_no_upscale": (True, {"resolution": 128}),
    "lr_scheduler": ("constant", {}),
    "lr_scheduler_cycles": (2, {"lr_scheduler": "cosine_with_restarts"}),
    "lr_scheduler_power": (2.0, {"lr_scheduler": "polynomial"}),
    "lr_scheduler_min_lr_ratio": (0.5, {"lr_scheduler": "cosine_with_min_lr"}),
    "lr_warmup": (0.5, {}),
    "caption_prefix": ("abc,", {}),
    "keep_tokens": (3, {"shuffle_caption": True}),
    "caption_dropout_rate": (1.0, {}),
    "caption_tag_dropout_rate": (0.5, {}),
}
ELSEWHERE = {
    "prior_loss_weight": "test_counting, by the loss of a step",
    **dict.fromkeys(LOSS_KNOBS, "test_loss, by the functions that draw a sample and take its loss"),
    **dict.fromkeys(OPTIMIZER_KNOBS, "test_optimizers, by what the optimizer is made of"),
    "prediction_type": "test_masks_and_measures, and the loss in test_loss",
    "zero_terminal_snr": "test_masks_and_measures, and the loss in test_loss",
    "masked_loss": "test_masks_and_measures",
    "mask_dir": "test_masks_and_measures",
    "validation_dir": "test_masks_and_measures",
    **dict.fromkeys(
        [
            "caption_suffix",
            "enable_wildcard",
            "keep_tokens_separator",
            "caption_dropout_every_n_epochs",
            "token_warmup_step",
            "token_warmup_min",
            "secondary_separator",
        ],
        "tests/dataset/test_render.py, by the function that gives the trainer its captions",
    ),
    "network_weights": "tests/lora/test_start.py, and a bake in test_sdxl",
    "dim_from_weights": "tests/lora/test_start.py",
    "save_precision": "tests/lora/test_lora_file.py, and a bake in test_sdxl",
    "gradient_checkpointing": "the same numbers with less memory, below",
    "save_every_epochs": "test_guards",
    "preview_every_epochs": "below",
    "preview_prompt": "below",
    "preview_negative": "below",
    "preview_sampler": "below",
    "preview_steps": "below",
    "preview_cfg": "below",
}


# What the bakes without the change gave, by their settings: most tests share one.
known: dict[str, Any] = {}


def test_every_parameter_is_covered() -> None:
    assert TRAINING.keys() | ORDER.keys() | ELSEWHERE.keys() == set(fields.fields())


@pytest.mark.parametrize("name", TRAINING)
def test_training_changes(kitchen: Kitchen, tmp_path: Path, name: str) -> None:
    value, beside = TRAINING[name]
    kitchen.dataset = tiny_dataset(tmp_path / "few", images=3)
    # The tiny tokenizer knows letters only, so that this is longer than one window.
    (kitchen.dataset / "0.txt").write_text("abcdefghij" * 5 + ", " + "klmnopqrst" * 5)
    if str(beside) not in known:
        known[str(beside)] = losses(kitchen.bake(kitchen.submit("plain", **SHORT | beside)))
    other = losses(kitchen.bake(kitchen.submit("other", **SHORT | beside | {name: value})))
    assert other != known[str(beside)]
    assert None not in other.values()


def ordered(folder: Path, **params: Any) -> list[Any]:
    """What a bake trains, step by step: its rate, and of each picture its bucket and its caption."""
    asked = fields.build(QUICK, SHORT | params)
    plan = make_plan(scan(folder), None, asked)
    epochs = range(1, asked.epochs + 1)
    steps = [(epoch, batches) for epoch in epochs for batches in order.epoch_steps(plan, asked, epoch)]
    assert len(steps) == plan.optimizer_steps
    return [
        [
            factor(asked, number, plan.optimizer_steps),
            [
                (
                    plan.items[v.item].fit,
                    render_caption(plan.items[v.item].image.caption or "", asked, chance(epoch, v)),
                )
                for batch in batches
                for v in batch
            ],
        ]
        for number, (epoch, batches) in enumerate(steps, 1)
    ]


def chance(epoch: int, view: order.View) -> Random:
    return caption_rng(0, epoch, *view)


@pytest.mark.parametrize("name", ORDER)
def test_what_is_trained_changes(tmp_path: Path, name: str) -> None:
    value, beside = ORDER[name]
    folder = tiny_dataset(tmp_path / "few", images=3)
    assert ordered(folder, **beside | {name: value}) != ordered(folder, **beside)


def drawn(kitchen: Kitchen, name: str, **params: Any) -> list[bytes]:
    """The four previews of the untrained base."""
    settings = SHORT | {"preview_every_epochs": 1, "preview_steps": 3, "preview_prompt": "a cat"} | params
    run = kitchen.submit(name, **settings)

    def stop(run: RunFolder, event: Event) -> None:
        if isinstance(event, Phase) and event.name == "train":
            send(run.control, "stop_now")

    kitchen.bake(run, stop)
    return [Image.open(run.preview_file(0, i)).tobytes() for i in range(1, 5)]


@pytest.mark.parametrize(
    "change",
    [
        {"preview_prompt": "a dog"},
        {"preview_prompt": ""},
        {"preview_negative": "ugly"},
        {"preview_steps": 4},
        {"preview_cfg": 1.0},
        {"seed": 5},
        *({"preview_sampler": name} for name in ("euler", "dpmpp_2m_karras", "ddim", "unipc")),
    ],
    ids=str,
)
def test_previews_change(kitchen: Kitchen, change: dict[str, Any]) -> None:
    if "previews" not in known:
        known["previews"] = drawn(kitchen, "plain")
    plain, other = known["previews"], drawn(kitchen, "other", **change)
    assert len(set(plain)) == 4
    assert all(a != b for a, b in zip(plain, other, strict=True))


def test_previews_follow_the_epochs_they_are_asked_for(kitchen: Kitchen) -> None:
    def epochs(every: int) -> set[int]:
        run = kitchen.submit(f"every{every}", **SHORT | {"epochs": 3, "preview_every_epochs": every})
        return {e.epoch for e in kitchen.bake(run) if isinstance(e, Preview)}

    assert epochs(0) == set()
    assert epochs(2) == {0, 2, 3}


def test_previews_show_the_training(kitchen: Kitchen) -> None:
    run = kitchen.submit("run", **SHORT | {"preview_every_epochs": 1, "epochs": 2})
    events = [e for e in kitchen.bake(run) if isinstance(e, Preview)]
    assert [(e.epoch, e.index) for e in events] == [(e, i) for e in range(3) for i in range(1, 5)]
    seeds = {e.index: e.seed for e in events}
    assert all(e.seed == seeds[e.index] for e in events), "the same seed in every epoch"
    pictures = [[Image.open(run.preview_file(e, i)).tobytes() for e in range(3)] for i in range(1, 5)]
    assert all(len(set(row)) == 3 for row in pictures)


def test_checkpointing_changes_no_number(kitchen: Kitchen) -> None:
    plain = losses(kitchen.bake(kitchen.submit("plain", **SHORT)))
    saved = losses(kitchen.bake(kitchen.submit("saved", **SHORT | {"gradient_checkpointing": True})))
    assert saved == pytest.approx(plain, rel=1e-5)


def test_a_frozen_text_encoder_keeps_shuffle_and_dropout(kitchen: Kitchen) -> None:
    frozen = SHORT | {"text_encoder_lr": 0.0}
    plain = losses(kitchen.bake(kitchen.submit("plain", **frozen)))
    mixed = losses(kitchen.bake(kitchen.submit("mixed", **frozen | {"shuffle_caption": True, "keep_tokens": 1})))
    assert plain != mixed


def test_own_repeats_win(kitchen: Kitchen) -> None:
    tiny_dataset(kitchen.dataset / "3_more", images=1, seed=9)
    events = kitchen.bake(kitchen.submit("run", **SHORT))
    assert sum(e.images for e in events if isinstance(e, Step)) == 5 + 3


def test_validation_is_the_same_measure_every_epoch(kitchen: Kitchen) -> None:
    """With learning rates that change nothing visible, the held-out loss must not move by itself."""
    quiet = QUICK | {"unet_lr": 1e-12, "text_encoder_lr": 0.0, "validation_split": 0.4, "epochs": 2}
    values = [e.loss for e in kitchen.bake(kitchen.submit("run", **quiet)) if isinstance(e, Validation)]
    assert len(values) == 3, "the untrained base too"
    assert values[1] == pytest.approx(values[0], rel=1e-5)
    assert values[2] == pytest.approx(values[0], rel=1e-5)


def lora(run: RunFolder) -> kohya.LoraFile:
    return kohya.read(run.lora_file(1, "tiny"))


def test_only_what_has_a_learning_rate_is_in_the_file(kitchen: Kitchen) -> None:
    unet, text = (
        kitchen.submit("unet", **SHORT | {"text_encoder_lr": 0}),
        kitchen.submit("text", **SHORT | {"unet_lr": 0}),
    )
    for run, prefix in ((unet, "lora_unet_"), (text, "lora_te_")):
        kitchen.bake(run)
        names = lora(run).tensors
        assert names
        assert all(name.startswith(prefix) for name in names)
        assert any(tensor.any() for name, tensor in names.items() if name.endswith("up.weight"))


def test_the_text_encoder_has_its_own_rate(kitchen: Kitchen) -> None:
    events = kitchen.bake(kitchen.submit("run", **SHORT | {"unet_lr": 1e-3, "text_encoder_lr": 2e-4, "lr_warmup": 0}))
    first = next(e for e in events if isinstance(e, Step))
    assert first.lr == {"unet": 1e-3, "text_encoder": 2e-4}
