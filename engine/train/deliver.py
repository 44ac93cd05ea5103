"""Copies finished epochs to the folder the user named with --out, and refuses to overwrite what is not this run's."""

from __future__ import annotations

import shutil
from pathlib import Path

from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_path
from engine.runs.folder import RunFolder


class Delivery:
    """The `--out` folder of a run; without one, nothing happens."""

    def __init__(self, run: RunFolder, out: str, name: str) -> None:
        self._run = run
        self._folder = Path(out) if out else None
        self._name = name

    @property
    def folder(self) -> str:
        """Where copies go, "" for nowhere."""
        return str(self._folder) if self._folder else ""

    def prepare(self, epochs: int, previews: int) -> None:
        """Make the folder; raises EngineError `out_exists` for a foreign file under a name that this bake will use,
        `home_unwritable` when the folder cannot be made."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EngineError("home_unwritable", path=self._folder, reason=error.strerror or error) from None
        if (self._run.path / "epochs").exists():
            return  # an earlier boot of this run checked, and what lies there now is its own
        for epoch in range(epochs + 1):
            sources = [self._run.preview_file(epoch, i + 1) for i in range(previews)]
            if epoch:
                sources.append(self._run.lora_file(epoch, self._name))
            for source in sources:
                target = self._target(epoch, source)
                if target.exists():
                    raise EngineError("out_exists", path=self._folder, file=target.name)

    def copy(self, epoch: int, source: Path) -> None:
        """Place a copy of one of the run's files, atomically and readable as the user's other files are."""
        if self._folder is None:
            return
        with atomic_path(self._target(epoch, source), mode=0o644) as temporary:
            shutil.copyfile(source, temporary)

    def _target(self, epoch: int, source: Path) -> Path:
        assert self._folder is not None
        own = source.name if source.suffix == ".safetensors" else f"{self._name}-e{epoch:02d}-{source.name}"
        return self._folder / own
