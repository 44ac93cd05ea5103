"""`lorabake lora info`: a LoRA file of any trainer read back in words."""

from __future__ import annotations

import argparse
import shutil
import sys
import time

from engine.protocol.adapters import LoraFolder, LoraInfo, LoraPart
from engine.protocol.messages import PathParams
from lorabake_tui.commands import Spec
from lorabake_tui.commands.exits import OK
from lorabake_tui.commands.options import absolute
from lorabake_tui.commands.session import fetch
from lorabake_tui.commands.text import paint, pairs, size
from lorabake_tui.i18n import N_, _, told
from lorabake_tui.widgets.plain import plain

_ACTIONS = ("info",)
_PARTS = {
    "unet": N_("U-Net"),
    "te": N_("text encoder"),
    "te1": N_("text encoder 1"),
    "te2": N_("text encoder 2"),
}
_FAMILIES = {"sd15": "Stable Diffusion 1.5", "sdxl": "SDXL", "": N_("unknown")}
_PREDICTIONS = {"v": N_("velocity (v-prediction)"), "epsilon": N_("noise (epsilon)")}
_FOLDERS = 8


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=_ACTIONS, metavar="|".join(_ACTIONS), help=_("What to do."))
    parser.add_argument("file", metavar=_("FILE"), help=_("A LoRA in the safetensors format, of any trainer."))
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _run(args: argparse.Namespace) -> int:
    return fetch("lora.info", PathParams(path=absolute(args.file)), _show, as_json=args.json)


def _show(info: LoraInfo) -> int:
    width = min(shutil.get_terminal_size((100, 24)).columns, 100)
    rows = [(name, plain(text)) for name, text in [*_file(info), *_making(info)] if text]
    lines = [plain(info.path), "", *pairs(rows, indent=2, width=width)]
    for problem in info.problems:
        message, hint = told(problem)
        lines += ["", f"{paint('!', 'yellow', sys.stdout)} {plain(message)}", f"  {plain(hint)}"]
    print("\n".join(lines))
    return OK


def _file(info: LoraInfo) -> list[tuple[str, str]]:
    """What the tensors say."""
    sure = {
        "ok": _("matches its metadata"),
        "differs": _("differs from its metadata: the weights were changed after it was written"),
        "none": _("not in its metadata"),
    }
    about = _("{kind} for {family}, in the names of {dialect}")
    return [
        (
            _("kind"),
            about.format(kind=info.kind, family=_(_FAMILIES.get(info.family, info.family)), dialect=info.dialect),
        ),
        (
            _("size"),
            f"{size(info.bytes)} · {info.dtype} · " + _("{count} numbers").format(count=f"{info.parameters:,}"),
        ),
        *[(_(_PARTS[part.part]), _layers(part)) for part in info.parts],
        (_("hash"), f"{info.hash[:12]} · {sure[info.hash_state]}"),
    ]


def _layers(part: LoraPart) -> str:
    plain_layers = part.modules - part.convolutions
    rows = []
    if plain_layers:
        rows.append(_sized(_("{count} layers").format(count=plain_layers), part.ranks, part.alphas))
    if part.convolutions:
        rows.append(
            _sized(_("{count} convolutions").format(count=part.convolutions), part.conv_ranks, part.conv_alphas)
        )
    return "; ".join(rows)


def _sized(count: str, ranks: list[int], alphas: list[float | None]) -> str:
    words = {None: _("unsaid")}
    return _("{count}, rank {ranks}, alpha {alphas}").format(
        count=count,
        ranks=" ".join(str(rank) for rank in ranks),
        alphas=" ".join(words.get(alpha) or f"{alpha:g}" for alpha in alphas),
    )


def _making(info: LoraInfo) -> list[tuple[str, str]]:
    """What the metadata says."""
    base = " · ".join(text for text in (info.base, info.base_version, info.base_hash[:12]) if text)
    epochs = _("epoch {epoch} of {epochs}").format(epoch=info.epoch, epochs=info.epochs or "?") if info.epoch else ""
    steps = _("{steps} steps").format(steps=info.steps) if info.steps else ""
    images = _("{count} image views an epoch").format(count=info.images) if info.images else ""
    batch = _("batch {size}").format(size=info.batch_size) if info.batch_size else ""
    rates = [
        f"{_(name)} {rate}"
        for name, rate in (("U-Net", info.unet_lr), (N_("text encoder"), info.text_encoder_lr))
        if rate
    ]
    date = time.strftime("%Y-%m-%d %H:%M", time.localtime(info.finished)) if 0 < info.finished < 1e11 else ""
    return [
        (_("name"), info.title),
        (_("trigger word"), info.trigger),
        (_("base model"), base),
        (_("predicts"), _(_PREDICTIONS.get(info.prediction, info.prediction))),
        (_("resolution"), info.resolution),
        (_("clip skip"), info.clip_skip),
        (_("length"), " · ".join(text for text in (epochs, steps, images, batch) if text)),
        (_("learning rates"), ", ".join(rates)),
        (_("optimizer"), " · ".join(text for text in (info.optimizer, info.scheduler) if text)),
        (_("seed"), info.seed),
        (_("datasets"), _folders(info.folders)),
        (_("regularisation"), _folders(info.reg_folders)),
        (_("commonest tags"), ", ".join(f"{tag} {count}" for tag, count in info.tags.items())),
        (_("made by"), info.made_by),
        (_("comment"), info.comment),
        (_("finished"), date),
        (_("metadata"), "" if info.metadata else _("none: A1111 cannot tell which base it is for")),
    ]


def _folders(folders: list[LoraFolder]) -> str:
    rows = [f"{folder.name} ({folder.images} × {folder.repeats})" for folder in folders[:_FOLDERS]]
    return ", ".join(rows + (["…"] if len(folders) > _FOLDERS else []))


COMMANDS = {"lora": Spec(_arguments, _run, "lorabake lora info mira-e08.safetensors")}
