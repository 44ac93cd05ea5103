"""What a LoRA file is, from its header alone: layers, ranks, alphas, and which family it was made for. Torch-free.

Reads the names of kohya, LyCORIS, diffusers and PEFT. Its weights are `engine.lora.start`'s business, what its metadata
tells a person `adapter_info`'s.
"""

from __future__ import annotations

import contextlib
import math
import re
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from engine.models.sniff import PICKLES, header_of
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams

HEADER_LIMIT = 1 << 20
"""ComfyUI does not show metadata beyond this many bytes of header."""
PARTS = ("unet", "te", "te1", "te2")
_SOURCES = {"unet": "unet", "text_encoder": "te", "text_encoder_2": "te2", "text_encoder_1": "te1"}
_BARE = {"down_blocks.": "unet", "mid_block.": "unet", "up_blocks.": "unet", "text_model.": "te"}
"""How names begin in files of one model alone, as PEFT and diffusers' first LoRAs have them."""
_PEFT_FILE = "adapter_model.safetensors"
_KOHYA = re.compile(r"lora_(unet|te1|te2|te)_([^.]+)\.(.+)")
_DIFFUSERS = re.compile(r"(?:base_model\.model\.)?(?:(unet|text_encoder_[12]|text_encoder)\.)?(.+)")
_OLD_PROCESSOR = re.compile(r"(.+)\.processor\.(to_\w+?)_lora\.(down|up)\.weight")
_ROLES = {
    "lora_down.weight": "down",
    "lora_up.weight": "up",
    "lora_mid.weight": "mid",
    "lora_A.weight": "down",
    "lora_B.weight": "up",
    "lora_A.default.weight": "down",
    "lora_B.default.weight": "up",
    "lora.down.weight": "down",
    "lora.up.weight": "up",
    "lora_linear_layer.down.weight": "down",
    "lora_linear_layer.up.weight": "up",
    "alpha": "alpha",
    "dora_scale": "dora",
    "lora_magnitude_vector": "dora",
    "lora_magnitude_vector.weight": "dora",
    "lora_magnitude_vector.default.weight": "dora",
}
_OTHERS = {"hada_": "LoHa", "lokr_": "LoKr", "oft_": "OFT", "ia3": "IA3", "on_input": "IA3", "diff": "full"}
_FORMATS = {"F16": "e", "F32": "f", "F64": "d", "I64": "q", "I32": "i"}
_SGM = ("input_blocks_", "middle_block_", "output_blocks_")
_FOREIGN = (
    (("double_blocks", "single_transformer_blocks", "single_blocks"), "Flux"),
    (("joint_blocks", "joint_transformer"), "Stable Diffusion 3"),
    (("lora_prior_", "lora_te_model_layers"), "another architecture"),
)


class Layer(msgspec.Struct, kw_only=True):
    """One adapted layer: tensor names by role, rank, and the sides it reads and writes; `alpha` None where unsaid."""

    part: str
    module: str
    tensors: dict[str, str] = {}
    kind: str = "LoRA"
    rank: int = 0
    inputs: int = 0
    outputs: int = 0
    kernel: int = 1
    alpha: float | None = None

    @property
    def dora(self) -> bool:
        """Whether a magnitude goes with it."""
        return "dora" in self.tensors


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """A LoRA file by its header.

    `family` is sd15 | sdxl | the name of a foreign architecture | "" where it cannot be told; `dialect` kohya |
    diffusers; `dtype` as safetensors spells it; `unknown` are tensors of no known meaning.
    """

    path: Path
    dialect: str
    family: str
    layers: list[Layer]
    dtype: str
    metadata: dict[str, str]
    header_bytes: int
    unknown: list[str]

    @property
    def kind(self) -> str:
        """LoRA, LoCon, DoRA, LoHa, LoKr …: by what most of its layers are."""
        kind = Counter(layer.kind for layer in self.layers).most_common(1)[0][0]
        if kind != "LoRA":
            return kind
        if any(layer.dora for layer in self.layers):
            return "DoRA"
        return "LoCon" if any(layer.kernel > 1 for layer in self.layers) else "LoRA"


def read_adapter(path: Path) -> Adapter:
    """The LoRA at `path` by its header.

    Raises EngineError `lora_not` for a file that is none, `lora_broken` for one that is cut short or unreadable.
    """
    if path.suffix.lower() in PICKLES:
        raise EngineError("lora_not", path=path, reason="it is a pickle, which is never opened")
    try:
        header = header_of(path)
        with open(path, "rb") as handle:
            size = int.from_bytes(handle.read(8), "little")
    except EngineError as error:
        code = "lora_broken" if error.info.code == "model_broken" else "lora_not"
        raise EngineError(code, path=path, reason=error.info.args.get("reason", "")) from None
    except OSError as error:
        raise EngineError("lora_broken", path=path, reason=error.strerror or error) from None
    told = header.pop("__metadata__", {})
    metadata = {str(name): str(value) for name, value in told.items()}
    layers, unknown, dialect = _layers(header)
    if not layers:
        raise EngineError("lora_not", path=path, reason=_what(header))
    _read_alphas(path, size, header, layers, metadata)
    foreign = _foreign(header)
    return Adapter(
        path=path,
        dialect=dialect,
        family=foreign or _family(layers, metadata),
        layers=layers,
        dtype=Counter(row["dtype"] for name, row in header.items() if not name.endswith("alpha")).most_common(1)[0][0],
        metadata=metadata,
        header_bytes=size,
        unknown=unknown,
    )


def read_start(path: Path, family: str, params: BakeParams) -> Adapter:
    """The LoRA at `path` if a bake on a model of `family` can go on from it.

    Raises EngineError as `read_adapter`, `lora_family`, `lora_kind` or `lora_dora`.
    """
    adapter = read_adapter(path)
    if adapter.family != family:
        raise EngineError("lora_family", path=path, family=adapter.family or "unknown", other=family)
    odd = next((layer for layer in adapter.layers if layer.kind != "LoRA" or "mid" in layer.tensors), None)
    if odd is not None:
        raise EngineError("lora_kind", path=path, kind=odd.kind if odd.kind != "LoRA" else "LoCon with Tucker cores")
    sick = next((x for x in adapter.layers if {"down", "up"} <= x.tensors.keys() and not _usable(x)), None)
    if sick is not None:
        raise EngineError("lora_broken", path=path, reason=f"{sick.module} has rank {sick.rank}, alpha {sick.alpha}")
    if any(layer.dora for layer in adapter.layers) and not params.use_dora:
        raise EngineError("lora_dora", path=path)
    return adapter


def _usable(layer: Layer) -> bool:
    return layer.rank > 0 and (layer.alpha is None or (layer.alpha != 0 and math.isfinite(layer.alpha)))


def _layers(header: dict[str, Any]) -> tuple[list[Layer], list[str], str]:
    found: dict[tuple[str, str], Layer] = {}
    unknown: list[str] = []
    kohya = 0
    for name, row in header.items():
        place = _place(name)
        if place is None:
            unknown.append(name)
            continue
        part, module, role = place
        kohya += name.startswith("lora_")
        layer = found.setdefault((part, module), Layer(part=part, module=module, tensors={}))
        layer.tensors[role] = name
        other = next((kind for start, kind in _OTHERS.items() if role.startswith(start)), None)
        layer.kind = other or layer.kind
        _measure(layer, role, row.get("shape"))
    layers = [layer for layer in found.values() if layer.tensors.keys() != {"alpha"}]
    return layers, unknown, "kohya" if kohya * 2 > len(header) - len(unknown) else "diffusers"


def _measure(layer: Layer, role: str, shape: Any) -> None:
    if not isinstance(shape, list) or len(shape) < 2 or not all(isinstance(side, int) for side in shape):
        return
    if role == "down":
        layer.rank, layer.inputs = shape[0], shape[1]
        layer.kernel = max(layer.kernel, *shape[2:], 1)
    elif role == "up":
        layer.outputs = shape[0]
    elif role == "mid":
        layer.kernel = max(shape[2:], default=1)
    elif role in ("hada_w1_b", "lokr_w1_b", "lokr_w2_b"):
        layer.rank = shape[0]


def _place(name: str) -> tuple[str, str, str] | None:
    """Part, module with underscores, and role of a tensor; None for a name of no known dialect."""
    if found := _KOHYA.fullmatch(name):
        part, module, role = found[1], found[2], found[3]
        if role in _ROLES or any(role.startswith(start) for start in _OTHERS):
            return part, module, _ROLES.get(role, role)
        return None
    if not (found := _DIFFUSERS.fullmatch(name)):
        return None
    source, rest = found[1], found[2]
    part = _SOURCES[source] if source else next((_BARE[start] for start in _BARE if rest.startswith(start)), None)
    if part is None:
        return None
    if old := _OLD_PROCESSOR.fullmatch(rest):
        rest = f"{old[1]}.{'to_out.0' if old[2] == 'to_out' else old[2]}.lora.{old[3]}.weight"
    role_name = next((role for role in _ROLES if rest.endswith(f".{role}")), None)
    if role_name is None:
        return None
    module = rest[: -len(role_name) - 1].replace(".", "_")
    if part != "unet" and not module.startswith("text_model_"):
        module = f"text_model_{module}"
    return part, module, _ROLES[role_name]


def _read_alphas(
    path: Path, header_bytes: int, header: dict[str, Any], layers: list[Layer], metadata: dict[str, str]
) -> None:
    """Alpha is the value of a tensor of one number; where a file has none, diffusers and PEFT may write it beside."""
    with open(path, "rb") as handle:
        for layer in layers:
            row = header.get(layer.tensors.get("alpha", ""))
            if row is None:
                continue
            start, end = row["data_offsets"]
            if not 2 <= end - start <= 8:
                continue
            handle.seek(8 + header_bytes + start)
            layer.alpha = _number(handle.read(end - start), row["dtype"])
    config = _adapter_config(path, metadata)
    for layer in layers:
        if layer.alpha is None and config:
            source = {"unet": "unet", "te2": "text_encoder_2"}.get(layer.part, "text_encoder")
            value = config.get(f"{source}.lora_alpha", config.get("lora_alpha"))
            # rsLoRA divides by the root of the rank, every other reader by the rank.
            rooted = config.get(f"{source}.use_rslora", config.get("use_rslora")) is True
            layer.alpha = value * (layer.rank**0.5 if rooted else 1.0) if isinstance(value, int | float) else None


def _adapter_config(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """What diffusers writes into the file, or PEFT beside its own."""
    told: str | bytes = metadata.get("lora_adapter_metadata", "{}")
    if path.name == _PEFT_FILE:
        with contextlib.suppress(OSError):
            told = (path.parent / "adapter_config.json").read_bytes()
    try:
        value = msgspec.json.decode(told)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _number(raw: bytes, dtype: str) -> float | None:
    if dtype == "BF16":
        return float(struct.unpack("<f", b"\0\0" + raw)[0])
    code = _FORMATS.get(dtype)
    return float(struct.unpack(f"<{code}", raw)[0]) if code and len(raw) == struct.calcsize(code) else None


def _foreign(header: dict[str, Any]) -> str:
    if any(name.startswith("transformer.") for name in header):
        return "Flux, Stable Diffusion 3 or a relative"
    return next((kind for words, kind in _FOREIGN if any(word in name for name in header for word in words)), "")


def _family(layers: list[Layer], metadata: dict[str, str]) -> str:
    """By the names and by how wide the words are that the layers read; only where neither tells, by the metadata."""
    widths = {layer.inputs for layer in layers if layer.module.endswith(("attn2_to_k", "attn2_to_v")) and layer.inputs}
    if widths == {1024}:
        return "Stable Diffusion 2"
    if any(layer.part in ("te1", "te2") or layer.module.startswith(_SGM) for layer in layers) or widths == {2048}:
        return "sdxl"
    if any("transformer_blocks_0" in layer.module for layer in layers) and _deep(layers):
        return "sdxl"
    if widths == {768}:
        return "sd15"
    version = metadata.get("ss_base_model_version", "")
    if version.startswith("sdxl"):
        return "sdxl"
    if version.startswith("sd_v1") or any(layer.part == "te" or layer.part == "unet" for layer in layers):
        return "sd15"
    return ""


def _deep(layers: list[Layer]) -> bool:
    # Only SDXL has several transformer blocks in one attention.
    return any("_transformer_blocks_1_" in layer.module for layer in layers)


def _what(header: dict[str, Any]) -> str:
    """What a file is that holds no LoRA layer."""

    def any_start(*starts: str) -> bool:
        return any(name.startswith(starts) for name in header)

    if any_start("model.diffusion_model.", "conditioner.", "cond_stage_model."):
        return "it is a whole model"
    if any_start("emb_params", "string_to_param", "clip_l", "clip_g"):
        return "it is a textual inversion"
    return "it holds no LoRA layer"
