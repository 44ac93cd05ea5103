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
from tools.reference import PAGES

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [
    path
    for folder in ("engine", "lorabake_tui", "tools")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.stat().st_size
]
READMES = ("README.md", "README.zh-CN.md")
HARD_LIMIT = 400


def test_every_file_says_what_it_owns() -> None:
    silent = [path for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert not silent


def test_no_file_is_longer_than_a_person_reads() -> None:
    # params.py is one long declaration: every knob stands there once, and nothing else does.
    bound = [path for path in SOURCES if path.parts[-3:] != ("engine", "protocol", "params.py")]
    lengths = {str(p.relative_to(ROOT)): len(p.read_text(encoding="utf-8").splitlines()) for p in bound}
    assert not {name: lines for name, lines in lengths.items() if lines > HARD_LIMIT and not name.startswith("tools/")}


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


@pytest.mark.parametrize("name", [*READMES, "CHANGELOG.md", "docs/design.md", "docs/protocol.md", "docs/parameters.md"])
def test_links_inside_the_project_lead_somewhere(name: str) -> None:
    path = ROOT / name
    targets = re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8"))
    dead = [t for t in targets if "://" not in t and not (path.parent / t).exists()]
    assert not dead


@pytest.mark.parametrize("name", READMES)
def test_the_table_of_keys_is_current(name: str) -> None:
    from tools.readme import current, written

    assert written(ROOT / name) == current(ROOT / name), "run `python -m tools.readme`"


@pytest.mark.parametrize("name", PAGES)
def test_the_reference_pages_are_current(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == PAGES[name](), "run `python -m tools.reference`"
