"""The sheets that ask for a test and for a grid, and what their answers mean."""

from __future__ import annotations

from engine.protocol.drawing import SAMPLERS, DrawDefaults, DrawParams
from lorabake_tui.dialogs.settings import ANYTHING, Setting
from lorabake_tui.i18n import _

_NUMBER = "0123456789.-"
_WHOLE = "0123456789"
_LIST = "0123456789., -"
_WEIGHTS = [(f"{n / 10:g}", f"{n / 10:g}") for n in range(16)]


def rows_of_test(start: DrawDefaults, epoch: int, kept: dict[str, str]) -> list[Setting]:
    """The rows of a test; `kept` is how the sheet was left."""
    shot = start.shot
    epochs = [(str(n), _("epoch {epoch}").format(epoch=n) if n else _("baseline")) for n in start.epochs]
    return [
        Setting("prompt", _("Prompt"), value=kept.get("prompt", shot.prompt), typed=ANYTHING),
        Setting("negative", _("Not wanted"), value=kept.get("negative", shot.negative), typed=ANYTHING),
        Setting("epoch", _("Epoch"), epochs, value=str(epoch)),
        Setting("weight", _("Weight"), _WEIGHTS, value=kept.get("weight", "1"), typed=_NUMBER),
        *_shared(start, kept),
        Setting("seed", _("Seed"), value=kept.get("seed", str(shot.seed)), typed=_WHOLE),
        Setting("count", _("Pictures"), [(str(n), str(n)) for n in (1, 2, 4, 8)], value=kept.get("count", "1")),
    ]


def rows_of_grid(start: DrawDefaults, kept: dict[str, str]) -> list[Setting]:
    """The rows of a grid."""
    epochs = ", ".join(str(epoch) for epoch in start.epochs if epoch)
    return [
        Setting("prompt", _("Prompts"), value=kept.get("prompt", start.shot.prompt), typed=ANYTHING),
        Setting("negative", _("Not wanted"), value=kept.get("negative", start.shot.negative), typed=ANYTHING),
        Setting("epochs", _("Epochs"), value=kept.get("epochs", epochs), typed=_LIST),
        Setting("weights", _("Weights"), value=kept.get("weights", "0.6, 0.8, 1"), typed=_LIST),
        Setting("seeds", _("Seeds"), value=kept.get("seeds", str(start.shot.seed)), typed=_LIST),
        Setting("cfgs", "CFG", value=kept.get("cfgs", f"{start.shot.cfg:g}"), typed=_LIST),
        *[row for row in _shared(start, kept) if row.id != "cfg"],
    ]


def _shared(start: DrawDefaults, kept: dict[str, str]) -> list[Setting]:
    shot = start.shot
    size = f"{shot.width}x{shot.height}"
    return [
        Setting("sampler", _("Sampler"), list(SAMPLERS.items()), value=kept.get("sampler", shot.sampler)),
        Setting("steps", _("Steps"), value=kept.get("steps", str(shot.steps)), typed=_WHOLE),
        Setting("cfg", "CFG", value=kept.get("cfg", f"{shot.cfg:g}"), typed=_NUMBER),
        Setting("size", _("Size"), value=kept.get("size", size), typed="0123456789x"),
    ]


def asked_test(source: str, values: dict[str, str]) -> DrawParams | None:
    """What the sheet asks for; None where a number is none."""
    try:
        width, height = (int(part) for part in values["size"].split("x"))
        return DrawParams(
            source=source,
            epoch=int(values["epoch"]),
            weight=float(values["weight"]),
            prompt=values["prompt"],
            negative=values["negative"],
            sampler=values["sampler"],
            steps=int(values["steps"]),
            cfg=float(values["cfg"]),
            width=width,
            height=height,
            seed=int(values["seed"]),
            count=int(values["count"]),
        )
    except ValueError:
        return None


def asked_grid(source: str, values: dict[str, str]) -> DrawParams | None:
    """As `asked_test`; several prompts stand with a | between them."""
    try:
        width, height = (int(part) for part in values["size"].split("x"))
        return DrawParams(
            grid=True,
            source=source,
            epochs=[int(part) for part in _parts(values["epochs"])],
            weights=[float(part) for part in _parts(values["weights"])],
            seeds=[int(part) for part in _parts(values["seeds"])],
            cfgs=[float(part) for part in _parts(values["cfgs"])],
            prompts=[part.strip() for part in values["prompt"].split("|")],
            negative=values["negative"],
            sampler=values["sampler"],
            steps=int(values["steps"]),
            width=width,
            height=height,
        )
    except ValueError:
        return None


def note_of_test(values: dict[str, str]) -> tuple[str, bool]:
    """The line below the sheet of a test."""
    if asked_test("", values) is None:
        return _("Weight, steps, CFG, size, seed and pictures are numbers; a size is 512x768."), True
    return _("(word:1.2), [word], <lora:name:0.8> and --w --h --d --s --l --n are understood. Enter draws."), False


def note_of_grid(values: dict[str, str]) -> tuple[str, bool]:
    """The line below the sheet of a grid."""
    asked = asked_grid("", values)
    if asked is None:
        return _("Epochs, weights, seeds and CFG are numbers with commas between."), True
    count = 1
    for axis in (asked.epochs, asked.weights, asked.seeds, asked.cfgs, asked.prompts):
        count *= max(1, len(axis))
    words = _("{count} pictures and a column of the base alone; several prompts with | between. Enter draws.")
    return words.format(count=count), False


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
