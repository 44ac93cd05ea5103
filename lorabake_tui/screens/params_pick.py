"""The lists and prompts of the Params section: a choice, base model, preset, dataset, regularisation set."""

from __future__ import annotations

from typing import Any

from textual import work

from engine.protocol import fields
from engine.protocol.errors import EngineError
from lorabake_tui import i18n
from lorabake_tui.i18n import _
from lorabake_tui.screens import params_text
from lorabake_tui.screens.section import Section


class ParamsPick(Section, inherit_bindings=False):
    """Mixed into the section; each asks, and what was chosen goes into the app's draft."""

    def _show(self) -> None:
        raise NotImplementedError

    def _set(self, name: str, value: Any) -> None:
        raise NotImplementedError

    @work(exit_on_error=False, group="popup")
    async def _pick_choice(self, field: fields.Field) -> None:
        from lorabake_tui.dialogs.picker import Option, Picker

        options = [
            Option(choice, str(choice), _("not built yet") if wrong(field.name, str(choice)) else "")
            for choice in field.choices
        ]
        value = self.bench.draft.value(field.name)
        chosen = await self.app.push_screen_wait(Picker(_(field.title), options, value=value))
        if chosen is not None:
            self._set(field.name, chosen)

    @work(exit_on_error=False, group="popup")
    async def _pick_base(self) -> None:
        from lorabake_tui.dialogs.picker import Option, Picker

        options = [
            Option(row.name, row.title or row.name, params_text.model_note(row), row.name, dim=not row.present)
            for row in self.bench.catalogue.models
        ]
        options.append(Option("/", _("a model by its path …"), _("folder or .safetensors file")))
        chosen = await self.app.push_screen_wait(Picker(_("Base model"), options, value=self.bench.draft.base))
        if chosen == "/":
            from lorabake_tui.dialogs.path import PathPrompt

            chosen = await self.app.push_screen_wait(PathPrompt(_("Base model"), "~/", files=".safetensors"))
        if chosen:
            self.bench.draft.base = chosen
            self.bench.catalogue.suit()
            self.bench.stand()

    @work(exit_on_error=False, group="popup")
    async def _pick_preset(self) -> None:
        from lorabake_tui.dialogs.picker import Option, Picker

        options = [
            Option(row.name, _(row.title) or row.name, row.name + (" · " + _("yours") if row.own else ""))
            for row in self.bench.catalogue.fitting()
        ]
        chosen = await self.app.push_screen_wait(Picker(_("Preset"), options, value=self.bench.draft.preset))
        if chosen is not None:
            self.bench.draft.preset = chosen
            self.bench.stand()

    @work(exit_on_error=False, group="popup")
    async def _pick_dataset(self) -> None:
        from lorabake_tui.dialogs.path import PathPrompt

        path = await self.app.push_screen_wait(PathPrompt(_("Open a dataset"), self.bench.opened.beside))
        if path:
            self.bench.open_dataset(path)

    @work(exit_on_error=False, group="popup")
    async def _pick_reg(self) -> None:
        from lorabake_tui.dialogs.path import PathPrompt

        start = self.bench.draft.reg or self.bench.opened.beside
        path = await self.app.push_screen_wait(PathPrompt(_("Regularisation set"), start))
        if path:
            self.bench.draft.reg = path.rstrip("/")
            self._show()


def wrong(name: str, text: str) -> str:
    """What is wrong with a text for a field, "" for nothing."""
    try:
        fields.parse(name, text)
    except EngineError as error:
        message, hint = i18n.told(error.info)
        return f"{message} {hint}"
    return ""
