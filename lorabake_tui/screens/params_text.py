"""What the Params section writes: rows of the form, help of a field, the live figures. Values in, words out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.protocol.errors import ErrorInfo
from engine.protocol.estimates import Estimate
from engine.protocol.fields import Field, changed, fields
from engine.protocol.notices import IMPOSSIBLE, concerned
from engine.protocol.recipes import Recipe, RecipeText
from engine.protocol.records import ModelRow, PresetRow
from lorabake_tui import i18n, keys
from lorabake_tui.commands.text import duration, energy, money, size
from lorabake_tui.draft import Draft
from lorabake_tui.i18n import N_, _, ngettext
from lorabake_tui.widgets.form import Entry
from lorabake_tui.widgets.page import Block, Fact, Head, Pair, Text

TOP: dict[str, tuple[str, str]] = {
    "dataset": (N_("Dataset"), N_("The folder of training images. Enter chooses another one.")),
    "reg": (
        N_("Regularisation set"),
        N_(
            "Pictures of the same kind of thing that are not your subject; they keep the model from forgetting "
            "the rest (overfitting). Off is better for a first bake. Enter chooses a folder, Bksp takes it away."
        ),
    ),
    "base": (
        N_("Base model"),
        N_(
            "The model the LoRA is made for. LoRAs of different XL bases mostly do not work on each other, so "
            "choose the one you will draw with."
        ),
    ),
    "preset": (
        N_("Theme (preset)"),
        N_("Parameters that suit a theme and a base. What you change yourself is kept when you choose another."),
    ),
    "name": (N_("Name"), N_("What the bake and its files are called. Empty: as the folder of the dataset.")),
}
"""The rows above the parameters: title and help."""

SOURCES = {
    "probe": N_("measured here"),
    "history": N_("from past bakes"),
    "model": N_("guess; m measures"),
}


def written(value: Any) -> str:
    """A value as it stands in the form and in the editor."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, float):
        mantissa, exponent, power = (f"{value:.6g}" if abs(value) >= 1e-3 or not value else f"{value:e}").partition("e")
        return f"{float(mantissa):g}e{int(power)}" if exponent else mantissa
    return str(value)


Concerns = Mapping[str, Sequence[ErrorInfo]]
"""What is to be said of parameters, by name."""


def concerns_of(notices: Iterable[ErrorInfo]) -> dict[str, list[ErrorInfo]]:
    """The sentences of an estimate by the parameters that they name."""
    found: dict[str, list[ErrorInfo]] = {}
    for info in notices:
        for name in concerned(info):
            found.setdefault(name, []).append(info)
    return found


def entries(
    draft: Draft, dataset: str, base: ModelRow | None, preset: PresetRow | None, concerns: Concerns | None = None
) -> list[Entry]:
    """The rows of the form: what the bake stands on, then its parameters, basic ones or all."""
    rows = [
        Entry("dataset", _(TOP["dataset"][0]), dataset or _("none"), faint=not dataset),
        Entry("reg", _(TOP["reg"][0]), _tail(draft.reg) or _("off"), faint=not draft.reg),
        Entry("base", _(TOP["base"][0]), (base.title or base.name) if base else _tail(draft.base)),
        Entry("preset", _(TOP["preset"][0]), _(preset.title) if preset else draft.preset or _("none")),
        Entry("name", _(TOP["name"][0]), draft.name or _("as the folder"), faint=not draft.name),
    ]
    group = ""
    for field in fields().values():
        if not draft.pro and field.level != "basic":
            continue
        if draft.pro and field.group != group:
            group = field.group
            rows += [Entry("", "", kind="space"), Entry("", _(group), kind="heading")]
        elif not group:
            group = " "
            rows.append(Entry("", "", kind="space"))
        rows.append(_entry(field, draft, (concerns or {}).get(field.name, ())))
    if not draft.pro:
        count = draft.pro_edits
        text = ngettext("{count} pro value set (p shows it)", "{count} pro values set (p shows them)", count)
        rows += [Entry("", "", kind="space"), Entry("", text.format(count=count), kind="note")] if count else []
    return rows


def _entry(field: Field, draft: Draft, concerns: Sequence[ErrorInfo]) -> Entry:
    value = draft.value(field.name)
    applies = not draft.family or draft.family in field.families
    return Entry(
        field.name,
        _(field.title),
        written(value) if value != "" else _("empty"),
        _(field.unit),
        changed=field.name in draft.edits,
        wrong=any(info.code in IMPOSSIBLE for info in concerns),
        warned=bool(concerns),
        faint=value == "" or not applies,
        kind="long" if field.kind == "str" else "value",
    )


def _tail(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def help_of(
    name: str,
    draft: Draft,
    problem: str = "",
    base: ModelRow | None = None,
    concerns: Concerns | None = None,
) -> list[Block]:
    """The help of a row: what is wrong with what is being typed or with the rest, what it means, its range, names."""
    blocks: list[Block] = [Text("✗ " + problem, "error")] if problem else []
    for info in (concerns or {}).get(name, ()):
        sign, look = _grave(info)
        blocks.append(Text(sign + _said(info), look))
    if name in TOP:
        blocks.append(Text(_(TOP[name][1])))
        if name == "base" and base is not None:
            if base.note:
                blocks.append(Text(_(base.note), "warn" if not base.commercial or base.line else ""))
            if base.licence:
                blocks.append(Text(_("Licence: {name}.").format(name=base.licence), "faint"))
        return blocks
    field = fields().get(name)
    if field is None:
        return blocks
    blocks.append(Text(_(field.help)))
    if draft.family and draft.family not in field.families:
        blocks.append(Text(_("It has no effect on this base."), "warn"))
    facts = [_("Allowed: {allowed}.").format(allowed=_allowed(field))]
    if name in draft.edits:
        reference = written(getattr(draft.reference, name)) or _("empty")
        facts.append(_("The preset says {value}.").format(value=reference))
    if field.kohya != name:
        facts.append(_("kohya: {name}.").format(name=field.kohya))
    return [*blocks, Text(" ".join(facts), "faint")]


def _allowed(field: Field) -> str:
    """The legal values in the current language."""
    if field.kind == "bool":
        return _("yes, no")
    if field.kind == "str":
        return _("text of at most {count} characters").format(count=field.max_length)
    if not field.multiple_of:
        return field.allowed
    span = field.allowed.partition(", ")[0]
    return _("{span}, multiples of {count}").format(span=span, count=field.multiple_of)


def title_of(name: str) -> str:
    """The title of a row."""
    if name in TOP:
        return _(TOP[name][0])
    field = fields().get(name)
    return _(field.title) if field else ""


def figures(estimate: Estimate) -> list[Block]:
    """The live figures: image views and optimizer steps, time, memory, disk, cost, and the notices."""
    views = estimate.image_views
    each = _("{count} · each {times:g}×").format(count=estimate.images, times=estimate.views_each)
    blocks: list[Block] = [Fact(_("Images"), each)]
    if estimate.reg_images:
        blocks.append(Fact(_("Reg. images"), str(estimate.reg_images)))
    blocks += [
        Fact(_("Image views"), str(views), "strong"),
        Fact(_("Steps per epoch"), str(estimate.steps_per_epoch)),
        Fact(_("Optimizer steps"), str(estimate.optimizer_steps), "strong"),
    ]
    unknown = _("not known yet")
    seconds, memory = estimate.seconds, estimate.memory_bytes
    blocks += [
        Fact(_("Time"), duration(seconds)) if seconds is not None else Fact(_("Time"), unknown, "faint"),
        Fact(_("Memory"), _memory(estimate), "" if estimate.fits else "warn")
        if memory is not None
        else Fact(_("Memory"), unknown, "faint"),
        Fact(_("Disk"), f"{size(estimate.disk_bytes)} · " + _files(estimate.epoch_files)),
    ]
    if estimate.energy_kwh is not None:
        blocks.append(Fact(_("Energy"), energy(estimate.energy_kwh)))
    if estimate.cost is not None:
        blocks.append(Fact(_("Cost"), money(estimate.cost, estimate.currency)))
    if not estimate.fits:
        fitting = _("Nearest that fits: {changes}. f takes it.").format(changes=changes(estimate.relief))
        hint = fitting if estimate.relief else _("No setting near it does; choose a smaller base or another machine.")
        blocks += [Text(""), Text("✗ " + _("This does not fit into memory."), "error"), Text(hint, "faint")]
    last = estimate.past
    if last is not None and last.estimated_seconds:
        off = (last.seconds / last.estimated_seconds - 1) * 100
        told = _("Last bake {seconds}, estimated {estimated} ({off:+.0f} %).").format(
            seconds=duration(last.seconds), estimated=duration(last.estimated_seconds), off=off
        )
        blocks += [Text(""), Text(told, "faint")]
    for notice in sorted(estimate.notices, key=lambda info: info.code not in IMPOSSIBLE):
        blocks += notice_text(notice, _grave(notice)[1])
    return blocks


def _said(info: ErrorInfo) -> str:
    """Message and hint in one line; Chinese sentences follow each other without a space."""
    message, hint = i18n.told(info)
    return f"{message}{'' if message.endswith('。') else ' '}{hint}".strip()


def _grave(info: ErrorInfo) -> tuple[str, str]:
    """Sign and look of a sentence about settings: a refusal or a warning."""
    return ("✗ ", "error") if info.code in IMPOSSIBLE else ("⚠ ", "warn")


def _memory(estimate: Estimate) -> str:
    used = size(estimate.memory_bytes or 0)
    return f"{used} / {size(estimate.device_memory)}" if estimate.device_memory else used


def _files(count: int) -> str:
    return ngettext("{count} file", "{count} files", count).format(count=count)


def changes(values: Mapping[str, Any]) -> str:
    """Parameters to change, as a person would write them."""
    return ", ".join(f"{name} = {written(value)}" for name, value in values.items())


def source_of(estimate: Estimate) -> str:
    """How sure time and memory are, and where they come from, in words."""
    if estimate.seconds is None:
        return ""
    source = _(SOURCES.get(estimate.source, ""))
    return f"± {estimate.error * 100:.0f} % · {source}" if estimate.error else source


def recipe(found: Recipe) -> list[Block]:
    """What became of the keys of a file: the refused ones first, for they matter most."""
    heads = {"refused": _("Refused"), "mapped": _("Taken over"), "ignored": _("Without meaning here")}
    blocks: list[Block] = [Text(found.format, "faint")]
    for outcome, title in heads.items():
        rows = [row for row in found.rows if row.outcome == outcome]
        if rows:
            blocks.append(Head(f"{title} · {len(rows)}"))
        for row in rows:
            blocks.append(Pair(row.key, _said(row.why) if row.why is not None else row.to))
    if found.defaults:
        blocks += [
            Head(_("Not in the file, so as that trainer has it")),
            Text(", ".join(f"{name} = {written(found.params[name])}" for name in found.defaults)),
        ]
    return blocks


def exported(found: RecipeText) -> list[Block]:
    """Where the configuration is, what it cannot say, and how the images get there."""
    blocks: list[Block] = [Text(found.path)]
    if found.left_out:
        blocks.append(Head(_("Without a word in it")))
        blocks += [Pair(name, title_of(name)) for name in found.left_out]
    advice = _("Repeats and crops stand in the folders there: {key} in the Dataset section writes them for kohya's.")
    return [*blocks, Text(""), Text(advice.format(key=keys.find("dataset.export").key), "faint")]


def differences(draft: Draft) -> list[Block]:
    """What a person changed from the preset, and what the preset changes from the defaults."""
    blocks: list[Block] = [Head(_("You changed, from the preset"))]
    table = fields()
    for name, value in draft.edits.items():
        told = f"{written(value) or _('empty')}  ← {written(getattr(draft.reference, name)) or _('empty')}"
        blocks.append(Pair(_(table[name].title), told))
    if not draft.edits:
        blocks.append(Text(_("nothing"), "faint"))
    blocks.append(Head(_("The preset changed, from the defaults")))
    for name, value in changed(draft.reference).items():
        told = f"{written(value) or _('empty')}  ← {written(table[name].default) or _('empty')}"
        blocks.append(Pair(_(table[name].title), told))
    return blocks


def notice_text(info: ErrorInfo, look: str = "warn") -> list[Block]:
    """A notice or an error as text."""
    message, hint = i18n.told(info)
    sign = "⚠ " if look == "warn" else "✗ "
    return [Text(""), Text(sign + message, look), *([Text(hint, "faint")] if hint else [])]


def model_note(row: ModelRow) -> str:
    """What distinguishes a base model in a list."""
    family = {"sd15": "SD 1.5", "sdxl": "SDXL"}.get(row.family, row.family)
    return family if row.present else family + " · " + _("not on this machine")
