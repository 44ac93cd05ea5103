"""What the dataset's doctor found, folded for a list: by image, by kind, and what of it can be mended.

Knows no words and no widget; the sentences of a code are `errors.SENTENCES`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from engine.protocol.errors import SENTENCES, ErrorInfo
from engine.protocol.records import CheckReport, Finding


class Found(NamedTuple):
    """A finding without its sentences, which its code and arguments give again: a hundred thousand fit in memory."""

    file: str
    code: str
    fix: str
    args: Mapping[str, str]
    reg: bool
    message: str = ""
    hint: str = ""

    @property
    def info(self) -> ErrorInfo:
        """What to tell a person."""
        return ErrorInfo(code=self.code, message=self.message, hint=self.hint, args=dict(self.args))


class Kind(NamedTuple):
    """All findings of one code; `fixable` of them have a safe fix."""

    code: str
    found: tuple[Found, ...]
    fixable: int


class Findings:
    """One check of a dataset."""

    def __init__(self, report: CheckReport | None = None, findings: Iterable[Finding] = ()) -> None:
        self.report = report
        self.kinds: tuple[Kind, ...] = ()
        self.fixable = 0
        self._of: dict[str, list[Found]] = {}
        kinds: dict[str, list[Found]] = {}
        for one in findings:
            found = _found(one)
            kinds.setdefault(found.code, []).append(found)
            if found.file and not found.reg:
                self._of.setdefault(found.file, []).append(found)
        counted = [
            Kind(code, tuple(group), len({found.file for found in group if found.fix})) for code, group in kinds.items()
        ]
        # What can be mended comes first, then what concerns most images.
        self.kinds = tuple(sorted(counted, key=lambda kind: (not kind.fixable, -len(kind.found))))
        self.fixable = len({found.file for kind in counted for found in kind.found if found.fix})

    def of(self, name: str) -> list[Found]:
        """What was found about one image."""
        return self._of.get(name, [])

    @property
    def images(self) -> int:
        """How many images have a finding."""
        return len(self._of)

    @property
    def total(self) -> int:
        """How many findings there are."""
        return sum(len(kind.found) for kind in self.kinds)


def _found(one: Finding) -> Found:
    if one.code in SENTENCES:
        return Found(one.file, one.code, one.fix, one.args, one.reg)
    return Found(one.file, one.code, one.fix, one.args, one.reg, one.message, one.hint)
