"""The one table of actions: id, keys, verb, help sentence, place in the footer.

Bindings, footer, palette, `?` help and the README's table of keys all come from it. An action `section.name` is
carried out by the method `action_name` of its owner: the app, a section's screen, or the list widget.
"""

from __future__ import annotations

from textual.binding import Binding

from lorabake_tui.action import Action, key_label, key_labels
from lorabake_tui.i18n import N_
from lorabake_tui.keys_dataset import DATASET, FINDINGS, PLAN, REVIEW, SETTINGS
from lorabake_tui.keys_results import COMPARE, RESULTS, TESTS
from lorabake_tui.keys_tags import IMAGE_REVIEW, RULES, STATES, TAG_REVIEW, TAGS, TRAITS

__all__ = ["SECTIONS", "TABLE", "Action", "bindings", "find", "key_label", "key_labels"]

SECTIONS: tuple[tuple[str, str], ...] = (
    ("dataset", N_("Dataset")),
    ("tags", N_("Tags")),
    ("params", N_("Params")),
    ("queue", N_("Queue")),
    ("monitor", N_("Monitor")),
    ("results", N_("Results")),
)
"""Section → title, in the order of the work; the key of a section is its place, 1 to 6."""


APP: tuple[Action, ...] = (
    Action("app.dataset", "1,f2", N_("Dataset"), N_("Look at the images and their captions.")),
    Action("app.tags", "2,f3", N_("Tags"), N_("See all tags of the dataset with their counts.")),
    Action("app.params", "3,f4", N_("Params"), N_("Set the parameters and start a bake.")),
    Action("app.queue", "4,f5", N_("Queue"), N_("See waiting, running and finished bakes.")),
    Action("app.monitor", "5,f6", N_("Monitor"), N_("Watch a bake: progress, loss, previews, log.")),
    Action("app.results", "6,f7", N_("Results"), N_("Compare the epochs of a bake and find their files.")),
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

DIALOG: tuple[Action, ...] = (
    Action("dialog.accept", "enter", N_("OK"), N_("Take what is written or chosen."), palette=False),
    Action("dialog.cancel", "escape", N_("Back"), N_("Close without changing anything."), palette=False),
    Action("dialog.up", "up", N_("Up"), N_("Choose the row above."), palette=False),
    Action("dialog.down", "down", N_("Down"), N_("Choose the row below."), palette=False),
    Action("dialog.complete", "tab", N_("Complete"), N_("Complete the path with the row chosen."), palette=False),
)

CONFIRM: tuple[Action, ...] = (Action("confirm.yes", "y", N_("Yes"), N_("Do it."), palette=False),)

HELP: tuple[Action, ...] = (
    Action("help.scroll", "space", N_("Page down"), N_("Show the next page."), palette=False),
    Action("help.close", "question_mark,q", N_("Close"), N_("Close the help."), palette=False),
)

PARAMS: tuple[Action, ...] = (
    Action("params.start", "s", N_("Start"), N_("Put the bake into the queue and go to the Monitor."), footer=1),
    Action(
        "params.change", "e", N_("Change"), N_("Change the value under the cursor (Enter does the same)."), footer=2
    ),
    Action("params.toggle", "space", N_("Switch"), N_("Switch a yes or no; on a choice, take the next one.")),
    Action("params.next_choice", "l,right", N_("Next choice"), N_("Take the next choice, or the next larger number.")),
    Action("params.previous_choice", "h,left", N_("Previous choice"), N_("Take the choice or number before.")),
    Action("params.reset", "backspace,delete", N_("Reset"), N_("Put the preset's value back."), footer=5),
    Action("params.pro", "p", N_("Pro"), N_("Show all parameters, or only the basic ones; values are kept."), footer=3),
    Action(
        "params.find",
        "slash",
        N_("Find"),
        N_("Find a parameter by any of its names, also the one that kohya's scripts use."),
        footer=4,
    ),
    Action("params.next_found", "n", N_("Next found"), N_("Go to the next parameter that was found.")),
    Action("params.next_changed", "c", N_("Next changed"), N_("Go to the next value that differs from the preset.")),
    Action(
        "params.measure",
        "m",
        N_("Measure"),
        N_("Take a few steps of this bake, so that the estimate can be trusted."),
        footer=6,
    ),
    Action("params.fit", "f", N_("Fit"), N_("Take the nearest settings that fit into memory.")),
    Action("params.rates", "dollar_sign", N_("Rates"), N_("Say what an hour or a kilowatt-hour costs.")),
    Action("params.save_preset", "w", N_("Save preset"), N_("Keep these settings as a preset of your own.")),
    Action("params.import", "i", N_("Import"), N_("Take the settings of a file: kohya's, lora-scripts' or ours.")),
    Action("params.export", "W", N_("Export"), N_("Write the settings as a configuration of kohya's sd-scripts.")),
    Action("params.editor", "E", N_("Editor"), N_("Edit all parameters as TOML in your own editor.")),
    Action("params.differences", "d", N_("Differences"), N_("List what differs from the preset and the defaults.")),
)

PICTURE: tuple[Action, ...] = (
    Action("picture.next", "l,right", N_("Next"), N_("Show the picture at the right."), palette=False),
    Action("picture.previous", "h,left", N_("Previous"), N_("Show the picture at the left."), palette=False),
    Action("picture.down", "j,down", N_("Down"), N_("Show the picture of the next epoch."), palette=False),
    Action("picture.up", "k,up", N_("Up"), N_("Show the picture of the epoch before."), palette=False),
    Action("picture.zoom", "z", N_("Zoom"), N_("Look closer, twice, or at the whole picture again."), palette=False),
    Action("picture.pan_right", "L,shift+right", N_("Right"), N_("Move the closer look right."), palette=False),
    Action("picture.pan_left", "H,shift+left", N_("Left"), N_("Move the closer look left."), palette=False),
    Action("picture.pan_down", "J,shift+down", N_("Down"), N_("Move the closer look down."), palette=False),
    Action("picture.pan_up", "K,shift+up", N_("Up"), N_("Move the closer look up."), palette=False),
    Action("picture.close", "escape,enter,o,q", N_("Back"), N_("Close the picture."), palette=False),
)

QUEUE: tuple[Action, ...] = (
    Action("queue.cancel", "x", N_("Cancel"), N_("Take a waiting job off the queue, or stop a running one."), footer=4),
    Action("queue.hold", "w", N_("Hold"), N_("Let the job wait until it is started by hand."), footer=3),
    Action("queue.start", "s", N_("Start"), N_("Let a held job go."), footer=2),
    Action("queue.move_up", "K,shift+up", N_("Move up"), N_("Move a waiting job towards the front."), footer=5),
    Action("queue.move_down", "J,shift+down", N_("Move down"), N_("Move a waiting job towards the end."), footer=6),
    Action("queue.when", "t", N_("When"), N_("Say when a waiting job may start: a time, or quiet hours."), footer=7),
    Action("queue.retries", "a", N_("Retries"), N_("Say how often a worker that dies is replaced by itself.")),
    Action("queue.duplicate", "d", N_("Duplicate"), N_("Queue the same bake again, on the dataset as it is now.")),
    Action("queue.resume", "r", N_("Resume"), N_("Go on with a stopped or failed bake from its last state."), footer=1),
)

MONITOR: tuple[Action, ...] = (
    Action("monitor.pause", "p", N_("Pause"), N_("Pause the bake after this step; its state is saved."), footer=1),
    Action(
        "monitor.resume",
        "r",
        N_("Resume"),
        N_("Let a paused, held, stopped or failed bake go on from where it is."),
        footer=1,
    ),
    Action("monitor.stop", "s", N_("Stop"), N_("Finish the step, save, and end the bake."), footer=2),
    Action("monitor.stop_now", "S", N_("Stop now"), N_("End the bake at once, without saving.")),
    Action("monitor.save_now", "w", N_("Save now"), N_("Save a state to resume from after this step."), footer=5),
    Action("monitor.preview_now", "v", N_("Preview now"), N_("Draw the previews after this step."), footer=6),
    Action("monitor.pictures", "o,enter", N_("Pictures"), N_("Look at the previews full-screen."), footer=3),
    Action("monitor.previous_run", "left_square_bracket", N_("Earlier run"), N_("Show the run before this one.")),
    Action("monitor.next_run", "right_square_bracket", N_("Later run"), N_("Show the run after this one.")),
    Action("monitor.change", "e", N_("Change"), N_("Change learning rates or epochs of the bake under way.")),
    Action("monitor.branch", "b", N_("Branch"), N_("Begin a new bake from an epoch or the state of this one.")),
    Action("monitor.curve", "c", N_("Curve"), N_("Draw the loss, the learning rates, the gradient norm or the speed.")),
    Action("monitor.compare", "x", N_("Compare"), N_("Draw the curve of another run beside this one's.")),
    Action("monitor.step_back", "left,h", N_("Step back"), N_("Read the curve at an earlier step.")),
    Action("monitor.step_forward", "right", N_("Step forward"), N_("Read the curve at a later step.")),
    Action("monitor.epoch_back", "shift+left,H", N_("Epoch back"), N_("Read the curve one epoch earlier.")),
    Action("monitor.epoch_forward", "shift+right,L", N_("Epoch forward"), N_("Read the curve one epoch later.")),
    Action("monitor.newest", "escape", N_("Newest"), N_("Follow the newest step again."), palette=False),
    Action("monitor.log_scale", "y", N_("Log scale"), N_("Draw the curve on a logarithmic scale, or a linear one.")),
    Action("monitor.smoothing", "m", N_("Smoothing"), N_("Smooth the loss lightly, strongly, or not at all.")),
    Action("monitor.zoom", "z", N_("Zoom"), N_("Draw the last tenth of the steps, or all of them.")),
    Action("monitor.log", "l", N_("Log"), N_("Give the log more room, or less."), footer=4),
)

TABLE: dict[str, tuple[Action, ...]] = {
    "app": APP,
    "list": LIST,
    "dialog": DIALOG,
    "confirm": CONFIRM,
    "help": HELP,
    "picture": PICTURE,
    "review": REVIEW,
    "findings": FINDINGS,
    "plan": PLAN,
    "settings": SETTINGS,
    "dataset": DATASET,
    "tags": TAGS,
    "tag_review": TAG_REVIEW,
    "traits": TRAITS,
    "rules": RULES,
    "states": STATES,
    "image_review": IMAGE_REVIEW,
    "params": PARAMS,
    "queue": QUEUE,
    "monitor": MONITOR,
    "results": RESULTS,
    "tests": TESTS,
    "compare": COMPARE,
}
"""Owner → its actions. A key is unique within a section together with `app` and `list`."""


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
