"""What `lora.info` answers: a LoRA file in facts a person asks for. Only shapes live here; reading is the engine's."""

from __future__ import annotations

import msgspec

from engine.protocol.errors import ErrorInfo


class LoraPart(msgspec.Struct, frozen=True, kw_only=True):
    """The layers of one part (`unet`, `te`, `te1`, `te2`); `convolutions` are those of larger kernels.

    `ranks` and `alphas` with the commonest first; `alpha` None in the list means that the file does not say.
    """

    part: str
    modules: int
    ranks: list[int] = []
    alphas: list[float | None] = []
    convolutions: int = 0
    conv_ranks: list[int] = []
    conv_alphas: list[float | None] = []


class LoraFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder it was trained on, as its metadata says."""

    name: str
    images: int
    repeats: int


class LoraInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A LoRA file. What its metadata tells is as its maker wrote it, shortened; "" and 0 where it does not say.

    `kind` is LoRA, LoCon, DoRA, LoHa, LoKr …; `dialect` kohya or diffusers; `family` sd15, sdxl, a foreign name or
    ""; `parameters` the numbers in it. `hash` is the sha256 of its tensors and `hash_state` ok | differs | none by
    what the metadata says. `problems` are what readers will stumble over.
    """

    path: str
    bytes: int
    kind: str
    dialect: str
    family: str
    dtype: str
    parameters: int
    parts: list[LoraPart]
    dora: bool = False
    hash: str = ""
    hash_state: str = "none"
    header_bytes: int = 0
    title: str = ""
    trigger: str = ""
    base: str = ""
    base_version: str = ""
    base_hash: str = ""
    prediction: str = ""
    resolution: str = ""
    clip_skip: str = ""
    epoch: int = 0
    epochs: int = 0
    steps: int = 0
    images: int = 0
    reg_images: int = 0
    batch_size: str = ""
    unet_lr: str = ""
    text_encoder_lr: str = ""
    optimizer: str = ""
    scheduler: str = ""
    seed: str = ""
    comment: str = ""
    made_by: str = ""
    finished: float = 0.0
    folders: list[LoraFolder] = []
    reg_folders: list[LoraFolder] = []
    tags: dict[str, int] = {}
    metadata: int = 0
    problems: list[ErrorInfo] = []
