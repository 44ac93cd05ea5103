"""The `lorabake` command: finds the command a line means, runs it, and turns every ending into a sentence and a code.

Commands live in `commands/`; a module is imported only when its command is called, so that `--help` stays fast.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import os
import sys
from collections.abc import Sequence

from engine import __version__
from engine.protocol.errors import EngineError, describe
from lorabake_tui import i18n
from lorabake_tui.commands import GROUPS, TABLE, Spec
from lorabake_tui.commands.exits import FAILED, INTERRUPTED, OK, USAGE, Exit, complain, keep_traceback, report
from lorabake_tui.commands.text import pairs
from lorabake_tui.i18n import _


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit code (0 ok, 1 failed, 2 usage, 3 cannot start, 130 interrupted)."""
    words = list(sys.argv[1:] if argv is None else argv)
    _open_streams()
    i18n.use(i18n.preferred())
    as_json = "--json" in words
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except Exit as leaving:
        return _quietly(leaving.code)
    except EngineError as error:
        return _quietly(report(error.info, as_json=as_json))
    except KeyboardInterrupt:
        return _quietly(INTERRUPTED)
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; that is no failure, and the exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        return _quietly(_unexpected(error, as_json))


def _open_streams() -> None:
    """A stream that was closed before we began (`>&-`) becomes one that swallows; odd characters never raise."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _quietly(code: int) -> int:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
        return code
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _unexpected(error: Exception, as_json: bool) -> int:
    log = keep_traceback(error)
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    report(describe("internal", reason=reason.splitlines()[0][:300], log=log or "-"), as_json=as_json)
    return FAILED


def _dispatch(words: list[str]) -> int:
    head = words[0] if words else ""
    if head in ("--version", "-V"):
        print(f"lorabake {__version__}")
        return OK
    if head in ("--help", "-h", "help"):
        if head == "help" and len(words) > 1 and words[1] in TABLE:
            return _run(words[1], ["--help"])
        print("\n".join(_overview()))
        return OK
    if head in TABLE:
        return _run(head, words[1:])
    if head.startswith("-"):
        complain(_("{word} is not an option.").format(word=head), _("`lorabake --help` lists the commands."))
        return USAGE
    if not head or _means_folder(head):
        return _run("app", words)
    close = difflib.get_close_matches(head, TABLE, n=1, cutoff=0.5)
    hint = _("Did you mean `lorabake {nearest}`?").format(nearest=close[0]) if close else ""
    complain(
        _("{word} is neither a command nor a folder.").format(word=head),
        hint or _("`lorabake --help` lists the commands."),
    )
    return USAGE


def _means_folder(word: str) -> bool:
    return os.sep in word or word in (".", "..", "~") or os.path.exists(word)


def _run(name: str, words: Sequence[str]) -> int:
    from lorabake_tui.commands.parser import Parser

    command = TABLE[name]
    module = importlib.import_module(f"lorabake_tui.commands.{command.module}")
    spec: Spec = module.COMMANDS[name]
    prog = "lorabake" if name == "app" else f"lorabake {name}"
    parser = Parser(prog, about=_(command.summary), example=spec.example)
    spec.arguments(parser)
    return spec.run(parser.understand(words))


def _overview() -> list[str]:
    lines = [_("Bake LoRAs of Stable Diffusion on this machine, in a terminal."), ""]
    lines.append("  lorabake [" + _("FOLDER") + "]")
    listed = [(name, entry) for name, entry in TABLE.items() if name != "app"]
    printed = iter(pairs([(name, _(entry.summary)) for name, entry in listed], indent=2))
    for group in GROUPS:
        lines += ["", _(group)]
        lines += [next(printed) for _name, entry in listed if entry.group == group]
    lines += [
        "",
        _("Each command has --help with an example, and --json for scripts."),
        _("Exit codes: 0 ok, 1 failed, 2 usage, 3 cannot start, 130 interrupted."),
        _("LORABAKE_HOME moves all files, LORABAKE_LANG=en or zh_CN chooses the language."),
    ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
