"""Action: one thing that a key can do, and how keys are written for a person. Which there are, `keys` says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a key can do. `keys` are Textual key names separated by commas, the first is the one shown.

    `footer` ranks the hint in the footer (1 comes first and is dropped last, 0 is never shown there);
    `palette` is false for what makes no sense away from its key, such as moving the cursor.
    """

    id: str
    keys: str
    verb: str
    help: str
    footer: int = 0
    palette: bool = True
    priority: bool = False

    @property
    def section(self) -> str:
        """`app`, `list`, or one of the six sections."""
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        """The part after the section; the handler is `action_<name>`."""
        return self.id.partition(".")[2]

    @property
    def key(self) -> str:
        """The key as a person reads it."""
        return key_label(self.keys.split(",")[0])


_LABELS = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "space": "space",
    "full_stop": ".",
    "comma": ",",
    "plus": "+",
    "minus": "-",
    "dollar_sign": "$",
    "equals_sign": "=",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "home": "Home",
    "end": "End",
    "enter": "Enter",
    "escape": "Esc",
    "tab": "Tab",
    "backspace": "Bksp",
    "delete": "Del",
    "at": "@",
    "apostrophe": "'",
    "grave_accent": "`",
}


def key_label(key: str) -> str:
    """A Textual key name as a person reads it: `question_mark` → `?`, `ctrl+q` → `^q`, `G` → `G`."""
    if key in _LABELS:
        return _LABELS[key]
    if key[:1] == "f" and key[1:].isdecimal():
        return key.upper()
    if key.startswith("ctrl+"):
        return "^" + key_label(key[5:])
    if key.startswith("shift+"):
        return "Shift+" + key_label(key[6:])
    return key


def key_labels(action: Action) -> str:
    """All keys of an action, for help pages: `j ↓`."""
    return " ".join(key_label(key) for key in action.keys.split(","))
