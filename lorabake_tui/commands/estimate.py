"""`lorabake estimate` and `rates`: what a bake would take, as numbers with their names, and what an hour costs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import msgspec
from rich.cells import cell_len

from engine.protocol.estimates import Estimate, Outcome, Rates
from engine.protocol.messages import EstimateParams, PathParams, PresetParams
from engine.protocol.params_toml import scalar
from lorabake_tui.commands import Spec
from lorabake_tui.commands.exits import OK
from lorabake_tui.commands.options import absolute, add_bake_options, base_model, parameters, standing
from lorabake_tui.commands.session import converse, print_json
from lorabake_tui.commands.text import duration, energy, money, pairs, size
from lorabake_tui.i18n import N_, _, told
from lorabake_tui.widgets.plain import fit, plain

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient

SOURCES = {
    "probe": N_("measured on this machine"),
    "history": N_("from earlier bakes on this machine"),
    "model": N_("estimated from the size of the work"),
}


async def asked_for(
    client: EngineClient, args: argparse.Namespace, params: dict[str, Any]
) -> tuple[EstimateParams, str]:
    """What the options of a command ask an estimate of, and the name of the preset below it."""
    dataset, base = absolute(args.dataset), base_model(args.base)
    opened = await client.call("dataset.summary", PathParams(path=dataset))
    preset, below = await standing(client, args, base)
    if preset:
        wanted = PresetParams(name=preset, base=base, images=opened.readable)
        below = {**(await client.call("presets.resolve", wanted)).params, **below}
    layers = {**below, **params}
    return EstimateParams(dataset=dataset, reg=absolute(args.reg), base=base, params=layers), preset


def _run(args: argparse.Namespace) -> int:
    params = parameters(args)

    async def work(client: EngineClient) -> int:
        asked, _preset = await asked_for(client, args, params)
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
    source = _(SOURCES.get(estimate.source, ""))
    if estimate.seconds is not None and estimate.error:
        source = f"± {estimate.error * 100:.0f} % · {source}"
    memory = unknown if estimate.memory_bytes is None else size(estimate.memory_bytes)
    room = _("of {size} on {device}").format(size=size(estimate.device_memory), device=estimate.device)
    rows = [(_("images"), f"{estimate.images}", _("each seen {times:g} times").format(times=estimate.views_each))]
    if estimate.reg_images:
        rows.append((_("regularisation images"), f"{estimate.reg_images}", ""))
    rows += [
        (_("image views"), f"{estimate.image_views}", _("images × repeat × epochs")),
        (_("epochs"), f"{estimate.epochs}", _("files kept: {count}").format(count=estimate.epoch_files)),
        (_("steps per epoch"), f"{estimate.steps_per_epoch}", ""),
        (_("optimizer steps"), f"{estimate.optimizer_steps}", _("what the bake really takes")),
        (_("time"), unknown if estimate.seconds is None else duration(estimate.seconds), source),
        (_("memory"), memory, room if estimate.device_memory else ""),
        (_("disk"), size(estimate.disk_bytes), ""),
    ]
    if estimate.energy_kwh is not None:
        rows.append((_("energy"), energy(estimate.energy_kwh), ""))
    if estimate.cost is not None:
        rows.append((_("cost"), money(estimate.cost, estimate.currency), ""))
    left = max(cell_len(name) for name, _number, _note in rows)
    middle = max(cell_len(number) for _name, number, _note in rows)
    told_rows = [
        f"{fit(name, left)}  {fit(number, middle, right=True)}  {note}".rstrip() for name, number, note in rows
    ]
    told_rows += [plain(text) for text in [*misfit(estimate), *past(estimate.past)]]
    for notice in estimate.notices:
        message, hint = told(notice)
        told_rows.append(plain(_("Note: {message} {hint}").format(message=message, hint=hint)))
    return told_rows


def misfit(estimate: Estimate) -> list[str]:
    """That a bake does not fit into the memory there is, and what would."""
    if estimate.fits:
        return []
    text = _("This would not fit: about {needed} of {room}.").format(
        needed=size(estimate.memory_bytes or 0), room=size(estimate.device_memory)
    )
    if not estimate.relief:
        return [text, _("No setting near it does; choose a smaller base or another machine.")]
    changes = " ".join(f"--set {name}={scalar(value).strip(chr(34))}" for name, value in estimate.relief.items())
    return [text, _("The nearest that does: {changes}").format(changes=changes)]


def past(outcome: Outcome | None) -> list[str]:
    """The last bake's estimate beside the truth."""
    if outcome is None or not outcome.estimated_seconds:
        return []
    text = _("The last bake, {name}, took {seconds}; {estimated} were estimated ({off:+.0f} %).")
    return [_beside(outcome, text)]


def took(outcome: Outcome | None) -> list[str]:
    """A bake's own estimate beside the truth."""
    if outcome is None or not outcome.estimated_seconds:
        return []
    return [_beside(outcome, _("It took {seconds}; {estimated} were estimated ({off:+.0f} %)."))]


def _beside(outcome: Outcome, text: str) -> str:
    told = text.format(
        name=outcome.name,
        seconds=duration(outcome.seconds),
        estimated=duration(outcome.estimated_seconds),
        off=(outcome.seconds / outcome.estimated_seconds - 1) * 100,
    )
    if outcome.memory_bytes and outcome.estimated_memory:
        told += " " + _("Memory: {size}, estimated {estimated}.").format(
            size=size(outcome.memory_bytes), estimated=size(outcome.estimated_memory)
        )
    return told


def _rates_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--currency", metavar=_("WORD"), help=_("What prices are written in: €, USD, 元."))
    parser.add_argument("--per-hour", type=float, metavar=_("PRICE"), help=_("What an hour of this machine costs."))
    parser.add_argument("--per-kwh", type=float, metavar=_("PRICE"), help=_("What a kilowatt-hour costs."))
    parser.add_argument("--watts", type=float, metavar="W", help=_("What the machine draws while it bakes."))
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _rates(args: argparse.Namespace) -> int:
    given = {name: getattr(args, name) for name in ("currency", "per_hour", "per_kwh", "watts")}
    given = {name: value for name, value in given.items() if value is not None}

    async def work(client: EngineClient) -> int:
        rates: Rates = await client.call("rates.get")
        if given:
            rates = await client.call("rates.set", msgspec.structs.replace(rates, **given))
        if args.json:
            print_json(rates)
        else:
            rows = [
                (_("currency"), rates.currency or "–"),
                (_("per hour"), f"{rates.per_hour:g}"),
                (_("per kWh"), f"{rates.per_kwh:g}"),
                (_("watts"), f"{rates.watts:g}"),
            ]
            print("\n".join(pairs([(name, plain(text)) for name, text in rows])))
        return OK

    return converse(work, as_json=args.json)


COMMANDS = {
    "estimate": Spec(add_bake_options, _run, "lorabake estimate --dataset ~/pictures/mira --base demo --set epochs=12"),
    "rates": Spec(_rates_arguments, _rates, "lorabake rates --currency € --per-kwh 0.32 --watts 450"),
}
