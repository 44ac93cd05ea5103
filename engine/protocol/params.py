"""`BakeParams`: every knob of a bake, declared once with type, range, default, title, help, group and kohya name.

Form, `--set`, TOML, validation, estimate and metadata derive from it through `fields`; presets only set values.
The file is long because each knob carries its help text: it is one table, to be searched rather than read.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta


def _knob(
    title: str,
    help: str,
    group: str,
    kohya: str,
    *,
    level: str = "pro",
    unit: str = "",
    families: tuple[str, ...] = ("sd15", "sdxl"),
    **bounds: Any,
) -> Meta:
    extra = {"group": group, "kohya": kohya, "level": level, "unit": unit, "families": families}
    return Meta(title=title, description=help, extra=extra, **bounds)


Scheduler = Literal[
    "constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial", "cosine_with_min_lr"
]
Optimizer = Literal["AdamW", "AdamW8bit", "Lion", "Prodigy", "Adafactor"]
LossType = Literal["l2", "l1", "huber", "smooth_l1"]
HuberSchedule = Literal["snr", "exponential", "constant"]
PredictionType = Literal["auto", "epsilon", "v_prediction"]
Switch = Literal["auto", "on", "off"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Sampler = Literal["euler_a", "euler", "dpmpp_2m_karras", "ddim", "unipc"]
TokenLength = Literal[75, 150, 225]
SavePrecision = Literal["fp16", "bf16", "fp32"]


class BakeParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All parameters of a bake, complete and immutable; a preset or a form makes a changed copy."""

    # -- length -----------------------------------------------------------------------------------------------
    repeat: Annotated[
        int,
        _knob(
            "Repeats per image",
            "How many times each image is learned per epoch. Applies only to images without a repeat of their own. "
            "Too high: the character is overfitted and every picture looks the same. Too low: no likeness.",
            "Length",
            "num_repeats",
            level="basic",
            ge=1,
            le=5000,
        ),
    ] = 10
    epochs: Annotated[
        int,
        _knob(
            "Epochs",
            "How many rounds the bake takes; in one epoch every image has done its repeats. Each epoch is saved "
            "with its own previews, so a generous number costs time but lets you choose.",
            "Length",
            "max_train_epochs",
            level="basic",
            ge=1,
            le=1000,
        ),
    ] = 10
    batch_size: Annotated[
        int,
        _knob(
            "Batch size",
            "Images per optimizer step. Larger is faster per image and smoother, needs more memory, and takes fewer "
            "steps: raise the U-Net learning rate about in proportion. Too high: out of memory.",
            "Length",
            "train_batch_size",
            unit="images",
            ge=1,
            le=256,
        ),
    ] = 1
    gradient_accumulation: Annotated[
        int,
        _knob(
            "Gradient accumulation",
            "Batches summed up before one optimizer step: the effect of a larger batch without its memory, and "
            "without its speed.",
            "Length",
            "gradient_accumulation_steps",
            unit="batches",
            ge=1,
            le=256,
        ),
    ] = 1
    seed: Annotated[
        int,
        _knob(
            "Seed",
            "The number all randomness starts from. Any will do; the same seed and settings give the same bake. "
            "Previews use it too, so that epochs can be compared.",
            "Length",
            "seed",
            ge=0,
            le=2**32 - 1,
        ),
    ] = 42
    # -- learning ---------------------------------------------------------------------------------------------
    unet_lr: Annotated[
        float,
        _knob(
            "U-Net learning rate",
            "How fast and how deep the model learns. Too high: overfitting, distorted faces, patches of colour. Too "
            "low: details are not reproduced and there is no likeness; raise it. 0 leaves the U-Net untouched.",
            "Learning",
            "unet_lr",
            ge=0,
            le=10,
        ),
    ] = 1e-4
    text_encoder_lr: Annotated[
        float,
        _knob(
            "Text-encoder learning rate",
            "How sensitive the model becomes to tags; usually a half to a tenth of the U-Net's. Superfluous objects "
            "in pictures: lower it. Content appears only with heavy prompt weights: raise it. 0 leaves it untouched.",
            "Learning",
            "text_encoder_lr",
            ge=0,
            le=10,
        ),
    ] = 5e-5
    text_encoder2_lr: Annotated[
        float,
        _knob(
            "Second text encoder's learning rate",
            "A rate of its own for the second, larger text encoder of SDXL, usually not above the first's. -1 takes "
            "the text-encoder learning rate; 0 leaves it untouched.",
            "Learning",
            "text_encoder_lr[1]",
            families=("sdxl",),
            ge=-1,
            le=10,
        ),
    ] = -1.0
    lr_scheduler: Annotated[
        Scheduler,
        _knob(
            "LR scheduler",
            "How the learning rate changes over the bake. cosine falls smoothly to zero and is the safe choice; "
            "cosine_with_min_lr stops above zero; cosine_with_restarts jumps back up a few times; linear falls evenly, "
            "polynomial by a power; constant stays from the first step on, constant_with_warmup after its warm-up.",
            "Learning",
            "lr_scheduler",
        ),
    ] = "cosine"
    lr_scheduler_cycles: Annotated[
        int,
        _knob(
            "Restarts",
            "How many times cosine_with_restarts starts over. 1 to 4; more leaves too little time for each.",
            "Learning",
            "lr_scheduler_num_cycles",
            unit="cycles",
            ge=1,
            le=100,
        ),
    ] = 3
    lr_scheduler_power: Annotated[
        float,
        _knob(
            "Polynomial power",
            "How steeply the rate falls with lr_scheduler = polynomial: 1 falls evenly, 2 early, 0.5 late. 0.5 to 3.",
            "Learning",
            "lr_scheduler_power",
            gt=0,
            le=20,
        ),
    ] = 1.0
    lr_scheduler_min_lr_ratio: Annotated[
        float,
        _knob(
            "Lowest rate",
            "Where cosine_with_min_lr ends, as a share of the learning rate: 0.01 to 0.2. Too high: the last epochs "
            "stay unsteady; 0 is plain cosine.",
            "Learning",
            "lr_scheduler_min_lr_ratio",
            ge=0,
            le=1,
        ),
    ] = 0.1
    lr_warmup: Annotated[
        float,
        _knob(
            "LR warm-up",
            "The learning rate climbs from zero over this part of the bake: below 1 a share of all optimizer steps "
            "(0.05 = 5 %), from 1 on a number of steps. 5 to 10 % protects the first steps from doing harm. No effect "
            "with lr_scheduler = constant.",
            "Learning",
            "lr_warmup_steps",
            unit="share or steps",
            ge=0,
            le=100_000,
        ),
    ] = 0.05
    optimizer: Annotated[
        Optimizer,
        _knob(
            "Optimizer",
            "The rule by which the weights are updated. AdamW is the well-tried one; AdamW8bit keeps its memory in 8 "
            "bits and needs bitsandbytes; Lion wants a third to a tenth of AdamW's rate; Prodigy finds the "
            "rate itself and wants rates of 1; Adafactor needs least memory.",
            "Learning",
            "optimizer_type",
        ),
    ] = "AdamW"
    beta1: Annotated[
        float,
        _knob(
            "Momentum (beta 1)",
            "How long the direction of a step is remembered. 0 takes the optimizer's own: 0.9 for AdamW, Lion and "
            "Prodigy, none for Adafactor. 0.9 to 0.95; too high: it overshoots.",
            "Learning",
            "optimizer_args betas[0]",
            ge=0,
            lt=1,
        ),
    ] = 0.0
    beta2: Annotated[
        float,
        _knob(
            "Second momentum (beta 2)",
            "How long the size of gradients is remembered (for Lion: their direction). 0 takes the optimizer's own: "
            "0.999, for Lion 0.99. 0.99 suits short bakes; too low: steps become uneven.",
            "Learning",
            "optimizer_args betas[1]",
            ge=0,
            lt=1,
        ),
    ] = 0.0
    optimizer_eps: Annotated[
        float,
        _knob(
            "Epsilon",
            "Keeps divisions by tiny gradients in bounds. 0 takes the optimizer's own: 1e-8, for Adafactor 1e-30. "
            "Raise it to 1e-6 where half precision makes steps jump; too high: learning slows down.",
            "Learning",
            "optimizer_args eps",
            ge=0,
            le=1,
        ),
    ] = 0.0
    d_coef: Annotated[
        float,
        _knob(
            "Prodigy: rate factor",
            "Multiplies the rate that Prodigy finds. 0.5 to 2; too high: overfitting, as with any rate; too low: no "
            "likeness.",
            "Learning",
            "optimizer_args d_coef",
            gt=0,
            le=100,
        ),
    ] = 1.0
    d0: Annotated[
        float,
        _knob(
            "Prodigy: first guess",
            "The distance that Prodigy starts from, which it only ever raises. 1e-6 to 1e-4; larger gets going "
            "sooner, too large cannot be taken back.",
            "Learning",
            "optimizer_args d0",
            gt=0,
            le=1,
        ),
    ] = 1e-06
    weight_decay: Annotated[
        float,
        _knob(
            "Weight decay",
            "Pulls the LoRA's weights towards zero at each step, a mild brake on overfitting. 0 to 0.1.",
            "Learning",
            "optimizer_args weight_decay",
            ge=0,
            le=10,
        ),
    ] = 0.01
    max_grad_norm: Annotated[
        float,
        _knob(
            "Gradient clipping",
            "Longer gradients are scaled down to this norm, so that one odd image cannot upset the bake. 0 turns it "
            "off.",
            "Learning",
            "max_grad_norm",
            ge=0,
            le=1000,
        ),
    ] = 1.0
    loraplus_lr_ratio: Annotated[
        float,
        _knob(
            "LoRA+ ratio",
            "The second matrix of each LoRA layer (up) learns this many times faster than the first (LoRA+). 4 to "
            "16, with a lower learning rate; too high: as any rate that is too high. 0 turns it off.",
            "Learning",
            "network_args loraplus_lr_ratio",
            ge=0,
            le=1000,
        ),
    ] = 0.0
    loraplus_unet_lr_ratio: Annotated[
        float,
        _knob(
            "LoRA+ ratio of the U-Net",
            "The LoRA+ ratio for the U-Net alone; 0 takes the common one.",
            "Learning",
            "network_args loraplus_unet_lr_ratio",
            ge=0,
            le=1000,
        ),
    ] = 0.0
    loraplus_text_encoder_lr_ratio: Annotated[
        float,
        _knob(
            "LoRA+ ratio of the text encoder",
            "The LoRA+ ratio for the text encoders alone; 0 takes the common one.",
            "Learning",
            "network_args loraplus_text_encoder_lr_ratio",
            ge=0,
            le=1000,
        ),
    ] = 0.0
    # -- network ----------------------------------------------------------------------------------------------
    network_dim: Annotated[
        int,
        _knob(
            "Network dim (rank)",
            "The dimension of the LoRA. Larger is more expressive and makes a larger file; larger is not better: one "
            "character never needs 128. 8 to 32 suits most.",
            "Network",
            "network_dim",
            ge=1,
            le=1024,
        ),
    ] = 16
    network_alpha: Annotated[
        float,
        _knob(
            "Network alpha",
            "Weights count alpha/dim during training. A smaller alpha makes the stored weights larger and the "
            "learning gentler, so it wants a higher learning rate. Half of dim is usual; 0 means equal to dim.",
            "Network",
            "network_alpha",
            ge=0,
            le=1024,
        ),
    ] = 8.0
    conv_dim: Annotated[
        int,
        _knob(
            "Conv dim",
            "Above 0 the 3×3 convolutions are trained too (LoCon): good for styles and textures, a larger file. 4 to "
            "16; 0 turns it off.",
            "Network",
            "conv_dim",
            ge=0,
            le=1024,
        ),
    ] = 0
    conv_alpha: Annotated[
        float,
        _knob(
            "Conv alpha",
            "Alpha of the convolution layers, as network alpha for the others. No effect while conv dim is 0.",
            "Network",
            "conv_alpha",
            ge=0,
            le=1024,
        ),
    ] = 1.0
    network_dropout: Annotated[
        float,
        _knob(
            "Network dropout",
            "Share of the LoRA's inner values set to zero at random in each step, against overfitting. 0 to 0.3.",
            "Network",
            "network_dropout",
            ge=0,
            lt=1,
        ),
    ] = 0.0
    rank_dropout: Annotated[
        float,
        _knob(
            "Rank dropout",
            "Share of the LoRA's ranks switched off at random for each picture, the others turned up to make good. "
            "Stronger against overfitting than network dropout. 0 to 0.3; too high: the likeness comes slowly.",
            "Network",
            "network_args rank_dropout",
            ge=0,
            lt=1,
        ),
    ] = 0.0
    module_dropout: Annotated[
        float,
        _knob(
            "Module dropout",
            "Chance of each adapted layer to be left out of a batch, so that no layer carries everything. 0 to 0.3; "
            "too high: learning is weak.",
            "Network",
            "network_args module_dropout",
            ge=0,
            lt=1,
        ),
    ] = 0.0
    scale_weight_norms: Annotated[
        float,
        _knob(
            "Weight-norm limit",
            "After each step, layers whose change of the model has grown longer than this are scaled back to it. "
            "Keeps LoRAs mixable and tames overfitting. 1 is usual; too low: nothing is learned; 0 turns it off.",
            "Network",
            "scale_weight_norms",
            ge=0,
            le=1000,
        ),
    ] = 0.0
    use_dora: Annotated[
        bool,
        _knob(
            "DoRA",
            "Also learns how strongly each input of a layer counts (DoRA), apart from the direction. Often better "
            "likeness at small dims; steps take longer. ComfyUI and A1111 read the file; diffusers drops that part.",
            "Network",
            "network_args dora_wd",
        ),
    ] = False
    network_weights: Annotated[
        str,
        _knob(
            "Start from a LoRA",
            "A LoRA file to go on from instead of starting at nothing: its weights, a fresh optimizer. For a second "
            "round on more images, with about a third of the learning rates; too high: what it knew is overwritten. "
            "Empty starts anew.",
            "Network",
            "network_weights",
            unit="file",
            max_length=4000,
        ),
    ] = ""
    dim_from_weights: Annotated[
        bool,
        _knob(
            "Dims from that LoRA",
            "Take rank, alpha and the set of layers from the file named above instead of from the settings here, layer "
            "by layer. Off: a file of another rank is refused.",
            "Network",
            "dim_from_weights",
        ),
    ] = False
    # -- captions ---------------------------------------------------------------------------------------------
    caption_prefix: Annotated[
        str,
        _knob(
            "Caption prefix",
            "Put in front of every caption in training, with a space between; a trigger word and a comma, for "
            "example. The caption files stay as they are.",
            "Captions",
            "caption_prefix",
            max_length=500,
        ),
    ] = ""
    caption_suffix: Annotated[
        str,
        _knob(
            "Caption suffix",
            "Put behind every caption in training, with a space between.",
            "Captions",
            "caption_suffix",
            max_length=500,
        ),
    ] = ""
    enable_wildcard: Annotated[
        bool,
        _knob(
            "Wildcards",
            "Of a caption with several lines a random one trains, and {red|blue} stands for one of its choices, anew "
            "each time an image is seen; {{ and }} are plain braces. Off: the first line trains as it is.",
            "Captions",
            "enable_wildcard",
        ),
    ] = False
    shuffle_caption: Annotated[
        bool,
        _knob(
            "Shuffle tags",
            "Tags at the front weigh more. A new random order each time an image is seen removes that bias. For tag "
            "captions, not for sentences.",
            "Captions",
            "shuffle_caption",
        ),
    ] = False
    keep_tokens: Annotated[
        int,
        _knob(
            "Keep tokens",
            "The first N tags stay at the front when tags are shuffled or dropped; 1 protects a trigger word. A tag is "
            "what stands between commas: in “black cat, eating” the first is “black cat”.",
            "Captions",
            "keep_tokens",
            unit="tags",
            ge=0,
            le=100,
        ),
    ] = 0
    keep_tokens_separator: Annotated[
        str,
        _knob(
            "Keep separator",
            "A mark in the captions, ||| for example: what stands before it is kept in front when tags are shuffled "
            "or dropped, and what stands behind a second one is kept at the end. Takes the place of keep_tokens where"
            " a caption has it. The mark itself never trains.",
            "Captions",
            "keep_tokens_separator",
            max_length=20,
        ),
    ] = ""
    caption_dropout_rate: Annotated[
        float,
        _knob(
            "Caption dropout",
            "Share of the images trained with an empty caption, so that the LoRA also works without words. 0 to 0.1; "
            "too high: prompts are obeyed less.",
            "Captions",
            "caption_dropout_rate",
            ge=0,
            le=1,
        ),
    ] = 0.0
    caption_dropout_every_n_epochs: Annotated[
        int,
        _knob(
            "Captionless epochs",
            "Every so many epochs, all images train without their captions. 0 turns it off; 1 would never use a "
            "caption.",
            "Captions",
            "caption_dropout_every_n_epochs",
            unit="epochs",
            ge=0,
            le=1000,
        ),
    ] = 0
    caption_tag_dropout_rate: Annotated[
        float,
        _knob(
            "Tag dropout",
            "Chance of each tag (beyond the kept ones) to be left out. Helps styles (0.1 to 0.3); hurts likeness of "
            "people.",
            "Captions",
            "caption_tag_dropout_rate",
            ge=0,
            le=1,
        ),
    ] = 0.0
    token_warmup_step: Annotated[
        float,
        _knob(
            "Tag warm-up",
            "Captions begin with few tags and have all of theirs after this part of the bake: below 1 a share of all "
            "optimizer steps, from 1 on a number of steps. 0 turns it off.",
            "Captions",
            "token_warmup_step",
            unit="share or steps",
            ge=0,
            le=100000,
        ),
    ] = 0.0
    token_warmup_min: Annotated[
        int,
        _knob(
            "Tags at the start",
            "With how many tags, beside the kept ones, a tag warm-up begins. No effect without it.",
            "Captions",
            "token_warmup_min",
            unit="tags",
            ge=0,
            le=100,
        ),
    ] = 1
    secondary_separator: Annotated[
        str,
        _knob(
            "Secondary separator",
            "A mark that becomes a comma at the very end, ;;; for example: tags joined by it are shuffled and dropped"
            " as one.",
            "Captions",
            "secondary_separator",
            max_length=20,
        ),
    ] = ""
    max_token_length: Annotated[
        TokenLength,
        _knob(
            "Max token length",
            "How many tokens of a caption are read; what is longer is cut off. 75 is one CLIP window, 150 and 225 are "
            "two and three.",
            "Captions",
            "max_token_length",
            unit="tokens",
        ),
    ] = 75
    clip_skip: Annotated[
        int,
        _knob(
            "Clip skip",
            "Which layer of the text encoder speaks, counted from the end: 2 for anime models of the NAI line, 1 for "
            "photographic ones. It must match how you will draw. SDXL has no such choice.",
            "Captions",
            "clip_skip",
            families=("sd15",),
            ge=1,
            le=12,
        ),
    ] = 1
    # -- noise and loss ---------------------------------------------------------------------------------------
    noise_offset: Annotated[
        float,
        _knob(
            "Noise offset",
            "Shifts the noise of whole channels, so that very dark and very bright pictures become possible. 0.03 to "
            "0.1; above 0.2 colours go wrong. It slows learning a little.",
            "Noise and loss",
            "noise_offset",
            ge=0,
            le=1,
        ),
    ] = 0.0
    noise_offset_random_strength: Annotated[
        bool,
        _knob(
            "Random noise offset",
            "Every picture gets a noise offset of random strength, between nothing and the one set. Gentler than "
            "the full offset everywhere.",
            "Noise and loss",
            "noise_offset_random_strength",
        ),
    ] = False
    adaptive_noise_scale: Annotated[
        float,
        _knob(
            "Adaptive noise scale",
            "Adds this many times the mean of a latent's channel to the noise offset, so that very dark, bright or "
            "tinted pictures get more of it; below 0 they get less. About as large as the offset itself.",
            "Noise and loss",
            "adaptive_noise_scale",
            ge=-10,
            le=10,
        ),
    ] = 0.0
    multires_noise_iterations: Annotated[
        int,
        _knob(
            "Multires noise iterations",
            "How many coarser layers of noise are added, with an effect like noise offset on all scales. 6 to 8; 0 "
            "turns it off. Not together with noise offset.",
            "Noise and loss",
            "multires_noise_iterations",
            ge=0,
            le=64,
        ),
    ] = 0
    multires_noise_discount: Annotated[
        float,
        _knob(
            "Multires noise discount",
            "How much weaker each coarser layer is: 0.3 (gentle) to 0.8 (strong). No effect while iterations are 0.",
            "Noise and loss",
            "multires_noise_discount",
            ge=0,
            le=1,
        ),
    ] = 0.3
    ip_noise_gamma: Annotated[
        float,
        _knob(
            "Input perturbation",
            "Noise of this strength is added to what the model sees but not to what it shall answer, which makes it "
            "robust against its own errors. 0.05 to 0.1; too high: soft pictures. 0 turns it off.",
            "Noise and loss",
            "ip_noise_gamma",
            ge=0,
            le=1,
        ),
    ] = 0.0
    ip_noise_gamma_random_strength: Annotated[
        bool,
        _knob(
            "Random input perturbation",
            "Every picture gets an input perturbation of random strength, between nothing and the one set.",
            "Noise and loss",
            "ip_noise_gamma_random_strength",
        ),
    ] = False
    min_timestep: Annotated[
        int,
        _knob(
            "First timestep",
            "Training leaves out timesteps below this one. Low timesteps are fine detail: raise it to train "
            "composition alone. 0 leaves none out.",
            "Noise and loss",
            "min_timestep",
            ge=0,
            le=999,
        ),
    ] = 0
    max_timestep: Annotated[
        int,
        _knob(
            "Timesteps end before",
            "Training leaves out timesteps from this one on. High timesteps are composition: lower it to train "
            "detail alone, 300 to 700. 1000 leaves none out.",
            "Noise and loss",
            "max_timestep",
            ge=1,
            le=1000,
        ),
    ] = 1000
    min_snr_gamma: Annotated[
        float,
        _knob(
            "Min-SNR gamma",
            "Keeps easy, almost noiseless steps from outweighing the rest, which makes learning steadier. 5 is usual, "
            "lower is stronger; 0 turns it off.",
            "Noise and loss",
            "min_snr_gamma",
            ge=0,
            le=100,
        ),
    ] = 5.0
    debiased_estimation: Annotated[
        bool,
        _knob(
            "Debiased estimation",
            "Lets noisy timesteps count more, by 1/√SNR, so that errors of the finished picture weigh more evenly "
            "at every noise level; in place of min-SNR. Colours and composition come sooner; detail can suffer.",
            "Noise and loss",
            "debiased_estimation_loss",
        ),
    ] = False
    scale_v_pred_loss: Annotated[
        bool,
        _knob(
            "V loss as noise loss",
            "Weights the loss of a v-prediction model as if it predicted noise, as recipes of NoobAI and the like "
            "want. No effect on other models.",
            "Noise and loss",
            "scale_v_pred_loss_like_noise_pred",
        ),
    ] = False
    v_pred_like_loss: Annotated[
        float,
        _knob(
            "Added v loss",
            "Adds this share of the loss that a v-prediction model would have, which stresses composition. 0.1 to "
            "1; 0 turns it off. No effect on v-prediction models.",
            "Noise and loss",
            "v_pred_like_loss",
            ge=0,
            le=10,
        ),
    ] = 0.0
    loss_type: Annotated[
        LossType,
        _knob(
            "Loss function",
            "How a wrong answer counts: l2 by its square, the well-tried one; huber and smooth_l1 by its square "
            "while small and by its size beyond, so that bad pictures in the dataset do less harm; l1 by its size.",
            "Noise and loss",
            "loss_type",
        ),
    ] = "l2"
    huber_schedule: Annotated[
        HuberSchedule,
        _knob(
            "Huber schedule",
            "How the threshold of huber and smooth_l1 depends on the noise level: snr and exponential are strict on "
            "detail and lenient on composition; constant is the same everywhere.",
            "Noise and loss",
            "huber_schedule",
        ),
    ] = "snr"
    huber_c: Annotated[
        float,
        _knob(
            "Huber threshold",
            "Errors above this count by their size only; with a schedule, at the noisiest timestep. 0.05 to 0.5; "
            "too low: learning gets slow, too high: no different from l2.",
            "Noise and loss",
            "huber_c",
            gt=0,
            le=1,
        ),
    ] = 0.1
    huber_scale: Annotated[
        float,
        _knob(
            "Huber scale",
            "Multiplies the threshold at every timestep. 0.5 to 2.",
            "Noise and loss",
            "huber_scale",
            gt=0,
            le=100,
        ),
    ] = 1.0
    prior_loss_weight: Annotated[
        float,
        _knob(
            "Regularisation weight",
            "How much the regularisation images count beside the training images. No effect without a regularisation "
            "set.",
            "Noise and loss",
            "prior_loss_weight",
            ge=0,
            le=10,
        ),
    ] = 1.0
    masked_loss: Annotated[
        bool,
        _knob(
            "Masked loss",
            "Only the marked part of each picture is learned: white in its mask, or what is not transparent. For "
            "subjects cut out of a busy background. Pictures without mask or transparency train whole.",
            "Noise and loss",
            "masked_loss",
        ),
    ] = False
    mask_dir: Annotated[
        str,
        _knob(
            "Mask folder",
            "Masks for masked loss: greyscale pictures named as those of the dataset, in the same subfolders, white "
            "where something is to be learned. Empty: transparency is the mask.",
            "Noise and loss",
            "conditioning_data_dir",
            max_length=1000,
        ),
    ] = ""
    prediction_type: Annotated[
        PredictionType,
        _knob(
            "Prediction type",
            "What the base model was trained to answer: the noise (epsilon) or v. auto believes the model; set it "
            "for a single file that does not say so. Wrong: noise instead of pictures.",
            "Noise and loss",
            "v_parameterization",
        ),
    ] = "auto"
    zero_terminal_snr: Annotated[
        Switch,
        _knob(
            "Zero terminal SNR",
            "Whether the last timestep is pure noise, as v-prediction models made for true black and white want it. "
            "auto believes the model. Wrong: flat or grey pictures.",
            "Noise and loss",
            "zero_terminal_snr",
        ),
    ] = "auto"
    kohya_compat: Annotated[
        bool,
        _knob(
            "As kohya does it",
            "Reproduces published recipes where kohya's trainer differs: masked loss is not divided by the mask's "
            "area; loss weights follow the noise schedule before its zero-SNR correction, SNR at most 1000; "
            "debiased estimation of v-prediction is 1/(SNR+1); the snr schedule ignores Huber scale; each batch of "
            "an accumulated step counts the same, however full; buckets are chosen by linear aspect ratio; SDXL "
            "hears kohya's crop offsets; captions of mirrored pictures keep left and right.",
            "Noise and loss",
            "sd-scripts",
        ),
    ] = False
    # -- pictures ---------------------------------------------------------------------------------------------
    resolution: Annotated[
        int,
        _knob(
            "Resolution",
            "Side of the square whose area every training picture gets: 512 for SD 1.5, 1024 for SDXL. Higher needs "
            "more memory and time; far below the base's own size the pictures fall apart.",
            "Pictures",
            "resolution",
            level="basic",
            unit="px",
            ge=32,
            le=4096,
            multiple_of=8,
        ),
    ] = 512
    enable_bucket: Annotated[
        bool,
        _knob(
            "Aspect-ratio buckets",
            "Pictures keep about their own shape instead of being cropped to a square. Each batch holds one shape.",
            "Pictures",
            "enable_bucket",
        ),
    ] = True
    min_bucket_reso: Annotated[
        int,
        _knob(
            "Shortest bucket side",
            "No bucket is narrower than this. 0 chooses half of the resolution.",
            "Pictures",
            "min_bucket_reso",
            unit="px",
            ge=0,
            le=4096,
        ),
    ] = 0
    max_bucket_reso: Annotated[
        int,
        _knob(
            "Longest bucket side",
            "No bucket is longer than this. 0 chooses twice the resolution.",
            "Pictures",
            "max_bucket_reso",
            unit="px",
            ge=0,
            le=8192,
        ),
    ] = 0
    bucket_reso_steps: Annotated[
        int,
        _knob(
            "Bucket step",
            "Sides of buckets are multiples of this. 0 chooses an eighth of the resolution, at most 64.",
            "Pictures",
            "bucket_reso_steps",
            unit="px",
            ge=0,
            le=256,
            multiple_of=8,
        ),
    ] = 0
    bucket_no_upscale: Annotated[
        bool,
        _knob(
            "Never enlarge",
            "Small pictures get a small bucket instead of being enlarged, which would blur them.",
            "Pictures",
            "bucket_no_upscale",
        ),
    ] = False
    flip_aug: Annotated[
        bool,
        _knob(
            "Mirror at random",
            "Each time an image is seen it is mirrored with a chance of one half, which makes few pictures go "
            "further. Not for what is not the same on both sides: a scar, a parting, writing. Single images can be "
            "told otherwise.",
            "Pictures",
            "flip_aug",
        ),
    ] = False
    # -- machine ----------------------------------------------------------------------------------------------
    precision: Annotated[
        Precision,
        _knob(
            "Precision",
            "Number format of the frozen weights and of the computing; the LoRA itself stays in fp32. auto takes bf16 "
            "on a GPU that has it and fp32 on a processor.",
            "Machine",
            "mixed_precision",
        ),
    ] = "auto"
    gradient_checkpointing: Annotated[
        bool,
        _knob(
            "Gradient checkpointing",
            "Computes parts twice to save much memory; steps take about 40 % longer.",
            "Machine",
            "gradient_checkpointing",
        ),
    ] = False
    # -- saving and previews ----------------------------------------------------------------------------------
    save_precision: Annotated[
        SavePrecision,
        _knob(
            "Save precision",
            "Number format of the LoRA file. fp16 is what all programs read and loses nothing visible; bf16 is as "
            "small and coarser; fp32 is twice as large and exact.",
            "Saving and previews",
            "save_precision",
        ),
    ] = "fp16"
    save_every_epochs: Annotated[
        int,
        _knob(
            "Save every",
            "An epoch's LoRA file is kept every so many epochs; the last one always.",
            "Saving and previews",
            "save_every_n_epochs",
            unit="epochs",
            ge=1,
            le=1000,
        ),
    ] = 1
    preview_every_epochs: Annotated[
        int,
        _knob(
            "Preview every",
            "Previews are drawn every so many epochs, and before training as a baseline. 0 draws none.",
            "Saving and previews",
            "sample_every_n_epochs",
            unit="epochs",
            ge=0,
            le=1000,
        ),
    ] = 1
    preview_prompt: Annotated[
        str,
        _knob(
            "Preview prompt",
            "What the previews of each epoch show. It affects neither training nor quality. Empty: the captions of "
            "your own images are used.",
            "Saving and previews",
            "sample_prompts",
            level="basic",
            max_length=2000,
        ),
    ] = ""
    preview_negative: Annotated[
        str,
        _knob(
            "Preview negative prompt",
            "What the previews should not show.",
            "Saving and previews",
            "sample_prompts --n",
            max_length=2000,
        ),
    ] = ""
    preview_sampler: Annotated[
        Sampler,
        _knob(
            "Preview sampler",
            "How the previews are drawn. Affects only the previews.",
            "Saving and previews",
            "sample_sampler",
        ),
    ] = "euler_a"
    preview_steps: Annotated[
        int,
        _knob(
            "Preview steps",
            "Denoising steps of a preview: 20 to 30.",
            "Saving and previews",
            "sample_prompts --s",
            unit="steps",
            ge=1,
            le=200,
        ),
    ] = 20
    preview_cfg: Annotated[
        float,
        _knob(
            "Preview guidance",
            "How literally previews follow the prompt (CFG scale): 5 to 8.",
            "Saving and previews",
            "sample_prompts --l",
            ge=1,
            le=30,
        ),
    ] = 7.0
    validation_split: Annotated[
        float,
        _knob(
            "Validation share",
            "This share of the images is held out and only measured with, each epoch, with fixed noise: a rising "
            "value hints at overfitting. 0 turns it off.",
            "Saving and previews",
            "validation_split",
            ge=0,
            le=0.5,
        ),
    ] = 0.0
    validation_dir: Annotated[
        str,
        _knob(
            "Validation folder",
            "Pictures with captions that are never trained, only measured with after each epoch, beside the "
            "validation share. 5 to 20 of the same subject tell most. Empty: none.",
            "Saving and previews",
            "validation_data_dir",
            max_length=1000,
        ),
    ] = ""

    @property
    def text_encoder_lrs(self) -> tuple[float, float]:
        """The learning rates of the text encoders in their order; the second is SDXL's."""
        second = self.text_encoder_lr if self.text_encoder2_lr < 0 else self.text_encoder2_lr
        return self.text_encoder_lr, second
