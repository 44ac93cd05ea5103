"""What goes beside a published LoRA: the WebUIs' side file, the model card, the recipe to bake it again from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePath

import msgspec
import tomli_w

from engine import __version__
from engine.protocol import fields
from engine.protocol.params import BakeParams
from engine.protocol.records import Job

_HUB_LICENCES = {"Apache-2.0": "apache-2.0"}
_KNOWN_LICENCES = frozenset({"apache-2.0", "creativeml-openrail-m", "openrail++", "cc-by-nc-sa-4.0", "mit"})


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the texts say of a LoRA; `hub_base` is the repository of the base model, "" where it has none."""

    job: Job
    name: str
    trigger: str
    epoch: int
    epochs: int
    family: str
    base: str
    hub_base: str = ""
    licence: str = ""
    commercial: bool = True
    images: int = 0
    rank: str = ""
    alpha: str = ""
    steps: int = 0
    weight: float = 0.8
    hash: str = ""
    samples: Sequence[tuple[str, str]] = ()
    """File and prompt of each preview."""


def side_file(facts: Facts) -> bytes:
    """`NAME.json` as A1111's and Forge's tab of LoRAs reads it."""
    notes = f"{facts.base}, epoch {facts.epoch} of {facts.epochs}, rank {facts.rank}, alpha {facts.alpha}"
    values = {
        "description": f"Baked with LoRABake {__version__}",
        "sd version": "SDXL" if facts.family == "sdxl" else "SD1",
        "activation text": facts.trigger,
        "preferred weight": facts.weight,
        "negative text": "",
        "notes": notes + (f", licence of the base: {facts.licence}" if facts.licence else ""),
    }
    return json.dumps(values, ensure_ascii=False, indent=4).encode() + b"\n"


def recipe(facts: Facts) -> bytes:
    """TOML that `lorabake rebake FILE` and `lorabake bake --from FILE` read: no path of this machine is in it."""
    private = ("mask_dir", "validation_dir", "network_weights")
    params = {name: value for name, value in msgspec.to_builtins(facts.job.params).items() if name not in private}
    table = {
        "recipe": {
            "name": facts.name,
            "trigger": facts.trigger,
            "base": PurePath(facts.job.base).name,
            "preset": facts.job.preset,
            "images": facts.images,
            "epoch": facts.epoch,
            "made_by": f"LoRABake {__version__}",
        },
        "params": params,
    }
    return tomli_w.dumps(table).encode()


def model_card(facts: Facts) -> bytes:
    """README.md as the hub shows it, its head in YAML (JSON is YAML, and needs no rules for quoting)."""
    licence = _HUB_LICENCES.get(facts.licence, facts.licence).lower()
    head: dict[str, object] = {}
    if licence in _KNOWN_LICENCES:
        head["license"] = licence
    elif facts.licence:
        head |= {"license": "other", "license_name": licence}
    if facts.hub_base:
        head["base_model"] = facts.hub_base
    kind = "stable-diffusion-xl" if facts.family == "sdxl" else "stable-diffusion"
    head["tags"] = ["lora", kind, "text-to-image", "lorabake"]
    head["library_name"] = "diffusers"
    if facts.trigger:
        head["instance_prompt"] = facts.trigger
    if facts.samples:
        head["widget"] = [{"text": prompt or "-", "output": {"url": file}} for file, prompt in facts.samples]
    lines = ["---", *(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in head.items()), "---", ""]
    lines += [f"# {_plain(facts.name)}", ""]
    if facts.trigger:
        lines += [f"Trigger words: {_code(facts.trigger)}", ""]
    lines += [f"Use it in A1111, Forge and ComfyUI as {_code(f'<lora:{facts.name}:{facts.weight:g}>')}.", ""]
    for file, prompt in facts.samples:
        lines += [f"![{_plain(prompt)}]({file})", ""]
    lines += ["## Settings", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {_plain(value)} |" for name, value in _settings(facts) if value]
    if facts.licence:
        lines += ["", f"The base model's licence is {_plain(facts.licence)}; it applies to what is made from it."]
    if not facts.commercial:
        lines += ["", "**Not for commercial use:** the licence of the base model forbids it."]
    return ("\n".join(lines) + "\n").encode()


def _settings(facts: Facts) -> list[tuple[str, str]]:
    changed = fields_changed(facts.job.params)
    return [
        ("base model", facts.base),
        ("epoch", f"{facts.epoch} of {facts.epochs}"),
        ("optimizer steps", str(facts.steps or "")),
        ("images", str(facts.images or "")),
        ("rank, alpha", f"{facts.rank}, {facts.alpha}"),
        ("hash of the tensors", facts.hash[:12]),
        *changed.items(),
    ]


def fields_changed(params: BakeParams) -> dict[str, str]:
    """The parameters that differ from the defaults, as text, by name."""
    standard = BakeParams()
    names = [name for name in fields.fields() if getattr(params, name) != getattr(standard, name)]
    return {name: str(getattr(params, name)) for name in names if not name.endswith(("_dir", "_weights"))}


def _plain(text: str) -> str:
    """Text that Markdown takes for letters, on one line."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>()#|!" else c for c in " ".join(text.split()))


def _code(text: str) -> str:
    return f"`{text.replace('`', chr(39))}`"
