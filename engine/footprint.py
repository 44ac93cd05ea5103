"""Rough models of what a bake needs where nothing was measured: arithmetic, memory, size of a LoRA file.

Formulas and published figures only, each with its source; measurements are kept by `calibration`.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import msgspec

from engine.calibration import Facts
from engine.demo.paths import BASE as DEMO_BASE
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams

GIB = 1024**3


class Family(msgspec.Struct, frozen=True):
    """Sizes of a model family.

    `unet_units`, `text_units`: LoRA weights per dimension (Σ in + out over kohya's modules) in the U-Net and in each
    text encoder; `conv_units` per
    `conv_dim`, `conv_rest` per `network_dim` once convolutions are trained; counted on the architectures.
    `weights`: parameters of U-Net, VAE and text encoders. `forward`: floating-point operations of the U-Net on
    one picture of `pixels`. `activations`: bytes a picture of that size keeps for the backward pass, without and
    with checkpointing, in 16 bits. `overhead`: seconds a step takes on the fastest GPU, waiting for Python.
    """

    unet_units: int
    text_units: tuple[int, ...]
    conv_units: int
    conv_rest: int
    weights: int
    forward: float
    pixels: int
    activations: tuple[float, float]
    overhead: float


# Activations and overhead: SimpleTuner's published figures for an H100 (SD 1.5: 2.87 and 1.98 GiB, 0.18 s; SDXL:
# 13.0 and 6.5 GiB, 0.6 s), less weights and optimizer state.
FAMILIES = {
    "sd15": Family(423_936, (165_888,), 544_000, 82_880, 1_066_000_000, 0.68e12, 512**2, (0.9 * GIB, 0.2 * GIB), 0.15),
    "sdxl": Family(
        2_659_840, (165_888, 737_280), 355_840, 58_560, 3_469_000_000, 6.0e12, 1024**2, (7.8 * GIB, 1.4 * GIB), 0.45
    ),
    # The embedded model: counted on its layout, timed on two processor cores.
    "demo": Family(21_696, (8_640,), 0, 0, 7_467_000, 0.7e9, 64**2, (0.008 * GIB, 0.004 * GIB), 0.05),
}

# Dense bf16 (fp16 where older) with fp32 accumulation, in TFLOP/s, from the makers' data sheets.
_GPUS = {
    "H200": 990, "H100": 990, "B200": 2200, "A100": 312, "L40S": 362, "L40": 181, "L4": 121, "A10": 125, "A6000": 155,
    "V100": 125, "T4": 65, "5090": 210, "5080": 113, "5070": 62, "4090": 165, "4080": 98, "4070": 58, "4060": 30,
    "3090": 71, "3080": 60, "3070": 41, "3060": 26, "2080": 54,
}  # fmt: skip
_UNKNOWN_GPU = 60
_GPU_SHARE = 0.3
"""Share of the data-sheet rate that training reaches; a 3060 and a 3090 Ti measured by others give 0.3 and 0.15."""
_CORE_RATE = 25e9
"""Floating-point operations per second and processor core in fp32 (AVX2, half of its peak)."""
_TRAIN, _CHECKPOINTED = 2.1, 3.1
"""Passes of a step in units of a forward: back through frozen weights costs one, recomputing another."""
_START_SECONDS = 8.0
"""A worker's start until torch and diffusers are imported."""
_LOAD_RATE = 300e6
"""Bytes per second from disk into place."""


class Forecast(msgspec.Struct, frozen=True):
    """Seconds of one optimizer step, of everything before the first image is encoded, of encoding an image, of one
    round of previews, of closing an epoch, and of measuring one held-out image."""

    step: float
    load: float
    image: float
    previews: float
    closing: float = 0.5
    held: float = 0.0


def family_of(model: str) -> Family:
    """The sizes that come nearest to a kind of model: its own, or those of the family it is a variant of."""
    return FAMILIES.get(model) or FAMILIES[model.partition("-")[0]]


def model_at(path: Path, family: str) -> str:
    """What kind of model a folder holds: "demo" or the family where its layers are that one's, else a variant."""
    counted = units(path)
    known = {(FAMILIES[family].unet_units, FAMILIES[family].text_units): family, units(DEMO_BASE): "demo"}
    if counted is None:
        return family
    return known.get(counted, f"{family}-{counted[0]}-{sum(counted[1])}")


def forecast(facts: Facts) -> Forecast:
    """The rough model's times; good for an order of magnitude."""
    family = family_of(facts.model)
    rate = _rate(facts.device)
    per_pixel = family.forward / family.pixels
    passes = _CHECKPOINTED if facts.gradient_checkpointing else _TRAIN
    overhead = family.overhead * facts.gradient_accumulation
    step = overhead + passes * per_pixel * facts.work / rate
    # Guidance draws each picture twice at once; a VAE pass costs about what a forward of the U-Net does.
    previews = 2 * per_pixel * facts.preview_work / rate
    load = _START_SECONDS + family.weights * 2 / _LOAD_RATE
    image = facts.pixels * per_pixel / rate
    # A held-out image is measured at four timesteps.
    return Forecast(step, load, image, previews, held=4 * image)


def _rate(device: str) -> float:
    if device == "CPU":
        return _CORE_RATE * len(os.sched_getaffinity(0))
    peak = next((rate for name, rate in _GPUS.items() if name in device), _UNKNOWN_GPU)
    return peak * 1e12 * _GPU_SHARE


def lora_parameters(params: BakeParams, model: str, path: Path | None = None) -> int:
    """How many weights the LoRA has; counted on the base at `path` where that is a diffusers folder, or on the LoRA
    whose sizes it is to have."""
    if params.network_weights and params.dim_from_weights and (known := _started(params)) is not None:
        return known
    family = family_of(model)
    path = DEMO_BASE if path is None and model == "demo" else path
    unet, text = (units(path) if path is not None else None) or (family.unet_units, family.text_units)
    count = 0
    if params.unet_lr > 0:
        count += unet * params.network_dim
        if params.conv_dim:
            count += family.conv_units * params.conv_dim + family.conv_rest * params.network_dim
    encoders = [size for size, rate in zip(text, params.text_encoder_lrs, strict=False) if rate > 0]
    count += sum(encoders) * params.network_dim
    # DoRA's magnitudes, one per input of a layer: about half of what one dimension has.
    return count + (round(count / params.network_dim / 2) if params.use_dora else 0)


def _started(params: BakeParams) -> int | None:
    """The weights of the LoRA that a bake goes on from, in the parts that train; None where it cannot be read."""
    from engine.models.adapter import read_adapter

    try:
        layers = read_adapter(Path(os.path.expanduser(params.network_weights))).layers
    except (EngineError, OSError):
        return None
    first, second = params.text_encoder_lrs
    rates = {"unet": params.unet_lr, "te": first, "te1": first, "te2": second}
    trained = [layer for layer in layers if rates[layer.part] > 0]
    count = sum(layer.rank * (layer.inputs * layer.kernel**2 + layer.outputs) for layer in trained)
    return count + (sum(layer.inputs for layer in trained) if params.use_dora else 0)


def memory(facts: Facts, parameters: int) -> int:
    """Bytes on the GPU at the peak, or of main memory on a processor: weights, for every trained one itself, its
    gradient (both fp32) and what the optimizer keeps, activations, and what the runtime takes."""
    family = family_of(facts.model)
    width = 4 if facts.precision == "fp32" else 2
    activations = family.activations[facts.gradient_checkpointing] * (width / 2)
    pictures = facts.pixels / family.pixels * facts.batch_size
    runtime = 0.45 * GIB if facts.device == "CPU" else 0.4 * GIB
    return round(family.weights * width + parameters * (8 + facts.optimizer_bytes) + activations * pictures + runtime)


@functools.lru_cache(maxsize=16)
def units(path: Path) -> tuple[int, tuple[int, ...]] | None:
    """LoRA weights per dimension in the U-Net and each text encoder of a diffusers folder, from headers alone."""
    from engine.models.sniff import header_of, weights_of

    try:
        unet = header_of(weights_of(path, "unet"))
        parts = [part for part in ("text_encoder", "text_encoder_2") if (path / part).is_dir()]
        texts = [header_of(weights_of(path, part)) for part in parts]
    except (EngineError, OSError, ValueError, KeyError):
        return None
    inside = [row["shape"] for name, row in unet.items() if ".attentions." in name and name.endswith(".weight")]
    layers = [
        [row["shape"] for name, row in text.items() if "encoder.layers." in name and name.endswith(".weight")]
        for text in texts
    ]
    return _in_and_out(inside), tuple(map(_in_and_out, layers))


def _in_and_out(shapes: list[list[int]]) -> int:
    # Linear layers and 1×1 convolutions; norms have one axis only.
    return sum(shape[0] + shape[1] for shape in shapes if len(shape) == 2 or shape[2:] == [1, 1])
