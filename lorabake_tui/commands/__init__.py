"""The table of commands: name, the module that holds it, the group it is listed under, one line about it.

Only words live here; importing this costs nothing, which keeps `lorabake --help` fast.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

from lorabake_tui.i18n import N_


class Command(NamedTuple):
    """Where a command is found and how the overview names it."""

    module: str
    group: str
    summary: str


class Spec(NamedTuple):
    """A command as its module exports it: adds its arguments to a parser, runs on the parsed values."""

    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    example: str


GROUPS = (N_("Bake"), N_("Dataset"), N_("Runs"), N_("Results"), N_("Look up"))

TABLE: dict[str, Command] = {
    "app": Command("app", GROUPS[0], N_("Open the app, on a dataset if a folder is named.")),
    "demo": Command("bake", GROUPS[0], N_("Bake the sample dataset on the embedded base model.")),
    "bake": Command("bake", GROUPS[0], N_("Bake a LoRA from a dataset and follow it.")),
    "estimate": Command("estimate", GROUPS[0], N_("Tell how many steps a bake will take, before it starts.")),
    "probe": Command("bake", GROUPS[0], N_("Measure a few steps of a bake, so that its estimate can be trusted.")),
    "rates": Command("estimate", GROUPS[0], N_("Say what an hour or a kilowatt-hour costs you.")),
    "check": Command("check", GROUPS[1], N_("Find what is wrong with a dataset, and fix what can be fixed safely.")),
    "tag": Command("tag", GROUPS[1], N_("Let taggers write the captions of a dataset, or move their thresholds.")),
    "tags": Command("tags", GROUPS[1], N_("List, add, remove, replace and sort tags, with undo and a preview.")),
    "crop": Command("crop", GROUPS[1], N_("Crop all images to one shape, without touching the files.")),
    "add": Command("files", GROUPS[1], N_("Take images, folders and zip archives into a dataset.")),
    "remove": Command("files", GROUPS[1], N_("Put images into the dataset's trash.")),
    "mirror": Command("files", GROUPS[1], N_("Train images mirrored as well, with or without files.")),
    "split": Command("files", GROUPS[1], N_("Cut tall and wide images into overlapping parts.")),
    "repeat": Command("repeat", GROUPS[1], N_("Say how often images are seen: by name, mark or folder.")),
    "mark": Command("repeat", GROUPS[1], N_("Put a letter on images, to set repeats and find them by.")),
    "undo": Command("files", GROUPS[1], N_("Take back the last change of a dataset, or list them.")),
    "trash": Command("files", GROUPS[1], N_("Tell how much lies in the trash of a dataset, and empty it.")),
    "sheet": Command("files", GROUPS[1], N_("Write a contact sheet of a dataset as a PNG file.")),
    "export": Command("export", GROUPS[1], N_("Write a dataset for kohya's trainers.")),
    "reg": Command("export", GROUPS[1], N_("Draw regularisation images with a base model.")),
    "runs": Command("runs", GROUPS[2], N_("List all runs and where they stand.")),
    "watch": Command("runs", GROUPS[2], N_("Follow a run from its beginning to its end.")),
    "stop": Command("runs", GROUPS[2], N_("Stop a run and keep what it has made.")),
    "pause": Command("runs", GROUPS[2], N_("Pause a run; its state is saved.")),
    "resume": Command("runs", GROUPS[2], N_("Go on with a paused, stopped or broken run.")),
    "save": Command("steer", GROUPS[2], N_("Save a state to resume from after this step.")),
    "preview": Command("steer", GROUPS[2], N_("Draw the previews of a bake after this step.")),
    "change": Command("steer", GROUPS[2], N_("Change learning rates or epochs of a bake under way.")),
    "branch": Command("steer", GROUPS[2], N_("Begin a new bake from an epoch or the state of an old one.")),
    "tensorboard": Command("steer", GROUPS[2], N_("Write a run's numbers and previews for TensorBoard.")),
    "tell": Command("tell", GROUPS[2], N_("Say who hears that a bake ended, failed or stalled.")),
    "queue": Command("queue", GROUPS[2], N_("List, move, hold, start, time, repeat or cancel jobs.")),
    "results": Command("results", GROUPS[3], N_("Tell the epochs of a run, their figures and its parameters.")),
    "publish": Command("results", GROUPS[3], N_("Bring an epoch to a folder, a WebUI or the Hugging Face hub.")),
    "rebake": Command("results", GROUPS[3], N_("Bake a run or a recipe again, with changes.")),
    "prune": Command("prune", GROUPS[3], N_("Put epochs of a run into the trash, bring them back, empty it.")),
    "test": Command("draw", GROUPS[3], N_("Draw with any epoch or LoRA file at once, or list earlier tests.")),
    "grid": Command("draw", GROUPS[3], N_("Draw a table of epochs, weights, prompts, seeds and CFG.")),
    "models": Command("lists", GROUPS[4], N_("List the base models and taggers, and where they are.")),
    "lora": Command("lora", GROUPS[4], N_("Tell what a LoRA file is and how it was made.")),
    "presets": Command(
        "presets", GROUPS[4], N_("List, show, compare, save and share presets; import recipes of kohya.")
    ),
    "params": Command("lists", GROUPS[4], N_("List all parameters, or explain one.")),
    "doctor": Command("doctor", GROUPS[4], N_("Check whether this machine can bake.")),
}
