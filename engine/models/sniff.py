"""Tells what a model file or folder is from its names and headers alone, before any tensor is read.

Loading is left to `load`, the list of known models to `catalogue`. Nothing here opens a pickle.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from engine.models import ldm
from engine.protocol.errors import EngineError

FOLDER_PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
PICKLES = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl"})
_HEADER_LIMIT = 100 * 1024 * 1024
_BASES = "Name a Stable Diffusion 1.5 or SDXL model: a diffusers folder or one safetensors file."
_FILE_PARTS = {
    "U-Net": ldm.UNET + "input_blocks.0.0.weight",
    "VAE": ldm.VAE + "decoder.conv_in.weight",
}
_TEXTS = {
    "sd15": {"text encoder": ldm.TEXT[1]},
    "sdxl": {"first text encoder": ldm.TEXT_XL, "second text encoder": ldm.OPEN_CLIP},
}
_CROSS = {
    "sd15": (ldm.UNET + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight", 768),
    "sdxl": (ldm.UNET + "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight", 2048),
}
"""A layer that reads the words, and how wide they are."""
_OTHER_NOISE = ("EDM", "FlowMatch")
"""Schedulers of U-Nets with these shapes that were taught another kind of noise."""
_DEEPEST_XL = ldm.UNET + "middle_block.1.transformer_blocks.9.norm1.weight"


class Sniffed(msgspec.Struct, frozen=True, kw_only=True):
    """A base model that can be loaded: its family (`sd15` | `sdxl`), layout (`folder` | `file`), and what it says of
    its noise: `prediction_type` ("epsilon" | "v_prediction") and whether the last timestep is pure noise."""

    path: Path
    family: str
    layout: str
    prediction_type: str = "epsilon"
    zero_terminal_snr: bool = False


def sniff(path: Path) -> Sniffed:
    """What lies at `path`; raises EngineError `model_not_base`, `model_unsupported` or `model_broken`."""
    try:
        if path.is_dir():
            return _sniff_folder(path)
        if path.is_file():
            return _sniff_file(path)
    except OSError as error:
        raise EngineError("model_broken", path=path, reason=error.strerror or error) from None
    raise EngineError("model_not_base", path=path, reason="there is no such file or folder")


def header_of(path: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file (tensor name → dtype, shape, offsets; `__metadata__`).

    Raises EngineError `model_not_base` for a file that is none, or whose data is cut short.
    """
    with open(path, "rb") as handle:
        size = handle.seek(0, 2)
        handle.seek(0)
        length = int.from_bytes(handle.read(8), "little")
        if size < 10 or not 2 <= length <= min(size - 8, _HEADER_LIMIT):
            _not_base(path, "it is not a safetensors file")
        try:
            header = json.loads(handle.read(length))
        except (ValueError, RecursionError):
            header = None
    if not isinstance(header, dict) or not all(isinstance(entry, dict) for entry in header.values()):
        _not_base(path, "it is not a safetensors file")
    try:
        ends = [_end(entry) for name, entry in header.items() if name != "__metadata__"]
    except (KeyError, TypeError, ValueError):
        _not_base(path, "it is not a safetensors file")
    if max(ends, default=0) > size - 8 - length:
        raise EngineError("model_broken", path=path, reason="the file is cut short")
    return header


def _end(entry: dict[str, Any]) -> int:
    """Where a tensor's bytes end; raises ValueError for offsets that are none."""
    start, end = entry["data_offsets"]
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start <= end and isinstance(entry["dtype"], str)):
        raise ValueError(entry)
    return end


def _sniff_folder(path: Path) -> Sniffed:
    index = _json(path / "model_index.json")
    if index is None:
        if (path / "unet").is_dir():
            _not_base(path, "model_index.json is missing")
        _not_base(path, "it is a folder without model_index.json")
    if (path / "transformer").is_dir() or "transformer" in index:
        _unsupported(path, f"a {index.get('_class_name', 'transformer')} model (Flux, SD3 or a relative)")
    config = _json(path / "unet" / "config.json")
    if config is None:
        _not_base(path, "unet/config.json is missing or not readable")
    family = _unet_family(path, config)
    parts = FOLDER_PARTS + (("text_encoder_2", "tokenizer_2") if family == "sdxl" else ())
    for part in parts:
        if not (path / part).is_dir():
            _not_base(path, f"the folder {part} is missing")
    for part in ("unet", "vae", *(part for part in parts if part.startswith("text_encoder"))):
        weights_of(path, part)
    noise = _json(path / "scheduler" / "scheduler_config.json") or {}
    prediction = noise.get("prediction_type", "epsilon")
    if str(noise.get("_class_name", "")).startswith(_OTHER_NOISE):
        _unsupported(path, f"a model whose noise is that of {str(noise['_class_name'])[:40]}")
    if prediction not in ("epsilon", "v_prediction"):
        _unsupported(path, f"a model that predicts {str(prediction)[:40]}")
    return Sniffed(
        path=path,
        family=family,
        layout="folder",
        prediction_type=prediction,
        zero_terminal_snr=bool(noise.get("rescale_betas_zero_snr")),
    )


def _unet_family(path: Path, config: dict[str, Any]) -> str:
    if config.get("in_channels") != 4:
        _unsupported(path, f"an inpainting or edit model ({config.get('in_channels')} input channels)")
    if config.get("addition_embed_type") == "text_time":
        return "sdxl"
    if config.get("cross_attention_dim") == 1024:
        _unsupported(path, "Stable Diffusion 2")
    if not isinstance(config.get("cross_attention_dim"), int) or config.get("addition_embed_type"):
        _unsupported(path, "a U-Net of an unknown kind")
    return "sd15"


def weights_of(path: Path, part: str) -> Path:
    """The one safetensors file of a part of a diffusers folder, full precision first, then fp16.

    Raises EngineError: `model_unsupported` where only a pickle is, `model_not_base` where nothing is.
    """
    stem = "model" if part.startswith("text_encoder") else "diffusion_pytorch_model"
    for name in (f"{stem}.safetensors", f"{stem}.fp16.safetensors"):
        if (path / part / name).is_file():
            header_of(path / part / name)
            return path / part / name
    if (path / part / f"{stem}.safetensors.index.json").is_file():
        _unsupported(path, f"a model whose {part} is split into several files")
    if any(file.suffix in PICKLES for file in (path / part).iterdir()):
        _unsupported(path, "stored as pickle, which is never opened", "Convert it to safetensors first.")
    return _not_base(path, f"{part} holds no {stem}.safetensors")


def _sniff_file(path: Path) -> Sniffed:
    if path.suffix.lower() in PICKLES:
        _unsupported(path, "a pickle, which is never opened", "Convert it to safetensors first.")
    header = header_of(path)
    names = [name for name in header if name != "__metadata__"]
    kind = _kind_of(names)
    family = {"Stable Diffusion 1.5": "sd15", "SDXL": "sdxl"}.get(kind)
    if family is None:
        if kind in ("a LoRA", "a VAE", "unknown"):
            _not_base(path, "its keys are not those of a known model" if kind == "unknown" else f"it is {kind}")
        _unsupported(path, kind)
    for part, name in (_FILE_PARTS | _TEXTS[family]).items():
        if not any(other.startswith(name) for other in names):
            _not_base(path, f"the {part} is not in the file")
    channels = _side(header, _FILE_PARTS["U-Net"])
    if channels != 4:
        _unsupported(path, f"an inpainting or edit model ({channels} input channels)")
    layer, width = _CROSS[family]
    if _side(header, layer) != width:
        _unsupported(path, "a U-Net of an unknown kind")
    if family == "sdxl" and _DEEPEST_XL not in header:
        _unsupported(path, "a distilled SDXL with fewer layers (SSD-1B, Vega or a relative)")
    prediction, zero_snr = _noise_of(header)
    return Sniffed(path=path, family=family, layout="file", prediction_type=prediction, zero_terminal_snr=zero_snr)


def _noise_of(header: dict[str, Any]) -> tuple[str, bool]:
    """What a file says of its noise: NoobAI's empty tensors `v_pred` and `ztsnr`, or the modelspec block."""
    spec = header.get("__metadata__", {}).get("modelspec.prediction_type", "")
    velocity = "v_pred" in header or str(spec).lower() in ("v", "v_prediction", "v-prediction")
    return "v_prediction" if velocity else "epsilon", "ztsnr" in header


def _side(header: dict[str, Any], name: str) -> int | None:
    """How many values a layer reads, by the shape of its weight."""
    shape = header.get(name, {}).get("shape")
    return shape[1] if isinstance(shape, list) and len(shape) > 1 else None


def _kind_of(names: list[str]) -> str:
    def has(*parts: str) -> bool:
        return any(part in name for name in names for part in parts)

    if has(".lora_down.", ".lora_A.", ".lora_up.", "lora_unet_", "hada_w1", "lokr_w1"):
        return "a LoRA"
    if has("double_blocks.", "single_transformer_blocks."):
        return "Flux"
    if has("joint_blocks."):
        return "Stable Diffusion 3"
    if any(name.startswith("edm_") for name in names):
        return "an EDM model (Playground 2.5, CosXL or a relative)"
    if has("conditioner.embedders.1."):
        return "SDXL"
    if has("conditioner.embedders.0.model."):
        return "the refiner of SDXL"
    if has("cond_stage_model.model.transformer."):
        return "Stable Diffusion 2"
    if has("model.diffusion_model.input_blocks.", "cond_stage_model.transformer."):
        return "Stable Diffusion 1.5"
    if names and all(name.startswith(("encoder.", "decoder.", "quant_conv", "post_quant_conv")) for name in names):
        return "a VAE"
    return "unknown"


def _json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _not_base(path: Path, reason: str) -> NoReturn:
    raise EngineError("model_not_base", path=path, reason=reason)


def _unsupported(path: Path, kind: str, advice: str = _BASES) -> NoReturn:
    raise EngineError("model_unsupported", path=path, kind=kind, advice=advice)
