"""The sheet that asks where an epoch is published, and what its answers mean; a folder is completed with tab."""

from __future__ import annotations

from textual import work

from engine.protocol.publishing import Published, PublishParams
from lorabake_tui.dialogs.path import PathPrompt
from lorabake_tui.dialogs.settings import ANYTHING, Setting, Settings, yes_no
from lorabake_tui.i18n import _, ngettext, told

_PLACES = ("folder", "a1111", "comfyui", "bundle", "hf")


class PublishSheet(Settings):
    """Returns the answers; `kept` is how the sheet was left."""

    HINTS = ("dialog.accept", "settings.next", "dialog.complete", "dialog.cancel")

    def __init__(self, epoch: int, kept: dict[str, str]) -> None:
        title = _("Publish") + " · " + _("epoch {epoch}").format(epoch=epoch)
        super().__init__(title, _rows(kept), _note)

    def action_complete(self) -> None:
        """Choose the folder from those there are."""
        if self._values["kind"] != "hf":
            self._choose()

    @work(exit_on_error=False, group="folders")
    async def _choose(self) -> None:
        chosen = await self.app.push_screen_wait(PathPrompt(_("Where"), self._values["where"] or "~/"))
        if chosen:
            self.put("where", chosen)


def _rows(kept: dict[str, str]) -> list[Setting]:
    places = {
        "folder": _("a folder"),
        "a1111": _("A1111 or Forge"),
        "comfyui": "ComfyUI",
        "bundle": _("a bundle with card, previews, recipe"),
        "hf": _("the Hugging Face hub"),
    }
    hint = _("its folder; for the hub YOU/NAME")
    return [
        Setting("kind", _("To"), [(kind, places[kind]) for kind in _PLACES], value=kept.get("kind", "folder")),
        Setting("where", _("Where"), value=kept.get("where", ""), typed=ANYTHING, hint=hint),
        Setting("name", _("Name"), value=kept.get("name", ""), typed=ANYTHING),
        Setting("trigger", _("Trigger words"), value=kept.get("trigger", ""), typed=ANYTHING, hint=_("none")),
        Setting("weight", _("Weight"), value=kept.get("weight", "0.8"), typed="0123456789."),
        yes_no("overwrite", _("Replace"), value=bool(kept.get("overwrite"))),
        yes_no("public", _("Open to all"), value=bool(kept.get("public"))),
    ]


def _note(values: dict[str, str]) -> tuple[str, bool]:
    if not values["where"].strip():
        return _("Write where it goes."), True
    try:
        float(values["weight"])
    except ValueError:
        return _("The weight is a number."), True
    return _("Enter shows what will be written, before anything is."), False


def asked(run: str, epoch: int, values: dict[str, str]) -> PublishParams:
    """What the answers ask for."""
    from lorabake_tui.commands.results import place

    return PublishParams(
        run=run,
        epoch=epoch,
        to=place(f"{values['kind']}:{values['where'].strip()}"),
        name=values["name"],
        trigger=values["trigger"],
        weight=float(values["weight"]),
        overwrite=bool(values["overwrite"]),
        public=bool(values["public"]),
    )


def question(plan: Published, wanted: PublishParams) -> str:
    """What would be written where, for a yes or no."""
    count = len(plan.files)
    lines = [ngettext("{n} file to {place}", "{n} files to {place}", count).format(n=count, place=plan.to)]
    lines += ["  " + plan.files[-1], f"  {_('hash')} {plan.hash[:12]}"]
    if plan.taken and wanted.overwrite:
        taken = ngettext("{n} file is replaced.", "{n} files are replaced.", len(plan.taken))
        lines.append(taken.format(n=len(plan.taken)))
    for notice in plan.notices:
        lines += ["", "! " + " ".join(part for part in told(notice) if part)]
    return "\n".join(lines)
