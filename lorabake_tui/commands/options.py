"""The options that `bake` and `estimate` share: dataset, base model, preset and parameters, read and checked.

Layers are laid by the engine (preset, then these parameters); here they only become one mapping.
"""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.protocol.errors import EngineError
from lorabake_tui.commands.exits import USAGE, Exit, complain
from lorabake_tui.i18n import _

if TYPE_CHECKING:
    from engine.protocol.records import PresetRow
    from lorabake_tui.client import EngineClient


def add_bake_options(parser: argparse.ArgumentParser) -> None:
    """Everything that says what a bake would do."""
    parser.add_argument("--dataset", required=True, metavar=_("FOLDER"), help=_("The folder of training images."))
    parser.add_argument(
        "--base", required=True, metavar=_("NAME|PATH"), help=_("The base model; see `lorabake models`.")
    )
    parser.add_argument("--reg", default="", metavar=_("FOLDER"), help=_("A folder of regularisation images."))
    parser.add_argument(
        "--preset",
        default="",
        metavar=_("NAME"),
        help=_("Start from this preset instead of the one made for the base model. See `lorabake presets`."),
    )
    parser.add_argument(
        "--from", dest="file", default="", metavar="FILE.toml", help=_("Take parameters from a TOML file.")
    )
    parser.add_argument(
        "--set",
        dest="sets",
        action="append",
        default=[],
        metavar=_("NAME=VALUE"),
        help=_("Set one parameter; may be given many times. See `lorabake params`."),
    )
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def parameters(args: argparse.Namespace) -> dict[str, Any]:
    """The parameters of `--from` overlaid by those of `--set`, each checked; raises EngineError, Exit on no `=`."""
    from engine.protocol import fields

    values: dict[str, Any] = {}
    if args.file:
        values = {name: fields.check(name, value) for name, value in _from_file(args.file).items()}
    return {**values, **set_parameters(args.sets)}


def set_parameters(words: Sequence[str]) -> dict[str, Any]:
    """The parameters of `--set` words, checked; raises EngineError, or Exit where there is no `=`."""
    from engine.protocol import fields

    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            complain(_("--set wants NAME=VALUE, not {word}.").format(word=word), _("For example --set epochs=12."))
            raise Exit(USAGE)
        values[name.strip()] = fields.parse(name.strip(), text)
    return values


async def preset_for(client: EngineClient, base: str) -> str:
    """The preset that is made for a base model: the one that names it, else the standard one of its family.

    A bake without any would use settings that fit no base in particular, down to the size of its pictures.
    """
    rows: list[PresetRow] = await client.call("presets.list")
    return next((row.name for row in rows if base in row.bases), "standard")


def _from_file(path: str) -> dict[str, Any]:
    """The parameters in a TOML file: its table `params` (a job.toml, a preset), else its top level."""
    try:
        table = tomllib.loads(Path(os.path.expanduser(path)).read_text(encoding="utf-8"))
    except OSError as error:
        raise EngineError("params_unreadable", path=path, reason=error.strerror) from None
    except UnicodeDecodeError:
        raise EngineError("params_unreadable", path=path, reason="not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise EngineError("params_unreadable", path=path, reason=error) from None
    inner = table.get("params", table)
    return inner if isinstance(inner, dict) else table


def absolute(path: str) -> str:
    """A path as the engine needs it: absolute, `~` expanded; "" stays ""."""
    if not path:
        return ""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        complain(_("The path {path} is not UTF-8 text.").format(path=ascii(path)), _("Rename the folder."))
        raise Exit(USAGE) from None
    return os.path.abspath(os.path.expanduser(path))


def base_model(word: str) -> str:
    """A base model's name as it is, a path (anything with a slash, or a .safetensors file) made absolute."""
    looks_like_path = os.sep in word or word.startswith("~") or word.endswith(".safetensors")
    return absolute(word) if looks_like_path else word
