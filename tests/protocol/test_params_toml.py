"""Every parameter goes through TOML, `--set` and the text of the form unchanged, in both languages."""

from __future__ import annotations

from typing import Any

import pytest

from engine.protocol import fields, params_toml
from engine.protocol.errors import EngineError
from engine.protocol.params import BakeParams
from lorabake_tui import i18n
from lorabake_tui.commands.options import set_parameters

ODD = 'a "quoted"\ttext\\ with\x7f and 银发\n'


def another(field: fields.Field) -> Any:
    """A legal value that is not the default."""
    if field.kind == "bool":
        return not field.default
    if field.kind == "choice":
        return next(choice for choice in field.choices if choice != field.default)
    if field.kind == "str":
        return ODD[: field.max_length]
    step = field.multiple_of or (1 if field.kind == "int" else 0.015625)
    value = field.default + step
    return value if field.maximum is None or value < field.maximum else field.default - step


@pytest.mark.parametrize("name", list(fields.fields()))
def test_a_parameter_is_written_and_read(name: str) -> None:
    value = another(fields.field(name))
    assert params_toml.read(params_toml.written({name: value})) == {name: value}
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if fields.field(name).kind != "str":
        assert set_parameters([f"{name}={text}"]) == {name: value}


@pytest.mark.parametrize("name", list(fields.fields()))
def test_title_and_help_are_there_in_both_languages(name: str) -> None:
    field = fields.field(name)
    try:
        i18n.use("zh_CN")
        assert any("\u4e00" <= sign <= "\u9fff" for sign in i18n._(field.help))
        assert i18n._(field.title)
    finally:
        i18n.use("en")


def test_the_whole_of_it_has_every_group_and_comment() -> None:
    values = {name: getattr(BakeParams(), name) for name in fields.fields()}
    text = params_toml.written(values)
    assert params_toml.read(text) == values
    assert all(f"# -- {group} " in text for group in {field.group for field in fields.fields().values()})


def test_mistakes_in_it_are_sentences() -> None:
    for text, code in (("x", "params_unreadable"), ("epohcs = 1", "param_unknown"), ("epochs = 0", "param_invalid")):
        with pytest.raises(EngineError) as failure:
            params_toml.read(text)
        assert failure.value.info.code == code
