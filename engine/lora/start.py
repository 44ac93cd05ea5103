"""Going on from an existing LoRA: checks that it fits, takes over its sizes or its weights, says what does not match.

What a file is, `models.adapter` tells from its header; here its tensors are read. Names of kohya, diffusers and PEFT.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from engine.lora.inject import LoraModule, Network
from engine.lora.targets import Sizes, Target, text_targets, unet_targets
from engine.models.adapter import Adapter, Layer, read_adapter, read_start
from engine.models.model import DiffusionModel
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.files import atomic_write
from engine.protocol.params import BakeParams
from engine.runs.folder import RunFolder

_FILE = "start.json"


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What a bake began from, kept with the run so that it resumes without the file: its name, the sha256 of its
    bytes, and with `dim_from_weights` the rank and alpha of every layer."""

    file: str
    sha256: str
    sizes: dict[str, tuple[int, float]] | None = None


def begin(run: RunFolder, model: DiffusionModel, params: BakeParams) -> Start | None:
    """The start of this run, read from its folder or worked out from the file; None where it starts at nothing.

    Raises EngineError as `read_start`, and `lora_nothing`.
    """
    if not params.network_weights:
        return None
    kept = run.path / _FILE
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=Start)
    adapter = read_start(Path(params.network_weights), model.family, params)
    sizes = _sizes(adapter, model, params) if params.dim_from_weights else None
    with open(adapter.path, "rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    start = Start(file=adapter.path.name, sha256=digest, sizes=sizes)
    atomic_write(kept, msgspec.json.encode(start))
    return start


@torch.no_grad()
def load_start(path: Path, network: Network) -> list[ErrorInfo]:
    """Put the file's weights into a network that was injected for it; returns what does not match, in words.

    Where the alphas differ, `up` is scaled so that each layer acts as it did. Layers that the file lacks keep their
    initial weights, which do nothing. Raises EngineError `lora_rank`, `lora_nothing` or `lora_broken`.
    """
    adapter = read_adapter(path)
    layers = by_key(adapter, [module.target for module in network.modules])
    mine = {module.target.key: module for module in network.modules}
    if not layers:
        raise EngineError("lora_nothing", path=path, first=adapter.layers[0].module)
    unlike = [key for key, layer in layers.items() if not _fits(mine[key], layer)]
    if unlike:
        first = unlike[0]
        ours, theirs = mine[first].target.rank, layers[first].rank
        raise EngineError("lora_rank", path=path, count=len(unlike), first=first, theirs=theirs, ours=ours)
    scaled = 0
    try:
        with safe_open(path, framework="pt") as file:
            for key, layer in layers.items():
                module = mine[key]
                factor = _scale(layer) / (module.target.alpha / module.target.rank)
                scaled += abs(factor - 1) > 1e-6
                module.down.copy_(_shaped(file.get_tensor(layer.tensors["down"]), module.down))
                module.up.copy_(_shaped(file.get_tensor(layer.tensors["up"]), module.up) * factor)
                if module.magnitude is not None:
                    stored = file.get_tensor(layer.tensors["dora"]) if layer.dora else None
                    if stored is not None and not _per_input(layer, stored):
                        raise EngineError("lora_kind", path=path, kind="DoRA with a magnitude for each output")
                    _magnitude(module, stored)
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise EngineError("lora_broken", path=path, reason=str(error).splitlines()[0][:200]) from None
    return _told(path, adapter, layers, list(mine), scaled)


def _told(path: Path, adapter: Adapter, layers: Mapping[str, Layer], mine: list[str], scaled: int) -> list[ErrorInfo]:
    taken = {id(layer) for layer in layers.values()}
    left = [layer for layer in adapter.layers if id(layer) not in taken]
    fresh = [key for key in mine if key not in layers]
    rows = []
    if left:
        rows.append(describe("notice_start_left", count=len(left), path=path, first=f"{left[0].part} {left[0].module}"))
    if fresh:
        rows.append(describe("notice_start_fresh", count=len(fresh), path=path, first=fresh[0]))
    if scaled:
        rows.append(describe("notice_start_alpha", count=scaled, path=path))
    return rows


def _sizes(adapter: Adapter, model: DiffusionModel, params: BakeParams) -> dict[str, tuple[int, float]]:
    """Rank and alpha of the file's layers by kohya's key; raises `lora_nothing` when none is of this model."""
    targets = [target for _, target in every_target(model, params)]
    layers = by_key(adapter, targets)
    if not layers:
        raise EngineError("lora_nothing", path=adapter.path, first=adapter.layers[0].module)
    return {key: (layer.rank, _alpha(layer)) for key, layer in layers.items()}


def every_target(model: DiffusionModel, params: BakeParams) -> list[tuple[nn.Module, Target]]:
    """Every layer that a LoRA could adapt, with the module that its path starts from."""
    everything: Sizes = Everything()
    found = [(model.unet, target) for target in unet_targets(model.unet, params, everything)]
    for prefix, encoder in model.text_encoders:
        found += [(encoder, target) for target in text_targets(encoder, prefix, params, everything)]
    return found


class Everything(dict[str, tuple[int, float]]):
    """Sizes that name every layer, to learn which there are."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> tuple[int, float]:
        return 1, 1.0


def by_key(adapter: Adapter, targets: list[Target]) -> dict[str, Layer]:
    """The file's layers that are among `targets`, by kohya's key; SDXL's are also known by diffusers' names."""
    names: dict[tuple[str, str], str] = {}
    alone = {"te1": "te", "te": "te1"}
    for target in targets:
        part, module = target.key.removeprefix("lora_").split("_", 1)
        path = target.path.replace(".", "_")
        if part != "unet" and not path.startswith("text_model_"):
            path = f"text_model_{path}"
        for known in (part, alone.get(part, part)):
            names.setdefault((known, module), target.key)
            names.setdefault((known, path), target.key)
    found: dict[str, Layer] = {}
    for layer in adapter.layers:
        key = names.get((layer.part, layer.module))
        if key is not None and {"down", "up"} <= layer.tensors.keys():
            found[key] = layer
    return found


def _alpha(layer: Layer) -> float:
    return float(layer.rank) if layer.alpha is None else layer.alpha


def _scale(layer: Layer) -> float:
    return _alpha(layer) / layer.rank


def _fits(module: LoraModule, layer: Layer) -> bool:
    return (layer.rank, layer.inputs, layer.outputs, layer.kernel) == (
        module.down.shape[0],
        module.down.shape[1],
        module.up.shape[0],
        max(module.down.shape[2:], default=1),
    )


def _shaped(tensor: Tensor, like: nn.Parameter) -> Tensor:
    # A 1×1 convolution and a linear layer are the same numbers.
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError("it holds numbers that are not finite")
    return tensor.float().reshape(like.shape)


def _per_input(layer: Layer, stored: Tensor) -> bool:
    # LyCORIS has [1, in] or [out, 1]. PEFT's is per output, in shapes that a square layer would take for the other.
    return layer.tensors["dora"].endswith("dora_scale") and stored.dim() > 1 and stored.shape[0] == 1


def _magnitude(module: LoraModule, stored: Tensor | None) -> None:
    """The file's magnitude, or the one under which a plain LoRA acts as it did."""
    from engine.lora.dora import column_norms, merged

    mine = module.magnitude
    assert mine is not None
    if stored is None:
        mine.copy_(column_norms(merged(module.layer, "default")))
    elif stored.numel() != mine.numel():
        raise ValueError(f"{module.target.key} has its magnitude per output, and here it is per input")
    else:
        mine.copy_(_shaped(stored, mine))
