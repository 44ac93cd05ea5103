"""`lorabake results | publish | rebake`: what a run made, where it goes, the same again."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.protocol import fields
from engine.protocol.messages import RunParams, Submit
from engine.protocol.publishing import (
    EpochFacts,
    Published,
    PublishParams,
    RunResults,
)
from engine.protocol.records import RunRow
from lorabake_tui.commands import Spec
from lorabake_tui.commands.estimate import took
from lorabake_tui.commands.exits import OK, USAGE, Exit, complain
from lorabake_tui.commands.follow import Follower
from lorabake_tui.commands.options import absolute, add_out, add_sets, base_model, parameters, set_parameters
from lorabake_tui.commands.runs import add_run
from lorabake_tui.commands.session import converse, fetch, print_json
from lorabake_tui.commands.text import pairs, size, table
from lorabake_tui.i18n import N_, _, told
from lorabake_tui.widgets.plain import plain

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient

SOURCES = {"set": N_("set by hand"), "preset": N_("from the preset"), "default": N_("as usual")}
"""Where a parameter comes from, to be translated."""


def _results_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--params", action="store_true", help=_("Tell the parameters and where each comes from."))


def _results(args: argparse.Namespace) -> int:
    def show(found: RunResults) -> int:
        print("\n".join(plain(line) for line in (_parameters(found) if args.params else _epochs(found))))
        return OK

    return fetch("results.show", RunParams(run=args.run), show, as_json=args.json)


def _epochs(found: RunResults) -> list[str]:
    head = [_("epoch"), _("loss"), _("held out"), _("likeness"), _("obedience"), _("size"), ""]
    lines = table(head, [_epoch(row, found.overtrained) for row in found.epochs], right=(0, 1, 2, 3, 4, 5))
    for hint in found.hints:
        message, advice = told(hint)
        lines += ["", f"* {message}", f"  {advice}"]
    lines += ["", *pairs([(_("folder"), found.dir), (_("on the disk"), size(found.bytes)), *_relatives(found)])]
    return lines + took(found.outcome)


def _epoch(row: EpochFacts, overtrained: int) -> list[str]:
    notes = ["*"] if row.best else []
    notes += ["!"] if overtrained and row.epoch >= overtrained else []
    notes += [] if row.present or not row.epoch else [_("in the trash")]
    notes += [_("published: {place}").format(place=place) for place in row.published]
    return [
        str(row.epoch) if row.epoch else _("base"),
        *("" if value is None else f"{value:.4f}" for value in (row.loss, row.held_out)),
        *("" if value is None else f"{value:.0%}" for value in (row.likeness, row.obedience)),
        size(row.bytes) if row.bytes else "",
        " ".join(notes),
    ]


def _relatives(found: RunResults) -> list[tuple[str, str]]:
    rows = [(_("baked again from"), found.parent), (_("baked again as"), ", ".join(found.children))]
    return [row for row in rows if row[1]]


def _parameters(found: RunResults) -> list[str]:
    head = [_("parameter"), _("value"), _("from"), _("else")]
    names = fields.fields()
    order = {"set": 0, "preset": 1, "default": 2}
    body = [
        [row.name, row.value, _(SOURCES[row.source]), row.standard if row.source == "set" else ""]
        for row in sorted(found.params, key=lambda row: order[row.source])
        if row.name in names
    ]
    lines = table(head, body)
    if found.derived:
        lines += ["", _("Worked out by the trainer:"), *pairs(list(found.derived.items()), indent=2)]
    return lines


def _publish_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "--to",
        required=True,
        metavar=_("PLACE"),
        help=_("A folder, or a1111:FOLDER, comfyui:FOLDER, bundle:FOLDER, hf:REPOSITORY."),
    )
    parser.add_argument(
        "--epoch", type=int, default=None, metavar=_("COUNT"), help=_("Which one; else the best, or the last.")
    )
    parser.add_argument("--name", default="", metavar=_("NAME"), help=_("What the file is called; else as the bake."))
    parser.add_argument("--trigger", default=None, metavar=_("TEXT"), help=_("The trigger words; else as trained."))
    parser.add_argument("--weight", type=float, default=0.8, metavar=_("NUMBER"), help=_("The weight to recommend."))
    parser.add_argument("--overwrite", action="store_true", help=_("Replace what is there."))
    parser.add_argument("--public", action="store_true", help=_("A new repository is open to everybody."))
    parser.add_argument("--dry-run", action="store_true", help=_("Tell what would happen, and do nothing."))


def _publish(args: argparse.Namespace) -> int:
    asked = PublishParams(
        run=args.run,
        to=place(args.to),
        epoch=args.epoch,
        name=args.name,
        trigger=args.trigger,
        weight=args.weight,
        overwrite=args.overwrite,
        dry_run=args.dry_run,
        public=args.public,
    )
    return fetch("results.publish", asked, _published, as_json=args.json)


def place(text: str) -> str:
    """A destination with its folder absolute, as the engine needs it."""
    kind, colon, rest = text.partition(":")
    if colon and kind in ("folder", "a1111", "comfyui", "bundle"):
        return f"{kind}:{absolute(rest)}" if rest else text
    return text if colon and kind == "hf" else absolute(text)


def _published(done: Published) -> int:
    for notice in done.notices:
        print("! " + " ".join(plain(part) for part in told(notice) if part))
    head = _("would be published") if done.dry_run else _("published")
    print(_("{name}, epoch {epoch}: {state}").format(name=plain(done.name), epoch=done.epoch, state=head))
    print(
        "\n".join(
            f"  {plain(file)}" + (" " + _("(is there already)") if file in done.taken else "") for file in done.files
        )
    )
    rows = [(_("address"), done.url), (_("trigger word"), done.trigger), (_("hash"), done.hash[:12])]
    print("\n".join(pairs([(name, plain(text)) for name, text in rows if text])))
    return OK


def _rebake_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar=_("RUN|FILE"), help=_("A run, or a recipe (recipe.toml, job.toml)."))
    parser.add_argument("--dataset", default="", metavar=_("FOLDER"), help=_("Another dataset; a recipe needs one."))
    parser.add_argument("--base", default="", metavar=_("NAME|PATH"), help=_("Another base model."))
    add_sets(parser, _("Change one parameter; may be given many times."))
    parser.add_argument("--name", default="", metavar=_("NAME"), help=_("What the new LoRA is called."))
    add_out(parser)
    parser.add_argument("--detach", action="store_true", help=_("Do not follow; print the run's identifier."))
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _rebake(args: argparse.Namespace) -> int:
    if args.run.endswith(".toml") or "/" in args.run:
        wanted = _of_recipe(args)
        return _start(lambda client: _submitted(client, wanted), args)
    changes = set_parameters(args.sets)
    return _start(lambda client: _again(client, args, changes), args)


def _of_recipe(args: argparse.Namespace) -> Submit:
    params = parameters(argparse.Namespace(file=args.run, sets=args.sets))
    told_of = tomllib.loads(Path(args.run).expanduser().read_text("utf-8"))
    about = told_of.get("recipe", told_of)
    known = {name: value for name in ("base", "name", "dataset") if isinstance(value := about.get(name, ""), str)}
    dataset = args.dataset or known.get("dataset", "")
    if not dataset:
        complain(_("A recipe names no dataset."), _("Name one with --dataset."))
        raise Exit(USAGE)
    return Submit(
        dataset=absolute(dataset),
        base=base_model(args.base or known.get("base", "") or "demo"),
        params=params,
        name=args.name or known.get("name", ""),
        out=absolute(args.out),
    )


async def _submitted(client: EngineClient, wanted: Submit) -> RunRow:
    row: RunRow = await client.call("runs.submit", wanted)
    return row


async def _again(client: EngineClient, args: argparse.Namespace, changes: dict[str, Any]) -> RunRow:
    job = await client.call("runs.job", RunParams(run=args.run))
    again = Submit(
        dataset=absolute(args.dataset) or job.dataset,
        reg=job.reg,
        base=base_model(args.base) or job.base,
        preset="" if args.base else job.preset,
        params={**msgspec.to_builtins(job.params), **changes},
        name=args.name or job.name,
        out=absolute(args.out),
        kind="fake" if job.kind == "fake" else "bake",
        parent=job.id,
    )
    return await _submitted(client, again)


def _start(submit: Any, args: argparse.Namespace) -> int:
    """Queue the bake; follow it unless it is to be left alone."""
    follower = Follower(as_json=args.json, quiet=args.detach)

    async def work(client: EngineClient) -> int:
        row: RunRow = await submit(client)
        if not args.detach:
            return await follower.until_end(client, row)
        if args.json:
            print_json(row)
        else:
            print(row.id)
        return OK

    return converse(work, as_json=args.json) if args.detach else follower.run(work)


COMMANDS = {
    "results": Spec(_results_arguments, _results, "lorabake results last\nlorabake results last --params"),
    "publish": Spec(
        _publish_arguments,
        _publish,
        "lorabake publish last --epoch 4 --to a1111:~/stable-diffusion-webui --name mira --trigger mira",
    ),
    "rebake": Spec(_rebake_arguments, _rebake, "lorabake rebake last --set unet_lr=5e-5"),
}
