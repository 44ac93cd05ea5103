"""Writes the table of keys of both READMEs from the table of actions, between two markers."""

from __future__ import annotations

import sys
from pathlib import Path

from lorabake_tui import i18n, keys

ROOT = Path(__file__).resolve().parents[1]
READMES = {"README.md": "en", "README.zh-CN.md": "zh_CN"}
BEGIN, END = "<!-- keys: begin -->", "<!-- keys: end -->"
_HEADS = {"en": ("where", "key", "what it does"), "zh_CN": ("位置", "按键", "作用")}
_PLACES = {"en": {"app": "everywhere", "list": "lists"}, "zh_CN": {"app": "任何地方", "list": "列表"}}


def current(path: Path) -> str:
    """The table as it should stand in this README."""
    language = READMES[path.name]
    before = i18n.current()
    i18n.use(language)
    try:
        titles = {name: i18n._(title) for name, title in keys.SECTIONS} | _PLACES[language]
        lines = ["| " + " | ".join(_HEADS[language]) + " |", "| --- | --- | --- |"]
        for owner, actions in keys.TABLE.items():
            if owner not in titles:
                continue
            place = titles[owner]
            for action in actions:
                shown = " ".join(f"`{_escaped(keys.key_label(key))}`" for key in action.keys.split(","))
                lines.append(f"| {place} | {shown} | {_escaped(i18n._(action.help))} |")
                place = ""
    finally:
        i18n.use(before)
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def written(path: Path) -> str:
    """The table as it stands in this README."""
    text = path.read_text(encoding="utf-8")
    return text.partition(BEGIN)[2].partition(END)[0].strip("\n")


def main() -> int:
    """Bring both READMEs up to date."""
    for name in READMES:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        head, _, rest = text.partition(BEGIN)
        _, _, tail = rest.partition(END)
        path.write_text(f"{head}{BEGIN}\n{current(path)}\n{END}{tail}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
