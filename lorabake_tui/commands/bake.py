"""`lorabake bake`, `demo` and `probe`: submit a bake or its measurement to the queue and follow it, or leave it."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.protocol.errors import EngineError
from engine.protocol.estimates import Estimate
from engine.protocol.messages import Submit
from engine.protocol.records import ModelRow, RunRow
from lorabake_tui.commands import Spec
from lorabake_tui.commands.app import has_terminal, open_app
from lorabake_tui.commands.exits import OK
from lorabake_tui.commands.options import (
    absolute,
    add_bake_options,
    add_out,
    add_sets,
    base_model,
    parameters,
    set_parameters,
    standing,
)
from lorabake_tui.commands.session import converse, print_json
from lorabake_tui.commands.steer import add_start
from lorabake_tui.commands.text import pairs
from lorabake_tui.i18n import _

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient


def _bake_arguments(parser: argparse.ArgumentParser) -> None:
    add_bake_options(parser)
    parser.add_argument(
        "--name", default="", metavar=_("NAME"), help=_("What the LoRA is called; the folder's name otherwise.")
    )
    add_out(parser)
    parser.add_argument("--detach", action="store_true", help=_("Do not follow; print the run's identifier."))
    add_start(parser)
    parser.add_argument("--kind", default="bake", choices=("bake", "fake"), help=argparse.SUPPRESS)


def _bake(args: argparse.Namespace) -> int:
    wanted = Submit(
        dataset=absolute(args.dataset),
        reg=absolute(args.reg),
        base=base_model(args.base),
        preset=args.preset,
        params=parameters(args),
        name=args.name,
        out=absolute(args.out),
        kind=args.kind,
        when=args.when,
        retries=args.retries,
    )

    async def chosen(client: EngineClient) -> Submit:
        preset, below = await standing(client, args, wanted.base)
        return msgspec.structs.replace(wanted, preset=preset, params={**below, **wanted.params})

    return _submit(chosen, as_json=args.json) if args.detach else follow_new(chosen, as_json=args.json)


Choose = Callable[["EngineClient"], Awaitable[Submit]]
"""Says what to submit, perhaps after asking the engine."""


def _submit(choose: Choose, *, as_json: bool) -> int:
    """Queue a bake and print its identifier."""

    async def work(client: EngineClient) -> int:
        row: RunRow = await client.call("runs.submit", await choose(client))
        if as_json:
            print_json(row)
        else:
            print(row.id)
        return OK

    return converse(work, as_json=as_json)


def follow_new(choose: Choose, *, as_json: bool) -> int:
    """Queue a bake and follow it; ctrl+c leaves the bake alone."""
    from lorabake_tui.commands.follow import Follower

    follower = Follower(as_json=as_json)

    async def work(client: EngineClient) -> int:
        row: RunRow = await client.call("runs.submit", await choose(client))
        return await follower.until_end(client, row)

    return follower.run(work)


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--where", action="store_true", help=_("Print where the demo's parts are, and bake nothing."))
    parser.add_argument("--plain", action="store_true", help=_("Print lines instead of opening the app."))
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))
    add_sets(parser, _("Set one parameter."))
    parser.add_argument("--kind", default="bake", choices=("bake", "fake"), help=argparse.SUPPRESS)


def _demo(args: argparse.Namespace) -> int:
    if args.where:
        return _where(as_json=args.json)
    params = set_parameters(args.sets)

    async def choose(client: EngineClient) -> Submit:
        dataset = (await _parts(client))["dataset"]
        return Submit(dataset=dataset, base="demo", preset="demo", name="demo", params=params, kind=args.kind)

    if args.json or args.plain or not has_terminal():
        return follow_new(choose, as_json=args.json)
    queued: list[RunRow] = []

    async def work(client: EngineClient) -> int:
        queued.append(await client.call("runs.submit", await choose(client)))
        return OK

    code = converse(work, as_json=False)
    return open_app(section="monitor", run=queued[0].id) if queued else code


async def _parts(client: EngineClient) -> dict[str, str]:
    """Where the demo's parts are: they lie beside the base model of the catalogue called `demo`."""
    rows: list[ModelRow] = await client.call("models.list")
    base = next((row for row in rows if row.name == "demo" and row.kind == "base"), None)
    if base is None:
        raise EngineError("model_unknown", name="demo")
    folder = Path(base.path).parent
    return {"base": base.path, **{part: str(folder / part) for part in ("tagger", "dataset", "reg")}}


def _where(*, as_json: bool) -> int:
    async def work(client: EngineClient) -> int:
        parts = await _parts(client)
        if as_json:
            print_json(parts)
        else:
            print("\n".join(pairs(list(parts.items()), width=1000)))
        return OK

    return converse(work, as_json=as_json)


def _probe(args: argparse.Namespace) -> int:
    """Queue a probe, follow it, and tell the estimate that it leads to."""
    from lorabake_tui.commands.estimate import asked_for, lines
    from lorabake_tui.commands.follow import Follower

    params = parameters(args)
    follower = Follower(as_json=args.json, quiet=args.json)

    async def work(client: EngineClient) -> int:
        asked, preset = await asked_for(client, args, params)
        wanted = Submit(
            dataset=asked.dataset, reg=asked.reg, base=asked.base, preset=preset, params=asked.params, kind="probe"
        )
        row: RunRow = await client.call("runs.submit", wanted)
        if args.detach:
            print_json(row) if args.json else print(row.id)
            return OK
        code = await follower.until_end(client, row)
        if code == OK:
            estimate: Estimate = await client.call("estimate", asked)
            print_json(estimate) if args.json else print("\n".join(lines(estimate)))
        return code

    return follower.run(work)


def _probe_arguments(parser: argparse.ArgumentParser) -> None:
    add_bake_options(parser)
    parser.add_argument("--detach", action="store_true", help=_("Do not follow; print the run's identifier."))


COMMANDS = {
    "probe": Spec(_probe_arguments, _probe, "lorabake probe --dataset ~/pictures/mira --base demo --set batch_size=8"),
    "bake": Spec(
        _bake_arguments,
        _bake,
        "lorabake bake --dataset ~/pictures/mira --base demo --set epochs=12 --out ~/loras",
    ),
    "demo": Spec(_demo_arguments, _demo, "lorabake demo\nlorabake demo --where --json"),
}
