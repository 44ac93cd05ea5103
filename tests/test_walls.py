"""The walls of the house, seen from a running interpreter: what an import really loads, and who imports whom."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TENSORS = {"torch", "diffusers", "peft", "transformers", "onnxruntime", "accelerate"}
HEAVY = TENSORS | {"numpy", "PIL", "term_image", "textual_plotext", "plotext"}


def loaded(statement: str, *names: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after `statement`, among those of interest.

    One interpreter for several modules: what any of them loads is seen.
    """
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted({{n.partition('.')[0] for n in sys.modules}})))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1])) & set(names)


def test_the_app_starts_without_tensors_and_pictures() -> None:
    assert not loaded("import lorabake_tui.app", *HEAVY)


def test_no_section_imports_tensors() -> None:
    sections = ("dataset", "tags", "params", "queue", "monitor", "results")
    assert not loaded("import " + ", ".join(f"lorabake_tui.screens.{name}" for name in sections), *TENSORS)


def test_the_host_starts_without_tensors_and_pictures() -> None:
    assert not loaded("import engine.host", *HEAVY, "textual", "rich", "lorabake_tui", "http")


def test_what_the_host_leans_on_is_free_of_tensors() -> None:
    modules = (
        "engine.home",
        "engine.presets",
        "engine.estimate",
        "engine.dataset.plan",
        "engine.dataset.scan",
        "engine.runs.queue",
        "engine.runs.runner",
        "engine.runs.state",
        "engine.runs.launch",
        "engine.models.catalogue",
        "engine.models.sniff",
    )
    assert not loaded("import " + ", ".join(modules), *TENSORS, "textual", "rich", "lorabake_tui")


def test_the_protocol_stands_on_msgspec_alone() -> None:
    names = ("numpy", "PIL", "torch", "platformdirs", "psutil", "tomli_w", "textual", "rich", "lorabake_tui")
    modules = ", ".join(f"engine.protocol.{p.stem}" for p in (ROOT / "engine/protocol").glob("[a-z]*.py"))
    assert not loaded(f"import {modules}", *names)


def test_plain_commands_import_no_textual() -> None:
    calls = (["--help"], ["--version"], ["bake", "--help"], ["params", "--json"], ["presets", "--help"])
    statements = "; ".join(f"main({words!r})" for words in calls)
    assert not loaded(f"from lorabake_tui.cli import main; {statements}", "textual", *HEAVY)


def test_overview_and_version_start_no_event_loop() -> None:
    assert not loaded("from lorabake_tui.cli import main; main(['--help']); main(['--version'])", "asyncio")


def engine_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module if node.module != "engine" else f"engine:{','.join(a.name for a in node.names)}")
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return {name for name in found if name.partition(".")[0].partition(":")[0] == "engine"}


def test_the_terminal_imports_only_the_protocol() -> None:
    wrong = {}
    for path in sorted((ROOT / "lorabake_tui").rglob("*.py")):
        names = {n for n in engine_imports(path) if not (n + ".").startswith("engine.protocol.")}
        names -= {"engine:__version__", "engine:protocol"}
        if names:
            wrong[str(path.relative_to(ROOT))] = names
    assert not wrong


def test_the_engine_imports_no_widget() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "engine").rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith(("import ", "from "))
        and line.split()[1].partition(".")[0] in ("textual", "rich", "lorabake_tui")
    ]
    assert not wrong
