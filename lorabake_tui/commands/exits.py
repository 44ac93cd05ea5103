"""How a command ends: the exit codes, the sentence on stderr, and the file that keeps an unexpected traceback."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
from pathlib import Path

import msgspec

from engine.protocol.errors import ErrorInfo
from lorabake_tui.commands.text import paint
from lorabake_tui.i18n import told
from lorabake_tui.widgets.plain import plain

OK, FAILED, USAGE, CANNOT_START, INTERRUPTED = 0, 1, 2, 3, 130

_MISTYPED = frozenset(
    {
        "fix_unknown",
        "filter_unclosed",
        "filter_expected",
        "filter_field",
        "filter_value",
        "filter_regex",
        "filter_slow",
        "filter_long",
        "tags_missing",
        "edits_unreadable",
        "param_unknown",
        "param_invalid",
        "params_unreadable",
        "preset_unknown",
        "preset_name",
        "preset_exists",
        "preset_shipped",
        "recipe_unreadable",
        "recipe_exists",
        "rates_invalid",
        "model_unknown",
        "tagger_unknown",
        "tagger_setting",
        "run_unknown",
        "run_ambiguous",
        "test_unknown",
        "epoch_missing",
        "lora_name",
        "prompt_lora",
        "prompt_option",
        "prompt_schedule",
        "draw_base",
        "draw_no_bake",
        "grid_large",
        "size_invalid",
        "mark_invalid",
        "group_empty",
        "image_missing",
        "reg_prompts",
    }
)
_NO_START = frozenset(
    {
        "dataset_missing",
        "dataset_not_folder",
        "dataset_empty",
        "dataset_busy",
        "dataset_unreadable",
        "model_absent",
        "tagger_absent",
        "tagger_files",
        "tags_no_scores",
        "model_not_base",
        "model_unsupported",
        "lora_not",
        "lora_broken",
        "lora_family",
        "lora_kind",
        "lora_rank",
        "lora_dora",
        "lora_nothing",
        "vocabulary_missing",
        "nothing_to_train",
        "timesteps_empty",
        "optimizer_missing",
        "mask_folder",
        "validation_trained",
        "undo_nothing",
        "edit_nothing",
        "crop_none",
        "export_inside",
        "export_exists",
        "face_model",
        "face_model_absent",
        "out_exists",
        "home_unwritable",
        "protocol_mismatch",
        "engine_lost",
    }
)


class Exit(Exception):
    """Leave with this code; everything that had to be said was said."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


def code_of(error: ErrorInfo) -> int:
    """2 for what was mistyped, 3 for what could not begin, 1 for what began and failed."""
    return USAGE if error.code in _MISTYPED else CANNOT_START if error.code in _NO_START else FAILED


def complain(message: str, hint: str = "") -> None:
    """One sentence and a hint on stderr."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    print(f"{paint('lorabake:', 'red', sys.stderr)} {plain(message)}", file=sys.stderr)
    if hint:
        print(f"  {plain(hint)}", file=sys.stderr)


def report(error: ErrorInfo, *, as_json: bool) -> int:
    """Tell an engine error in words, or as one JSON object for a script (both on stderr); returns its exit code."""
    if as_json:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        print(msgspec.json.encode({"error": error}).decode(), file=sys.stderr)
    else:
        complain(*told(error))
    return code_of(error)


def home() -> Path:
    """The folder that holds everything of LoRABake; the same rule as the engine's."""
    named = os.environ.get("LORABAKE_HOME")
    if named:
        return Path(os.path.expanduser(named))
    import platformdirs

    return Path(platformdirs.user_data_dir("lorabake"))


def keep_traceback(error: BaseException) -> Path | None:
    """Append the traceback to crash.log in the home folder; None where even that fails."""
    try:
        path = home() / "crash.log"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as handle:
            handle.write(time.strftime("-- %Y-%m-%d %H:%M:%S --\n"))
            handle.write("".join(traceback.format_exception(error)))
    except (OSError, RuntimeError):
        return None
    return path
