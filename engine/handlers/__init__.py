"""What the host does for each method: one function per method of `METHODS`, imported when first called.

A handler takes the host's `Context` and the typed parameters, returns the typed result (or a `Then`), and
raises EngineError. Handlers run on several threads at once.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from engine.handlers.following import Follower
from engine.handlers.indexed import Indexed
from engine.handlers.long_work import LongWork
from engine.handlers.opened import Opened
from engine.protocol.records import Finding
from engine.runs.state import LockedRuns
from engine.telemetry import Telemetry

_MODULES = {
    "dataset.open": "datasets",
    "dataset.sample": "datasets",
    "dataset.rows": "datasets",
    "dataset.tags": "datasets",
    "dataset.filter": "dataset_filter",
    "dataset.complete_filter": "dataset_filter",
    "dataset.filters": "dataset_filter",
    "dataset.keep_filter": "dataset_filter",
    "tags.table": "tag_words",
    "tags.suggest": "tag_words",
    "tags.traits": "tag_words",
    "tags.bind": "tags",
    "tags.rules": "tags",
    "tags.desk": "tag_words",
    "tags.trains": "tag_words",
    "tags.review": "tag_words",
    "tags.judge": "tag_words",
    "tags.edit": "tags",
    "tags.replay": "tags",
    "tags.own": "tags",
    "tags.undo": "tags",
    "tags.redo": "tags",
    "tags.history": "tags",
    "dataset.set_caption": "datasets",
    "dataset.set_repeat": "datasets",
    "dataset.check": "dataset_doctor",
    "dataset.findings": "dataset_doctor",
    "dataset.fix": "dataset_doctor",
    "dataset.undo_fix": "dataset_doctor",
    "dataset.crop": "dataset_crop",
    "dataset.summary": "datasets",
    "dataset.add": "dataset_files",
    "dataset.remove": "dataset_files",
    "dataset.undo": "dataset_files",
    "dataset.history": "dataset_files",
    "dataset.trash": "dataset_files",
    "dataset.empty_trash": "dataset_files",
    "dataset.mirror": "dataset_files",
    "dataset.split": "dataset_files",
    "dataset.export": "dataset_files",
    "dataset.cancel": "dataset_files",
    "dataset.mark": "dataset_facts",
    "dataset.repeat": "dataset_facts",
    "dataset.flip": "dataset_facts",
    "dataset.plan": "dataset_facts",
    "dataset.set_crop": "dataset_crop",
    "dataset.suggest_crops": "dataset_crop",
    "dataset.sheet": "dataset_pictures",
    "dataset.pictures": "dataset_pictures",
    "reg.submit": "reg",
    "tags.submit": "tagging",
    "tags.thresholds": "tagging",
    "tags.scores": "tagging",
    "draw.defaults": "drawing",
    "draw.submit": "drawing",
    "draw.list": "drawing",
    "draw.show": "drawing",
    "draw.now": "drawing",
    "draw.stop": "drawing",
    "results.show": "publishing",
    "results.publish": "publishing",
    "results.prune": "publishing",
    "results.trash": "publishing",
    "picture": "datasets",
    "lora.info": "loras",
    "models.list": "choices",
    "presets.list": "choices",
    "presets.resolve": "choices",
    "estimate": "choices",
    "presets.text": "recipes",
    "presets.save": "recipes",
    "presets.import": "recipes",
    "presets.remove": "recipes",
    "recipes.read": "recipes",
    "recipes.write": "recipes",
    "rates.get": "choices",
    "rates.set": "choices",
    "runs.submit": "runs",
    "runs.list": "runs",
    "runs.job": "runs",
    "runs.outcome": "runs",
    "runs.watch": "runs",
    "runs.unwatch": "runs",
    "runs.control": "runs",
    "runs.resume": "runs",
    "runs.subscribe": "runs",
    "queue.cancel": "runs",
    "queue.hold": "runs",
    "queue.start": "runs",
    "queue.move": "runs",
    "queue.plan": "runs",
    "runs.branch": "runs",
    "runs.tensorboard": "telling",
    "tell.get": "telling",
    "tell.set": "telling",
    "tell.test": "telling",
    "log.tail": "runs",
    "device.subscribe": "machine",
    "doctor": "machine",
}


class Then(NamedTuple):
    """A result, and what to do once the reply is on the wire."""

    result: Any
    after: Callable[[], None]


class Context:
    """What the handlers of one host share: opened datasets and what was found in them, runs, followers, telemetry."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self.send = send
        self.datasets = Opened()
        self.work = LongWork(send)
        self.indexes = Indexed()
        self.checks: dict[Path, list[Finding]] = {}
        self.runs = LockedRuns()
        self.telemetry = Telemetry()
        self.follower = Follower(send, self.runs, self.telemetry)

    def close(self) -> None:
        """Stop pushing."""
        self.follower.close()


def handler(method: str) -> Callable[[Context, Any], Any]:
    """The function for a method: `queue.hold` is `runs.queue_hold`, `runs.list` is `runs.runs_list`."""
    module = importlib.import_module(f"engine.handlers.{_MODULES[method]}")
    function: Callable[[Context, Any], Any] = getattr(module, method.replace(".", "_"))
    return function
