"""`lorabake estimate`: what a bake would take, asked of the engine and shown as numbers with their names."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rich.cells import cell_len

from engine.protocol.messages import EstimateParams, PathParams, PresetParams
from engine.protocol.records import Estimate
from lorabake_tui.commands import Spec
from lorabake_tui.commands.exits import OK
from lorabake_tui.commands.options import absolute, add_bake_options, base_model, parameters, preset_for
from lorabake_tui.commands.session import converse, print_json
from lorabake_tui.commands.text import duration, size
from lorabake_tui.i18n import N_, _, told
from lorabake_tui.widgets.plain import fit, plain

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient

_SOURCES = {
    "probe": N_("measured on this machine"),
    "history": N_("from earlier bakes on this machine"),
    "model": N_("estimated from the size of the work"),
}


def _run(args: argparse.Namespace) -> int:
    params = parameters(args)
    dataset, base = absolute(args.dataset), base_model(args.base)

    async def work(client: EngineClient) -> int:
        opened = await client.call("dataset.summary", PathParams(path=dataset))
        preset = args.preset or await preset_for(client, base)
        wanted = PresetParams(name=preset, base=base, images=opened.readable)
        layers = {**(await client.call("presets.resolve", wanted)).params, **params}
        asked = EstimateParams(dataset=dataset, reg=absolute(args.reg), base=base, params=layers)
        estimate: Estimate = await client.call("estimate", asked)
        if args.json:
            print_json(estimate)
        else:
            print("\n".join(lines(estimate)))
        return OK

    return converse(work, as_json=args.json)


def lines(estimate: Estimate) -> list[str]:
    """The estimate in words: one number a line, right-aligned, then what is worth a warning."""
    unknown = _("not known yet")
    source = _(_SOURCES.get(estimate.source, ""))
    rows = [(_("images"), f"{estimate.images}", "")]
    if estimate.reg_images:
        rows.append((_("regularisation images"), f"{estimate.reg_images}", ""))
    rows += [
        (_("image views"), f"{estimate.image_views}", _("images × repeat × epochs")),
        (_("epochs"), f"{estimate.epochs}", ""),
        (_("steps per epoch"), f"{estimate.steps_per_epoch}", ""),
        (_("optimizer steps"), f"{estimate.optimizer_steps}", _("what the bake really takes")),
        (_("time"), unknown if estimate.seconds is None else duration(estimate.seconds), source),
        (_("memory"), unknown if estimate.memory_bytes is None else size(estimate.memory_bytes), ""),
        (_("disk"), size(estimate.disk_bytes), ""),
    ]
    if estimate.cost is not None:
        rows.append((_("cost"), f"{estimate.cost:.2f} {estimate.currency}".strip(), ""))
    left = max(cell_len(name) for name, _number, _note in rows)
    middle = max(cell_len(number) for _name, number, _note in rows)
    told_rows = [
        f"{fit(name, left)}  {fit(number, middle, right=True)}  {note}".rstrip() for name, number, note in rows
    ]
    for notice in estimate.notices:
        message, hint = told(notice)
        told_rows.append(plain(_("Note: {message} {hint}").format(message=message, hint=hint)))
    return told_rows


COMMANDS = {
    "estimate": Spec(add_bake_options, _run, "lorabake estimate --dataset ~/pictures/mira --base demo --set epochs=12"),
}
