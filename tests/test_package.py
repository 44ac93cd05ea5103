"""What a checkout promises about itself: one version, every file opens by saying what it owns, no file too long."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import engine
from lorabake_tui.commands import TABLE

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [
    path
    for folder in ("engine", "lorabake_tui", "tools")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.stat().st_size
]
READMES = ("README.md", "README.zh-CN.md")
HARD_LIMIT = 400


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_what_it_owns_and_stays_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "the first lines say what the file owns"
    # params.py is one long declaration: every knob stands there once, and nothing else does.
    limit = 700 if path.name == "params.py" else HARD_LIMIT
    assert len(text.splitlines()) <= limit


def test_one_version_everywhere() -> None:
    assert importlib.metadata.version("lorabake") == engine.__version__
    assert f"## [{engine.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lorabake_tui", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"lorabake {engine.__version__}\n"


@pytest.mark.parametrize("name", READMES)
def test_the_readme_begins_with_the_two_commands(name: str) -> None:
    head = "\n".join((ROOT / name).read_text(encoding="utf-8").splitlines()[:20])
    assert "make demo" in head
    assert "make test" in head


@pytest.mark.parametrize("name", READMES)
def test_the_readme_knows_every_command_and_no_other(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    told = set(re.findall(r"`lorabake ([a-z]+)", text))
    assert told - {"app"} == set(TABLE) - {"app"}


@pytest.mark.parametrize("name", [*READMES, "CHANGELOG.md", "docs/design.md", "docs/protocol.md"])
def test_links_inside_the_project_lead_somewhere(name: str) -> None:
    path = ROOT / name
    targets = re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8"))
    dead = [t for t in targets if "://" not in t and not (path.parent / t).exists()]
    assert not dead


@pytest.mark.parametrize("name", READMES)
def test_the_table_of_keys_is_current(name: str) -> None:
    from tools.readme import current, written

    assert written(ROOT / name) == current(ROOT / name), "run `python -m tools.readme`"
