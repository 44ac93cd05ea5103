"""The one table of actions: id, keys, verb, help sentence, place in the footer.

Bindings, footer, palette, `?` help and the README's table of keys all come from it. An action `section.name` is
carried out by the method `action_name` of its owner: the app, a section's screen, or the list widget.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding

from lorabake_tui.i18n import N_

SECTIONS: tuple[tuple[str, str], ...] = (
    ("dataset", N_("Dataset")),
    ("tags", N_("Tags")),
    ("params", N_("Params")),
    ("queue", N_("Queue")),
    ("monitor", N_("Monitor")),
    ("results", N_("Results")),
)
"""Section → title, in the order of the work; the key of a section is its place, 1 to 6."""


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


APP: tuple[Action, ...] = (
    Action("app.dataset", "1", N_("Dataset"), N_("Look at the images and their captions.")),
    Action("app.tags", "2", N_("Tags"), N_("See all tags of the dataset with their counts.")),
    Action("app.params", "3", N_("Params"), N_("Set the parameters and start a bake.")),
    Action("app.queue", "4", N_("Queue"), N_("See waiting, running and finished bakes.")),
    Action("app.monitor", "5", N_("Monitor"), N_("Watch a bake: progress, loss, previews, log.")),
    Action("app.results", "6", N_("Results"), N_("Compare the epochs of a bake and find their files.")),
    Action("app.help", "question_mark,f1", N_("Help"), N_("Explain this section and list its keys."), footer=91),
    Action("app.palette", "colon,ctrl+p", N_("Actions"), N_("Find any action by its name."), footer=92),
    Action("app.next_pane", "tab", N_("Next pane"), N_("Give the keys to the next pane."), palette=False),
    Action(
        "app.previous_pane", "shift+tab", N_("Previous pane"), N_("Give the keys to the pane before."), palette=False
    ),
    Action("app.language", "ctrl+l", N_("Language"), N_("Switch between English and Chinese."), footer=0),
    Action(
        "app.leave",
        "ctrl+q",
        N_("Leave"),
        N_("Leave the program. A bake that is running goes on."),
        footer=93,
        priority=True,
    ),
    Action("app.interrupt", "ctrl+c", N_("How to leave"), N_("Tell which key leaves the program."), palette=False),
)

LIST: tuple[Action, ...] = (
    Action("list.down", "j,down", N_("Down"), N_("Move one row down."), palette=False),
    Action("list.up", "k,up", N_("Up"), N_("Move one row up."), palette=False),
    Action("list.page_down", "pagedown,ctrl+d,ctrl+f", N_("Page down"), N_("Move one page down."), palette=False),
    Action("list.page_up", "pageup,ctrl+u", N_("Page up"), N_("Move one page up."), palette=False),
    Action("list.first", "g,home", N_("First"), N_("Go to the first row."), palette=False),
    Action("list.last", "G,end", N_("Last"), N_("Go to the last row."), palette=False),
    Action("list.select", "enter", N_("Open"), N_("Act on the row under the cursor."), palette=False),
)

DATASET: tuple[Action, ...] = ()
TAGS: tuple[Action, ...] = ()
PARAMS: tuple[Action, ...] = ()
QUEUE: tuple[Action, ...] = ()
MONITOR: tuple[Action, ...] = ()
RESULTS: tuple[Action, ...] = ()

TABLE: dict[str, tuple[Action, ...]] = {
    "app": APP,
    "list": LIST,
    "dataset": DATASET,
    "tags": TAGS,
    "params": PARAMS,
    "queue": QUEUE,
    "monitor": MONITOR,
    "results": RESULTS,
}
"""Owner → its actions. A key is unique within a section together with `app` and `list`."""

_LABELS = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "space": "space",
    "full_stop": ".",
    "comma": ",",
    "plus": "+",
    "minus": "-",
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
    "shift+tab": "Shift+Tab",
    "backspace": "Bksp",
    "delete": "Del",
    "f1": "F1",
}


def key_label(key: str) -> str:
    """A Textual key name as a person reads it: `question_mark` → `?`, `ctrl+q` → `^q`, `G` → `G`."""
    if key in _LABELS:
        return _LABELS[key]
    if key.startswith("ctrl+"):
        return "^" + key_label(key[5:])
    return key


def key_labels(action: Action) -> str:
    """All keys of an action, for help pages: `j ↓`."""
    return " ".join(key_label(key) for key in action.keys.split(","))


def bindings(owner: str) -> list[Binding]:
    """The Textual bindings of an owner of `TABLE`; ids are those of the actions."""
    return [
        Binding(
            action.keys,
            action.name,
            action.verb,
            tooltip=action.help,
            id=action.id,
            show=False,
            priority=action.priority,
        )
        for action in TABLE[owner]
    ]


def find(action_id: str) -> Action:
    """The action with this id; raises KeyError."""
    return _BY_ID[action_id]


_BY_ID = {action.id: action for actions in TABLE.values() for action in actions}
