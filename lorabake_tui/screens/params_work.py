"""What the Params section does beyond changing one value: own presets, recipes, the editor, the probe, rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from textual import work

from engine.protocol import fields, params_toml
from engine.protocol.errors import EngineError
from engine.protocol.estimates import Estimate, Rates
from engine.protocol.messages import PathParams, SavePreset
from engine.protocol.recipes import Recipe, RecipeText, WriteRecipe
from lorabake_tui import i18n
from lorabake_tui.client import ClientError
from lorabake_tui.i18n import _, ngettext
from lorabake_tui.screens import params_text
from lorabake_tui.screens.section import Section
from lorabake_tui.widgets.plain import plain

if TYPE_CHECKING:
    from lorabake_tui.dialogs.settings import Settings

_NUMBER = "0123456789."


class ParamsWork(Section, inherit_bindings=False):
    """The larger actions of the section; `estimate` is the last one shown."""

    estimate: Estimate | None = None

    def _show(self) -> None:
        raise NotImplementedError

    def ask_again(self) -> None:
        """Ask for the figures anew although no value changed."""
        raise NotImplementedError

    # -- presets and recipes ----------------------------------------------------------------------------------

    @work(exit_on_error=False, group="popup")
    async def action_save_preset(self) -> None:
        from lorabake_tui.dialogs.prompt import Prompt

        draft, mine = self.bench.draft, {row.name for row in self.bench.catalogue.presets if row.own}
        note = _("Your changes on top of {preset}. The repeat follows the number of images unless you set it.")
        name = await self.app.push_screen_wait(
            Prompt(_("Save as a preset"), note=note.format(preset=draft.preset or _("none")), check=_name_wrong)
        )
        if not name:
            return
        wanted = SavePreset(name=name, preset=draft.preset, params=draft.edits, family=draft.family, force=name in mine)
        row = await self.call("presets.save", wanted)
        if row is not None:
            await self._kept(row.name)
            self.bench.tell(_("The preset {name} is kept.").format(name=row.name))

    async def _kept(self, name: str) -> None:
        await self.bench.catalogue.load()
        self.bench.draft.preset = name
        self.bench.stand()

    @work(exit_on_error=False, group="popup")
    async def action_import(self) -> None:
        from lorabake_tui.dialogs.path import PathPrompt
        from lorabake_tui.dialogs.report import ReportBox

        start = self.bench.opened.beside
        path = await self.app.push_screen_wait(
            PathPrompt(_("Take parameters from a file"), start, files=(".toml", ".json", ".txt", ".sh", ".bat"))
        )
        if not path:
            return
        recipe: Recipe | None = await self.call("recipes.read", PathParams(path=path))
        if recipe is not None:
            values = dict(recipe.params)
            if recipe.format != "lorabake":
                # What a foreign file is silent about is the default, and not what the preset here would have.
                values = {name: field.default for name, field in fields.fields().items()} | values
            self._take(values)
            await self.app.push_screen_wait(ReportBox(_("What became of the file"), params_text.recipe(recipe)))

    @work(exit_on_error=False, group="popup")
    async def action_export(self) -> None:
        """The parameters as a configuration of sd-scripts, with what has no word there told."""
        from lorabake_tui.dialogs.path import PathPrompt
        from lorabake_tui.dialogs.report import ReportBox

        opened, draft = self.bench.opened, self.bench.draft
        name = draft.name or opened.name or "lorabake"
        path = await self.app.push_screen_wait(
            PathPrompt(_("Write for sd-scripts"), f"{opened.beside}{name}.sd-scripts.toml", files=".toml")
        )
        if not path:
            return
        base = self.bench.catalogue.base
        wanted = WriteRecipe(
            out=path,
            params=draft.values(),
            base=(base.path if base is not None else "") or draft.base,
            dataset=opened.path,
            reg=draft.reg,
            name=name,
        )
        found = await self._exported(wanted)
        if found is not None:
            await self.app.push_screen_wait(ReportBox(_("Written for sd-scripts"), params_text.exported(found)))

    async def _exported(self, wanted: WriteRecipe) -> RecipeText | None:
        from lorabake_tui.dialogs.confirm import Confirm

        try:
            found: RecipeText = await self.bench.engine.call("recipes.write", wanted)
            return found
        except ClientError as failure:
            question = i18n.told(failure.info)[0] + "\n" + _("Write over it?")
            if failure.info.code != "recipe_exists":
                self.bench.tell_error(failure.info)
                return None
        if not await self.app.push_screen_wait(Confirm(_("Write for sd-scripts"), question)):
            return None
        again: RecipeText | None = await self.call("recipes.write", msgspec.structs.replace(wanted, overwrite=True))
        return again

    def _take(self, values: dict[str, object]) -> bool:
        """Make these values those of the draft; False, and told, where one is not allowed."""
        try:
            for name, value in values.items():
                self.bench.draft.set(name, value)
        except EngineError as error:
            self.bench.tell_error(error.info)
            return False
        finally:
            self._show()
        return True

    def action_editor(self) -> None:
        """All parameters in $EDITOR as TOML; nothing is taken unless everything in it is allowed."""
        from lorabake_tui.editor import edit_text

        draft = self.bench.draft
        before = {name: draft.value(name) for name in fields.fields()}
        text = edit_text(self.app, params_toml.written(before, say=i18n._), suffix=".toml")
        if text is None:
            self.bench.tell(_("The editor did not run, or ended with an error; nothing was changed."))
            return
        try:
            after = params_toml.read(text)
        except EngineError as error:
            self.bench.tell_error(error.info)
            return
        changed = {name: value for name, value in after.items() if value != before[name]}
        # A line that was deleted is a value that was given back to the preset.
        for name in before.keys() - after.keys():
            draft.reset(name)
        self._take(changed)
        told = ngettext("{count} value changed.", "{count} values changed.", len(changed))
        self.bench.tell(told.format(count=len(changed)))

    @work(exit_on_error=False, group="popup")
    async def action_differences(self) -> None:
        from lorabake_tui.dialogs.report import ReportBox

        blocks = params_text.differences(self.bench.draft)
        await self.app.push_screen_wait(ReportBox(_("What differs"), blocks))

    # -- the estimate -----------------------------------------------------------------------------------------

    @work(exclusive=True, exit_on_error=False, group="start")
    async def action_measure(self) -> None:
        """A probe: a few steps of this very bake, in the queue like any job."""
        if not self.bench.opened.path:
            self.bench.tell(_("Open a dataset first (1, then o)."))
            return
        wanted = msgspec.structs.replace(self.bench.draft.submit(self.bench.opened.path), kind="probe")
        row = await self.call("runs.submit", wanted)
        if row is not None:
            self.bench.tell(_("{name} is being measured; the estimate follows it.").format(name=plain(row.name)))

    def action_fit(self) -> None:
        """Take the nearest settings that fit into memory."""
        found = self.estimate
        if found is None or found.fits:
            self.bench.tell(_("It fits already."))
        elif not found.relief:
            self.bench.tell(_("No setting near it does; choose a smaller base or another machine."))
        elif self._take(dict(found.relief)):
            self.bench.tell(_("Changed: {changes}.").format(changes=params_text.changes(found.relief)))

    @work(exit_on_error=False, group="popup")
    async def action_rates(self) -> None:
        rates: Rates | None = await self.call("rates.get")
        if rates is None:
            return
        values = await self.app.push_screen_wait(_rates_box(rates))
        if values is None:
            return
        numbers = {name: float(values[name] or 0) for name in ("per_hour", "per_kwh", "watts")}
        kept = await self.call("rates.set", Rates(currency=values["currency"], **numbers))
        if kept is not None:
            self.ask_again()


def _name_wrong(name: str) -> str:
    fine = name and len(name) <= 60 and all(sign.isalnum() or sign in "_.-" for sign in name) and name[0].isalnum()
    return "" if fine else _("Letters, digits, dots and hyphens, at most 60.")


def _rates_box(rates: Rates) -> Settings:
    from lorabake_tui.dialogs.settings import ANYTHING, Setting, Settings

    def shown(number: float) -> str:
        return f"{number:g}" if number else ""

    rows = [
        Setting("currency", _("Currency"), value=rates.currency, typed=ANYTHING, hint=_("€, USD, 元")),
        Setting("per_hour", _("Price per hour"), value=shown(rates.per_hour), typed=_NUMBER, hint=_("none")),
        Setting("per_kwh", _("Price per kWh"), value=shown(rates.per_kwh), typed=_NUMBER, hint=_("none")),
        Setting("watts", _("Watts while baking"), value=shown(rates.watts), typed=_NUMBER, hint=_("not known")),
    ]

    def note(values: dict[str, str]) -> tuple[str, bool]:
        for name in ("per_hour", "per_kwh", "watts"):
            try:
                float(values[name] or 0)
            except ValueError:
                return _("{value} is no number.").format(value=values[name]), True
        if values["per_kwh"] and not values["watts"]:
            return _("A price of energy says nothing without the watts."), False
        return _("The estimate counts energy and money with them."), False

    return Settings(_("What an hour costs"), rows, note)
