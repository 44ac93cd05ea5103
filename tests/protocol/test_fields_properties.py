"""Parameters as text: what is legal survives the way there and back, what is not ends in a sentence."""

from collections.abc import Callable
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.protocol import fields
from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.fields import Field
from engine.protocol.params import BakeParams

NAMES = list(fields.fields())


def legal(spec: Field) -> st.SearchStrategy:
    low, high = spec.minimum, spec.maximum
    if spec.kind == "bool":
        return st.booleans()
    if spec.kind == "choice":
        return st.sampled_from(spec.choices)
    if spec.kind == "str":
        return st.text(max_size=min(60, spec.max_length or 60))
    assert low is not None
    assert high is not None
    if spec.kind == "int":
        unit = spec.multiple_of or 1
        return st.integers(-(-int(low) // unit), int(high) // unit).map(lambda n: n * unit)
    return st.floats(low, high, exclude_min=spec.above, exclude_max=spec.below)


def outcome(call: Callable[[], Any]) -> tuple[Any, ErrorInfo | None]:
    try:
        return call(), None
    except EngineError as error:
        return None, error.info


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(name), legal(fields.field(name)))))
def test_a_legal_value_reads_back_from_its_text(pair: tuple) -> None:
    name, value = pair
    assert fields.check(name, value) == value
    text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)
    assert fields.parse(name, text) == value
    built = fields.build({name: value})
    assert fields.changed(built) == ({} if value == fields.field(name).default else {name: value})


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(NAMES), st.text(max_size=20))
def test_any_text_is_a_value_of_the_field_or_a_sentence(name: str, text: str) -> None:
    value, refusal = outcome(lambda: fields.parse(name, text))
    if refusal is None:
        assert fields.check(name, value) == value
    else:
        assert refusal.code == "param_invalid"
        assert refusal.args["name"] == name


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(NAMES), st.none() | st.lists(st.integers()) | st.floats() | st.dictionaries(st.text(), st.text())
)
def test_any_json_is_a_value_of_the_field_or_a_sentence(name: str, value: object) -> None:
    _, refusal = outcome(lambda: fields.check(name, value))
    assert refusal is None or refusal.code == "param_invalid"


@given(st.text(max_size=30))
def test_an_unknown_name_gets_the_nearest_one_or_a_hint(name: str) -> None:
    if name in NAMES:
        return
    with pytest.raises(EngineError) as raised:
        fields.field(name)
    assert raised.value.info.code == "param_unknown"
    assert raised.value.info.hint


@pytest.mark.parametrize(
    ("written", "meant"), [("epoch", "epochs"), ("max_train_epochs", "epochs"), ("Repeat", "repeat")]
)
def test_near_misses(written: str, meant: str) -> None:
    assert fields.nearest(written) == meant


def test_all_defaults_are_legal_and_fit_toml() -> None:
    defaults = {name: spec.default for name, spec in fields.fields().items()}
    assert fields.build(defaults) == BakeParams()
    assert tomli_w.dumps(defaults)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_explained(name: str) -> None:
    spec = fields.field(name)
    assert spec.title
    assert len(spec.help) > 20
    assert spec.group
    assert spec.level in ("basic", "pro")
    assert spec.kohya
