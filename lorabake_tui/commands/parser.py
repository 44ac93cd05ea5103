"""The argument parser of every command: one look of help, one sentence per mistake, the nearest word offered.

Built on argparse; what the commands do with the arguments is their own business.
"""

from __future__ import annotations

import argparse
import difflib
import shutil
import sys
from collections.abc import Sequence
from typing import NoReturn

from lorabake_tui.commands.exits import USAGE, Exit, complain
from lorabake_tui.commands.text import pairs
from lorabake_tui.i18n import N_, _
from lorabake_tui.widgets.plain import wrap

ARGPARSE_WORDS = (
    N_("the following arguments are required: %s"),
    N_("expected one argument"),
    N_("expected at least one argument"),
    N_("argument %(argument_name)s: %(message)s"),
    N_("invalid choice: %(value)r (choose from %(choices)s)"),
    N_("invalid %(type)s value: %(value)r"),
    N_("ignored explicit argument %r"),
    N_("not allowed with argument %s"),
)
"""What argparse itself says when something is wrong, marked here so that the catalogues carry it."""

# argparse asks the process-wide gettext domain, which knows neither our catalogue nor LORABAKE_LANG.
argparse._ = _  # type: ignore[attr-defined]


class Parser(argparse.ArgumentParser):
    """argparse with our help page and with mistakes raised as `Exit` instead of printed twice."""

    def __init__(self, prog: str, *, about: str = "", example: str = "") -> None:
        super().__init__(prog=prog, description=about, add_help=False, allow_abbrev=False)
        self.example = example
        self._words: Sequence[str] = ()
        self.add_argument("--help", "-h", action="store_true", help=_("Show this page."))

    def understand(self, words: Sequence[str]) -> argparse.Namespace:
        """The arguments as values; prints help and raises `Exit(0)` when asked, `Exit(2)` on a mistake."""
        if any(word in ("--help", "-h") for word in words):
            sys.stdout.write(self.format_help())
            raise Exit(0)
        self._words = words
        # Names may stand before and after options; argparse alone takes those behind an option for mistakes.
        names = any(not action.option_strings and action.nargs in ("*", "+") for action in self._actions)
        values, extra = self.parse_known_intermixed_args(words) if names else self.parse_known_args(words)
        if extra:
            self._unknown(extra[0])
        return values

    def _option_strings(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings]

    def _nearest(self, word: str) -> str:
        close = difflib.get_close_matches(word.split("=")[0], self._option_strings(), n=1)
        return close[0] if close else ""

    def _unknown(self, word: str) -> NoReturn:
        nearest = self._nearest(word) if word.startswith("-") else ""
        if nearest:
            message, hint = _("{word} is not an option."), _("Did you mean {nearest}?").format(nearest=nearest)
        else:
            message, hint = _("{word} is not understood here."), self._see()
        self._mistake(message.format(word=word), hint)

    def _see(self) -> str:
        return _("`{prog} --help` shows what is.").format(prog=self.prog)

    def _mistake(self, message: str, hint: str) -> NoReturn:
        complain(message, hint)
        raise Exit(USAGE)

    def error(self, message: str) -> NoReturn:
        """One sentence and where to look, exit code 2; a misspelt option is told before what it left missing."""
        options = self._option_strings()
        for word in self._words:
            if word.startswith("--") and word.split("=")[0] not in options and self._nearest(word):
                self._unknown(word)
        sentence = message[:1].upper() + message[1:]
        self._mistake(sentence if sentence.endswith(".") else sentence + ".", self._see())

    def format_help(self) -> str:
        """The help page: what it does, how it is called, the options, one example."""
        width = min(shutil.get_terminal_size((100, 24)).columns, 110)
        plain = [(name, action.help or "") for action in self._actions if (name := self._positional(action))]
        # --help was added first and --json is shared by all; what is particular to the command is read first.
        options = [action for action in self._actions if action.option_strings and action.help != argparse.SUPPRESS]
        options.sort(key=lambda action: {"json": 1, "help": 2}.get(action.dest, 0))
        named = [(self._option(action), action.help or "") for action in options]
        lines = [*wrap(self.description or "", width), "", f"  {self._usage()}"]
        if plain:
            lines += ["", *pairs(plain, indent=2, width=width)]
        lines += ["", *pairs(named, indent=2, width=width)]
        if self.example:
            lines += ["", _("Example:"), *(f"  {line}" for line in self.example.splitlines())]
        return "\n".join(lines).lstrip("\n") + "\n"

    def _usage(self) -> str:
        words = [self.prog]
        for action in self._actions:
            if name := self._positional(action):
                words.append(f"[{name}]" if action.nargs in ("?", "*") else name)
            elif action.required:
                words.append(self._option(action))
        optional = any(
            action.option_strings and not action.required and action.help != argparse.SUPPRESS
            for action in self._actions
        )
        return " ".join([*words, _("[options]")] if optional else words)

    @staticmethod
    def _positional(action: argparse.Action) -> str:
        if action.option_strings:
            return ""
        return action.metavar if isinstance(action.metavar, str) else action.dest.upper()

    @staticmethod
    def _option(action: argparse.Action) -> str:
        names = ", ".join(action.option_strings)
        if action.nargs == 0:
            return names
        metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        return f"{names} {metavar}"
