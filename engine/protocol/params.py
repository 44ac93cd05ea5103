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


Scheduler = Literal["constant", "linear", "cosine", "cosine_with_restarts"]
Optimizer = Literal["AdamW", "AdamW8bit", "Lion", "Prodigy", "Adafactor"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Sampler = Literal["euler_a", "euler", "dpmpp_2m_karras", "ddim", "unipc"]
TokenLength = Literal[75, 150, 225]


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
    lr_scheduler: Annotated[
        Scheduler,
        _knob(
            "LR scheduler",
            "How the learning rate changes over the bake. cosine falls smoothly to zero and is the safe choice; "
            "cosine_with_restarts jumps back up a few times; linear falls evenly; constant stays.",
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
    lr_warmup: Annotated[
        float,
        _knob(
            "LR warm-up",
            "The learning rate climbs from zero over this part of the bake: below 1 a share of all optimizer steps "
            "(0.05 = 5 %), from 1 on a number of steps. 5 to 10 % protects the first steps from doing harm.",
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
            "The rule by which the weights are updated. AdamW is the well-tried one.",
            "Learning",
            "optimizer_type",
        ),
    ] = "AdamW"
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


UNBUILT: dict[str, frozenset[str]] = {
    "optimizer": frozenset({"AdamW8bit"}),
}
"""Values that are declared for files of other trainers but have no code yet; setting them is refused in words."""
