"""The options that `bake` and `estimate` share: dataset, base model, preset and parameters, read and checked.

Layers are laid by the engine (preset, then these parameters); here they only become one mapping.
"""

from __future__ import annotations

import argparse
import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.protocol.errors import EngineError
from engine.protocol.messages import PathParams
from lorabake_tui.commands.exits import USAGE, Exit, complain
from lorabake_tui.i18n import _

if TYPE_CHECKING:
    from engine.protocol.recipes import Recipe
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
        "--from",
        dest="file",
        default="",
        metavar=_("FILE"),
        help=_("Take parameters from a TOML file, or from a configuration of sd-scripts, kohya_ss or lora-scripts."),
    )
    add_sets(parser)
    parser.add_argument("--json", action="store_true", help=_("Print JSON for scripts."))


def add_sets(parser: argparse.ArgumentParser, about: str = "", *, required: bool = False) -> None:
    """`--set NAME=VALUE`, as often as one likes; `set_parameters` reads it."""
    parser.add_argument(
        "--set",
        dest="sets",
        action="append",
        default=None if required else [],
        required=required,
        metavar=_("NAME=VALUE"),
        help=about or _("Set one parameter; may be given many times. See `lorabake params`."),
    )


def add_out(parser: argparse.ArgumentParser) -> None:
    """`--out FOLDER`, where each finished epoch is copied to."""
    parser.add_argument("--out", default="", metavar=_("FOLDER"), help=_("Copy each finished epoch into this folder."))


def parameters(args: argparse.Namespace) -> dict[str, Any]:
    """The parameters of `--from` overlaid by those of `--set`, each checked; raises EngineError, Exit on no `=`.

    The file of another trainer is left to the engine (`standing`).
    """
    values = _from_file(args.file) if args.file and not foreign(args.file) else {}
    return {**values, **set_parameters(args.sets)}


async def standing(client: EngineClient, args: argparse.Namespace, base: str) -> tuple[str, dict[str, Any]]:
    """The preset a bake stands on and the parameters of a foreign `--from`, which name all that matters themselves.

    What became of the file's keys is told on stderr, refused ones each by each.
    """
    if args.file and foreign(args.file):
        from lorabake_tui.commands.presets import tell_recipe

        recipe: Recipe = await client.call("recipes.read", PathParams(path=absolute(args.file)))
        if not args.json:
            tell_recipe(recipe)
        return args.preset, recipe.params
    return args.preset or await preset_for(client, base), {}


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


def foreign(path: str) -> bool:
    """Whether a file is another trainer's: JSON, a command line, or TOML with keys of theirs. A file that cannot be
    read is ours, to be complained of."""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8-sig")
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError):
        return False
    except tomllib.TOMLDecodeError:
        return text.lstrip().startswith("{") or bool(re.search(r"(^|\s)--[a-z_]+", text))
    inner = [*table, *(key for value in table.values() if isinstance(value, dict) for key in value)]
    return "params" not in table and any(key in _THEIRS for key in inner)


_THEIRS = frozenset(
    {
        "pretrained_model_name_or_path",
        "network_module",
        "network_args",
        "train_data_dir",
        "optimizer_type",
        "train_batch_size",
        "max_train_epochs",
        "max_train_steps",
        "datasets",
        "metadata",
        "model_train_type",
        "mixed_precision",
    }
)
"""Keys that a file of ours never has."""


def _from_file(path: str) -> dict[str, Any]:
    """The parameters in a TOML file: its table `params` (a job.toml, a preset), else its top level."""
    from engine.protocol import params_toml

    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise EngineError("params_unreadable", path=path, reason=error.strerror) from None
    except UnicodeDecodeError:
        raise EngineError("params_unreadable", path=path, reason="not UTF-8") from None
    return params_toml.read(text, path)


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
