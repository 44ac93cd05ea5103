"""`lorabake test` and `lorabake grid`: draw with any epoch or file at once, and the history of what was drawn."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.protocol.drawing import SAMPLERS, Drawn, DrawnParams, DrawParams
from engine.protocol.events import Finished, Phase, Tested, decode_event
from engine.protocol.messages import Batch, Push, RunsChanged, WatchParams
from lorabake_tui.client import ClientError
from lorabake_tui.commands import Spec
from lorabake_tui.commands.exits import FAILED, OK, USAGE, Exit, complain, report
from lorabake_tui.commands.options import absolute, base_model
from lorabake_tui.commands.session import converse, fetch, print_json
from lorabake_tui.commands.text import steerable, table
from lorabake_tui.i18n import _, ngettext
from lorabake_tui.widgets import states
from lorabake_tui.widgets.plain import plain

if TYPE_CHECKING:
    from lorabake_tui.client import EngineClient


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", nargs="?", default="", metavar=_("RUN|FILE"), help=_("A run (its name, or `last`), or a LoRA file.")
    )
    parser.add_argument(
        "--base", default="", metavar=_("NAME|PATH"), help=_("The base model; the run's own otherwise.")
    )
    parser.add_argument(
        "--lora",
        dest="loras",
        action="append",
        default=[],
        metavar=_("NAME:WEIGHT"),
        help=_("One more LoRA, by name or path; may be given many times."),
    )
    parser.add_argument("--negative", default=None, metavar=_("TEXT"), help=_("What is not wanted."))
    parser.add_argument("--size", default="", metavar=_("WxH"), help=_("Size in pixels."))
    parser.add_argument("--sampler", default="", metavar=_("NAME"), help=", ".join(SAMPLERS.values()))
    parser.add_argument("--steps", type=int, default=0, metavar=_("COUNT"), help=_("Steps of the sampler."))
    parser.add_argument("--clip-skip", type=int, default=0, metavar=_("COUNT"), help=_("As A1111 counts, from 1."))
    parser.add_argument("--out", default="", metavar=_("FOLDER"), help=_("Copy the pictures into this folder."))
    parser.add_argument(
        "--now",
        action="store_true",
        help=_("Do not wait for a bake: draw beside it, on the processor, or on its GPU while it is paused."),
    )
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def _test_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prompt",
        default=None,
        metavar=_("TEXT"),
        help=_("What to draw: (word:1.2), [word], <lora:name:0.8>, --w --h --d --s --l --n; the run's own otherwise."),
    )
    parser.add_argument(
        "--epoch", type=int, default=None, metavar=_("COUNT"), help=_("The last otherwise; 0: without.")
    )
    parser.add_argument("--weight", type=float, default=1.0, metavar=_("NUMBER"), help=_("How strongly it acts."))
    parser.add_argument("--cfg", type=float, default=None, metavar=_("NUMBER"), help=_("How closely to the prompt."))
    parser.add_argument("--seed", type=int, default=None, metavar=_("NUMBER"), help=_("Of the first picture."))
    parser.add_argument("--count", type=int, default=1, metavar=_("COUNT"), help=_("Pictures, with seeds counted up."))
    parser.add_argument("--again", default="", metavar=_("TEST"), help=_("Draw an earlier test once more."))
    parser.add_argument("--list", action="store_true", help=_("List what was drawn, newest first."))
    parser.add_argument("--show", default="", metavar=_("TEST"), help=_("Tell the settings and files of a test."))
    _arguments(parser)


def _grid_arguments(parser: argparse.ArgumentParser) -> None:
    lists = (
        ("--epochs", _("Epochs with commas between; 0 is the base.")),
        ("--weights", _("Weights with commas between.")),
        ("--seeds", _("Seeds with commas between.")),
        ("--cfgs", _("CFG scales with commas between.")),
    )
    for name, about in lists:
        parser.add_argument(name, default="", metavar=_("LIST"), help=about)
    parser.add_argument(
        "--prompt",
        dest="prompts",
        action="append",
        default=[],
        metavar=_("TEXT"),
        help=_("What to draw; may be given many times."),
    )
    parser.add_argument("--no-baseline", action="store_true", help=_("No column of the base alone."))
    _arguments(parser)


def _test(args: argparse.Namespace) -> int:
    if args.list:
        return fetch("draw.list", None, _list, as_json=args.json)
    if args.show:
        return fetch("draw.show", DrawnParams(id=args.show), _show, as_json=args.json)
    if not (args.source or args.base or args.again):
        complain(_("Name a run, a LoRA file or a base model."), _("For example `lorabake test last`."))
        raise Exit(USAGE)
    return Drawing(as_json=args.json, now=args.now).run(asked_of("test", args))


def _grid(args: argparse.Namespace) -> int:
    if not (args.source or args.base):
        complain(_("Name a run, a LoRA file or a base model."), _("For example `lorabake grid last`."))
        raise Exit(USAGE)
    return Drawing(as_json=args.json, now=args.now).run(asked_of("grid", args))


def asked_of(command: str, args: argparse.Namespace) -> DrawParams:
    """What the words of a command line ask for; raises Exit on a list that is none."""
    if command == "test":
        return DrawParams(
            prompt=args.prompt,
            epoch=args.epoch,
            weight=args.weight,
            cfg=args.cfg,
            seed=args.seed,
            count=args.count,
            again=args.again,
            **_shared(args),
        )
    return DrawParams(
        grid=True,
        epochs=_numbers("--epochs", args.epochs, int),
        weights=_numbers("--weights", args.weights, float),
        seeds=_numbers("--seeds", args.seeds, int),
        cfgs=_numbers("--cfgs", args.cfgs, float),
        prompts=args.prompts,
        baseline=not args.no_baseline,
        **_shared(args),
    )


def _shared(args: argparse.Namespace) -> dict[str, Any]:
    width, height = _size(args.size)
    looks_like_path = args.source.endswith(".safetensors") or "/" in args.source
    return {
        "source": absolute(args.source) if looks_like_path else args.source,
        "base": base_model(args.base),
        "loras": args.loras,
        "negative": args.negative,
        "width": width,
        "height": height,
        "sampler": args.sampler,
        "steps": args.steps,
        "clip_skip": args.clip_skip,
        "out": absolute(args.out),
    }


def _size(text: str) -> tuple[int, int]:
    if not text:
        return 0, 0
    try:
        width, height = (int(part) for part in text.lower().replace("×", "x").split("x"))
    except ValueError:
        complain(_("--size wants WxH, not {word}.").format(word=text), _("For example --size 512x768."))
        raise Exit(USAGE) from None
    return width, height


def _numbers(name: str, text: str, kind: Callable[[str], Any]) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",") if part.strip()]
    except ValueError:
        complain(_("{name} wants numbers with commas between, not {word}.").format(name=name, word=text))
        raise Exit(USAGE) from None


class Drawing:
    """One test from asking to its last picture; ctrl+c stops it. `now` does not wait for a bake that has the device."""

    def __init__(self, *, as_json: bool, now: bool = False) -> None:
        self._as_json, self._now = as_json, now
        self._pushes: asyncio.Queue[Push | None] = asyncio.Queue()
        self._live = not as_json and steerable(sys.stderr)

    def run(self, asked: DrawParams) -> int:
        """Ask, follow, tell; returns the exit code."""

        async def work(client: EngineClient) -> int:
            drawn: Drawn = await client.call("draw.submit", asked)
            try:
                if self._now:
                    await client.call("draw.now", DrawnParams(id=drawn.id))
            except ClientError:
                await client.call("draw.stop", DrawnParams(id=drawn.id))
                raise
            try:
                return await self._follow(client, drawn)
            except asyncio.CancelledError:
                await client.call("draw.stop", DrawnParams(id=drawn.id))
                raise

        return converse(
            work, as_json=self._as_json, on_push=self._pushes.put_nowait, on_lost=lambda: self._pushes.put_nowait(None)
        )

    async def _follow(self, client: EngineClient, drawn: Drawn) -> int:
        began = time.monotonic()
        await client.call("runs.subscribe")
        await client.call("runs.watch", WatchParams(run=drawn.run))
        while not await self._over(client, drawn):
            pass
        self._say("")
        drawn = await client.call("draw.show", DrawnParams(id=drawn.id))
        if drawn.state != "done":
            assert drawn.error is not None
            return report(drawn.error, as_json=self._as_json)
        if self._as_json:
            print_json(drawn)
        else:
            _show(drawn)
            print(_("{seconds} s").format(seconds=f"{time.monotonic() - began:.1f}"))
        return OK

    async def _over(self, client: EngineClient, drawn: Drawn) -> bool:
        push = await self._pushes.get()
        if push is None:
            return True
        if isinstance(push, RunsChanged):
            row = next((row for row in push.runs if row.id == drawn.run), None)
            if row is not None and row.state in ("queued", "held"):
                ahead = next((other for other in push.runs if other.state in states.GOING and other.id != row.id), None)
                if ahead is not None:
                    self._say(_("waiting for {name}; --now draws beside it").format(name=ahead.name))
            return row is None or row.state not in states.GOING
        if not isinstance(push, Batch) or push.run != drawn.run:
            return False
        for line in push.events:
            event = decode_event(bytes(line))
            if isinstance(event, Phase):
                self._say(_(states.PHASES.get(event.name, event.name)))
            elif isinstance(event, Tested) and event.test == drawn.id:
                self._say(_("picture {done} of {total}").format(done=event.done, total=event.total))
                if event.state != "drawing":
                    return True
            elif isinstance(event, Finished):
                return True
        return False

    def _say(self, text: str) -> None:
        if self._live:
            print(f"\r\x1b[K{plain(text)}", end="", file=sys.stderr, flush=True)


def _list(tests: list[Drawn]) -> int:
    if not tests:
        print(_("Nothing was tested yet. `lorabake test last` draws with the newest bake."))
        return OK
    head = [_("id"), _("state"), _("pictures"), _("of"), _("prompt")]
    body = [
        [drawn.id, _(drawn.state), str(len(drawn.shots)), about(drawn), drawn.shots[0].prompt[:60]] for drawn in tests
    ]
    print("\n".join(table(head, body, right=(2,))))
    return OK


def about(drawn: Drawn) -> str:
    """What a test is of, in a word or two."""
    source = Path(drawn.source).name if drawn.source else drawn.base
    if drawn.cells:
        return _("grid of {source}").format(source=source)
    return f"{source} · {_('epoch {epoch}').format(epoch=drawn.epoch)}" if drawn.epoch is not None else source


def _show(drawn: Drawn) -> int:
    if drawn.error is not None:
        return report(drawn.error, as_json=False) or FAILED
    folder = Path(drawn.dir)
    if drawn.sheet:
        print(plain(str(folder / drawn.sheet)))
    count = len(drawn.shots)
    if drawn.cells:
        print(ngettext("{n} picture", "{n} pictures", count).format(n=count) + f" · {plain(drawn.dir)}")
    else:
        print("\n".join(plain(str(folder / f"{place + 1:02d}.png")) for place in range(count)))
    print(_("Again: {command}").format(command=plain(drawn.command)))
    return OK


COMMANDS = {
    "test": Spec(
        _test_arguments,
        _test,
        "lorabake test last --epoch 4 --weight 0.8 --prompt 'mira, (smile:1.2), outdoors' --count 4",
    ),
    "grid": Spec(
        _grid_arguments, _grid, "lorabake grid last --epochs 2,4,6 --weights 0.6,0.8,1 --prompt 'mira, smile'"
    ),
}
