"""Draft: the bake being prepared: base, preset, and the values a person changed from what the preset sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.protocol import fields
from engine.protocol.messages import EstimateParams, Submit
from engine.protocol.params import BakeParams
from engine.protocol.records import Job


class Draft:
    """What `lorabake bake` would get as options. Edits outlive a change of preset, base or mode.

    `reference` holds what applies without edits: the defaults overlaid by the preset.
    """

    def __init__(self) -> None:
        self.base = "demo"
        self.family = ""
        self.preset = ""
        self.reg = ""
        self.name = ""
        self.parent = ""
        self.pro = False
        self.edits: dict[str, Any] = {}
        self._preset: dict[str, Any] = {}
        self.reference = BakeParams()
        self.version = 0

    def use_preset(self, name: str, params: Mapping[str, Any]) -> None:
        """Stand on another preset; raises EngineError when it sets something that is not allowed."""
        self.reference = fields.build(params)
        self.preset, self._preset = name, dict(params)
        self.edits = {key: value for key, value in self.edits.items() if value != getattr(self.reference, key)}
        self.version += 1

    def value(self, name: str) -> Any:
        """The value that applies."""
        return self.edits.get(name, getattr(self.reference, name))

    def set(self, name: str, value: Any) -> None:
        """Change a value; raises EngineError when it is not allowed. The preset's own value is no edit."""
        value = fields.check(name, value)
        if value == getattr(self.reference, name):
            self.edits.pop(name, None)
        else:
            self.edits[name] = value
        self.version += 1

    def write(self, name: str, text: str) -> None:
        """Change a value as written by a person; raises EngineError when it is not one."""
        self.set(name, fields.parse(name, text))

    def reset(self, name: str) -> None:
        """Back to the preset's value."""
        self.edits.pop(name, None)
        self.version += 1

    def take(self, job: Job) -> None:
        """Become the draft of an earlier bake, to bake it again; `use_preset` must follow, and then every difference
        from its preset is an edit."""
        self.base, self.preset, self.reg, self.name, self.parent = job.base, job.preset, job.reg, job.name, job.id
        self.edits = {name: getattr(job.params, name) for name in fields.fields()}
        self.version += 1

    @property
    def pro_edits(self) -> int:
        """How many values of the pro mode differ from the preset's."""
        return sum(1 for name in self.edits if fields.fields()[name].level == "pro")

    def values(self) -> dict[str, Any]:
        """What is sent: the preset's values overlaid by the edits."""
        return {**self._preset, **self.edits}

    def estimate(self, dataset: str) -> EstimateParams:
        """What to ask the engine for an estimate."""
        return EstimateParams(dataset=dataset, reg=self.reg, base=self.base, params=self.values())

    def submit(self, dataset: str) -> Submit:
        """The bake to put in the queue."""
        return Submit(
            dataset=dataset,
            reg=self.reg,
            base=self.base,
            preset=self.preset,
            params=self.values(),
            name=self.name,
            parent=self.parent,
        )
