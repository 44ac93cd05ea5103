"""What is typed wrong: one sentence with a hint on stderr, the right exit code, never a traceback."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from engine.protocol.params import BakeParams
from lorabake_tui import cli
from lorabake_tui.commands import TABLE
from tests.cli.conftest import Lorabake

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LORABAKE_LANG", "en")


def call(*words: str) -> int:
    return cli.main(words)


@pytest.mark.parametrize("word", ["-h", "--help", "help"])
def test_the_overview_names_every_command(word: str, capsys: Capture) -> None:
    assert call(word) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in TABLE if name != "app")


@pytest.mark.parametrize("name", [name for name in TABLE if name != "app"])
def test_every_command_has_help_with_an_example_and_json(name: str, capsys: Capture) -> None:
    assert call(name, "--help") == 0
    shown = capsys.readouterr().out
    assert f"  lorabake {name}" in shown.partition("Example:")[2]
    assert "--json" in shown
    assert "fake" not in shown


@pytest.mark.parametrize(
    ("words", "sentence", "hint"),
    [
        (["bakee"], "bakee is neither a command nor a folder.", "Did you mean `lorabake bake`?"),
        (["qeue", "list"], "qeue is neither a command nor a folder.", "Did you mean `lorabake queue`?"),
        (["--bogus"], "--bogus is not an option.", "lists the commands"),
        (["bake", "--datset", "x"], "--datset is not an option.", "Did you mean --dataset?"),
        (["bake"], "The following arguments are required: --dataset, --base.", "lorabake bake --help"),
        (["runs", "extra"], "extra is not understood here.", "lorabake runs --help"),
        (["watch"], "The following arguments are required: RUN.", "lorabake watch --help"),
        (["queue", "hold"], "Which run?", "queue list"),
        (["queue", "jump"], "invalid choice: 'jump'", "lorabake queue --help"),
        (["params", "epoch"], "There is no parameter epoch.", "Did you mean epochs?"),
        (["params", "train_batch_size"], "There is no parameter train_batch_size.", "Did you mean batch_size?"),
    ],
)
def test_a_mistake_is_one_sentence_and_a_hint(words: list[str], sentence: str, hint: str, capsys: Capture) -> None:
    assert call(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    first, second = err.splitlines()
    assert sentence in first
    assert hint in second


@pytest.mark.parametrize(
    ("word", "sentence", "hint"),
    [
        ("epochs", "--set wants NAME=VALUE, not epochs.", "--set epochs=12"),
        ("epohcs=3", "There is no parameter epohcs.", "Did you mean epochs?"),
        ("epochs=many", "epochs = many is not allowed.", "1 … 1000"),
        ("epochs=0", "epochs = 0 is not allowed.", "1 … 1000"),
        ("unet_lr=nan", "unet_lr = nan is not allowed.", "0 … 10"),
        ("lr_scheduler=cosin", "lr_scheduler = cosin is not allowed.", "cosine_with_restarts"),
    ],
)
def test_a_bad_parameter_is_refused_before_anything_starts(
    word: str, sentence: str, hint: str, capsys: Capture, tmp_path: Path
) -> None:
    assert call("bake", "--dataset", str(tmp_path), "--base", "demo", "--set", word) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert sentence in first
    assert hint in second


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"epochs = ", "is not a valid TOML file"),
        (b"\xff\xfe", "is not a valid TOML file: not UTF-8"),
        (b"epohcs = 3", "There is no parameter epohcs."),
        (b"[params]\nepochs = 'three'", "epochs = three is not allowed."),
    ],
)
def test_a_bad_parameter_file(content: bytes, words: str, capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    assert call("bake", "--dataset", str(tmp_path), "--base", "demo", "--from", str(path)) == 2
    assert words in capsys.readouterr().err


def test_a_missing_parameter_file(capsys: Capture) -> None:
    assert call("estimate", "--dataset", "x", "--base", "demo", "--from", "/nowhere/mine.toml") == 2
    assert "No such file" in capsys.readouterr().err


def test_a_folder_that_is_not_there_or_not_a_folder(capsys: Capture, tmp_path: Path) -> None:
    assert call(str(tmp_path / "nope")) == 3
    assert "There is no folder" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert call(str(tmp_path / "file")) == 3
    assert "is a file, not a folder" in capsys.readouterr().err


def test_without_a_terminal_the_app_says_so(lorabake: Lorabake, tmp_path: Path) -> None:
    done = lorabake.run()
    assert (done.returncode, done.stdout) == (3, "")
    assert "needs a terminal" in done.stderr
    assert lorabake.run(str(tmp_path)).returncode == 3


def test_errors_are_json_for_scripts(capsys: Capture) -> None:
    assert call("params", "nope", "--json") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert json.loads(err)["error"]["code"] == "param_unknown"


def test_params_lists_every_parameter(capsys: Capture) -> None:
    assert call("params", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(BakeParams.__struct_fields__)
    assert all(row["help"] and row["title"] for row in rows)
    assert call("params") == 0
    shown = capsys.readouterr().out
    assert all(f"  {row['name']} " in shown for row in rows)


def test_one_parameter_is_explained(capsys: Capture) -> None:
    assert call("params", "network_dim") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("network_dim · Network dim (rank)\n")
    assert "1 … 1024" in shown


def test_help_speaks_chinese_and_fits_the_terminal(lorabake: Lorabake) -> None:
    from rich.cells import cell_len

    done = lorabake.run("bake", "--help", LORABAKE_LANG="zh_CN", COLUMNS="60")
    assert "训练图片所在的文件夹" in done.stdout
    example = done.stdout.index("示例")
    assert max(cell_len(line) for line in done.stdout[:example].splitlines()) <= 60


def test_mistakes_are_told_in_chinese(lorabake: Lorabake) -> None:
    done = lorabake.run("bakee", LORABAKE_LANG="zh_CN")
    assert "既不是命令，也不是文件夹" in done.stderr
    assert "缺少必需的参数：--dataset, --base" in lorabake.run("bake", LORABAKE_LANG="zh_CN").stderr


def test_a_reader_that_leaves_early_is_no_failure(lorabake: Lorabake) -> None:
    line = " ".join(lorabake.command("params", "--json"))
    script = f"set -o pipefail; {line} | head -1"
    done = subprocess.run(["bash", "-c", script], env=lorabake.env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[\n", "")


def test_a_closed_stdout_is_no_traceback(lorabake: Lorabake) -> None:
    line = " ".join(lorabake.command("params"))
    done = subprocess.run(["bash", "-c", f"{line} >&-"], env=lorabake.env, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_a_full_disk_behind_stdout_is_one_sentence(lorabake: Lorabake) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            lorabake.command("params"), env=lorabake.env, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No space left" in done.stderr


def test_no_escape_sequence_reaches_a_terminal_from_an_argument(lorabake: Lorabake) -> None:
    done = lorabake.run("\x1b[2Jbad")
    assert done.returncode == 2
    assert "\x1b[2J" not in done.stderr


def test_colour_only_on_a_terminal_and_not_with_no_color(lorabake: Lorabake) -> None:
    assert "\x1b[" in on_a_terminal(lorabake, {"TERM": "xterm-256color"})
    assert "\x1b[" not in on_a_terminal(lorabake, {"TERM": "xterm-256color", "NO_COLOR": "1"})
    assert "\x1b[" not in on_a_terminal(lorabake, {"TERM": "dumb"})
    assert "\x1b[" not in lorabake.run("bakee").stderr


def on_a_terminal(lorabake: Lorabake, env: dict[str, str]) -> str:
    """What `lorabake bakee` writes to a terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        lorabake.command("bakee"), env={**lorabake.env, **env}, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    written = b""
    while True:
        try:
            chunk = os.read(master, 4096)
        except OSError:
            break
        if not chunk:
            break
        written += chunk
    os.close(master)
    assert process.wait() == 2
    return written.decode()


def test_the_unexpected_becomes_a_sentence_and_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    # A module that cannot be imported stands for any fault of our own.
    monkeypatch.setitem(sys.modules, "lorabake_tui.commands.lists", None)
    assert call("params") == 1
    err = capsys.readouterr().err
    log = tmp_path / "home" / "crash.log"
    assert "Something unexpected went wrong" in err
    assert "Traceback" not in err
    assert str(log) in err
    assert "Traceback" in log.read_text(encoding="utf-8")
    assert log.stat().st_mode & 0o777 == 0o600
