"""What an hour and a kilowatt-hour cost a person: one small file, kept by `lorabake rates` and the form."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import tomli_w

from engine.home import home
from engine.protocol.errors import EngineError
from engine.protocol.estimates import Rates
from engine.protocol.files import atomic_write


def rates_path() -> Path:
    """Where they are kept; may not exist."""
    return home() / "rates.toml"


def read_rates() -> Rates:
    """The rates as last said; none where there is no file or a damaged one, which the next `write_rates` replaces."""
    try:
        return msgspec.convert(tomllib.loads(rates_path().read_text("utf-8")), Rates)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError):
        return Rates()


def write_rates(rates: Rates) -> Rates:
    """Keep the rates; raises EngineError `rates_invalid` for one below zero, `home_unwritable`."""
    for name in ("per_hour", "per_kwh", "watts"):
        value = getattr(rates, name)
        if not 0 <= value < 1e9:
            raise EngineError("rates_invalid", name=name, value=f"{value:g}")
    rates = msgspec.structs.replace(rates, currency=rates.currency.strip()[:8])
    try:
        atomic_write(rates_path(), tomli_w.dumps(msgspec.to_builtins(rates)).encode())
    except OSError as error:
        raise EngineError("home_unwritable", path=rates_path(), reason=error.strerror or error) from None
    return rates
