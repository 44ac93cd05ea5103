"""A tagger at work: its ONNX model, checked against contract and list of tags, on the best device there is.

The only file of tagging that imports onnxruntime.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.dataset.names import printable
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.runs.devices import gpu_count
from engine.tagging.contracts import Contract, Tagger
from engine.tagging.labels import Label, read_labels
from engine.tagging.pixels import tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_GPU_BATCH = 16
_CPU_BATCH = 4
"""A processor gains nothing from large batches; a small one keeps progress and stopping lively."""
_PROVIDERS = ("CUDAExecutionProvider", "ROCMExecutionProvider", "DmlExecutionProvider", "CoreMLExecutionProvider")
_TOO_MUCH = ("memory", "alloc")


class Shape(NamedTuple):
    """What the model's graph says: side of its square, its fixed batch (0: any), names of input and output."""

    side: int
    batch: int
    given: str
    made: str


class Session:
    """One loaded tagger. `batch` pictures are asked about at once, fewer after the memory has run out."""

    def __init__(self, tagger: Tagger, batch: int = 0) -> None:
        """Load it; raises EngineError `tagger_labels`, `tagger_broken` or `tagger_contract`."""
        import onnxruntime  # type: ignore[import-untyped]

        self.tagger = tagger
        self.labels: list[Label] = read_labels(tagger.labels, tagger.contract.tags)
        self.notices: list[ErrorInfo] = []
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        threads = _threads()
        options.intra_op_num_threads = threads
        # Threads that wait by spinning would take the processor from those that decode pictures.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        usable = [name for name in _PROVIDERS if name in onnxruntime.get_available_providers()]
        if os.environ.get("LORABAKE_DEVICE", "") == "cpu":
            usable = []
        try:
            self._session = onnxruntime.InferenceSession(
                os.fspath(tagger.model), options, providers=[*usable, "CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises a family of its own for every fault of a file
            reason = printable(str(error)).strip().splitlines()[0][:200] or type(error).__name__
            raise EngineError("tagger_broken", path=printable(str(tagger.model)), reason=reason) from None
        self.provider: str = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        self.shape = _shape(self._session, tagger, len(self.labels))
        self.batch = self.shape.batch or batch or (_CPU_BATCH if self.on_cpu else _GPU_BATCH)
        if self.on_cpu:
            self.notices.append(_slow(tagger, threads, usable))

    @property
    def on_cpu(self) -> bool:
        """Whether the processor does the work."""
        return self.provider == "CPU"

    @property
    def mark(self) -> str:
        """Tells this model and its contract from any other; scores of another mark are not of this tagger."""
        path = self.tagger.model
        digest = hashlib.sha256(repr(self.tagger.contract).encode())
        digest.update("\n".join(label.name for label in self.labels).encode())
        size = path.stat().st_size
        with open(path, "rb") as file:
            for start in (0, size // 2, max(0, size - _SAMPLE)):
                file.seek(start)
                digest.update(file.read(_SAMPLE))
        return f"{size}-{digest.hexdigest()[:24]}"

    def scores(self, squares: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Probabilities [pictures, tags]. Raises EngineError `tagger_output` or `tagger_broken`."""
        import numpy as np

        parts, start = [], 0
        while start < len(squares):
            part = squares[start : start + self.batch]
            try:
                parts.append(self._run(part))
            except MemoryError:
                if self.batch == 1 or self.shape.batch:
                    raise EngineError(
                        "tagger_broken", path=printable(str(self.tagger.model)), reason="the memory is too small"
                    ) from None
                self.notices.append(describe("tagger_batch", batch=self.batch, smaller=self.batch // 2))
                self.batch //= 2
                continue
            start += len(part)
        return np.concatenate(parts)

    def _run(self, squares: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        import numpy as np

        batch = tensor(squares, self.tagger.contract, self.shape.batch)
        try:
            answer = self._session.run([self.shape.made], {self.shape.given: batch})[0]
        except Exception as error:  # as above
            text = str(error)
            if any(word in text.lower() for word in _TOO_MUCH):
                raise MemoryError from None
            reason = printable(text).strip().splitlines()[0][:200] or type(error).__name__
            raise EngineError("tagger_broken", path=printable(str(self.tagger.model)), reason=reason) from None
        made = np.asarray(answer, dtype=np.float32)[: len(squares)]
        if made.shape != (len(squares), len(self.labels)):
            raise self._wrong(f"{made.shape[-1]}", f"{len(self.labels)} tags")
        return self._probabilities(made)

    def _wrong(self, got: str, wanted: str) -> EngineError:
        return EngineError("tagger_output", path=printable(str(self.tagger.model)), got=got, wanted=wanted)

    def _probabilities(self, made: NDArray[np.float32]) -> NDArray[np.float32]:
        import numpy as np

        if self.tagger.contract.activation == "logits":
            made = 1.0 / (1.0 + np.exp(-made.clip(-80.0, 80.0)))
        low, high = float(made.min()), float(made.max())
        if not (low >= -_SLACK and high <= 1.0 + _SLACK):  # also false for what is no number
            raise self._wrong(f"{low:.3g} … {high:.3g}", "probabilities")
        clipped: NDArray[np.float32] = made.clip(0.0, 1.0)
        return clipped


_SAMPLE = 1 << 20
_SLACK = 1e-3


def decoders(session: Session) -> int:
    """How many threads keep the model fed: all processors beside a GPU, a part of them beside the processor itself."""
    cores = len(os.sched_getaffinity(0))
    return max(2, cores // 4) if session.on_cpu else max(2, min(cores, 32))


def _threads() -> int:
    wished = os.environ.get("OMP_NUM_THREADS", "")
    return int(wished) if wished.isdigit() and int(wished) > 0 else len(os.sched_getaffinity(0))


def _slow(tagger: Tagger, threads: int, usable: list[str]) -> ErrorInfo:
    if gpu_count() and os.environ.get("LORABAKE_DEVICE", "") != "cpu":
        reason = "its libraries (CUDA, cuDNN) do not load" if usable else "this onnxruntime knows no GPU"
        return describe("tagger_gpu_unused", name=tagger.name, reason=reason)
    return describe("tagger_on_cpu", name=tagger.name, cores=threads)


def _shape(session: Any, tagger: Tagger, labels: int) -> Shape:
    contract, path = tagger.contract, tagger.model
    given = session.get_inputs()
    if len(given) != 1:
        raise _odd(path, f"it takes {len(given)} inputs, a tagger takes one")
    shape = list(given[0].shape)
    if given[0].type != "tensor(float)":
        raise _odd(path, f"it takes {given[0].type}, not 32-bit numbers")
    if len(shape) != 4:
        raise _odd(path, f"its input has the shape {shape}, and a batch of pictures has four sides")
    side = _side(path, contract, shape)
    fixed = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else 0
    made = _output(path, contract, session.get_outputs(), labels)
    return Shape(side, fixed, given[0].name, made)


def _side(path: Path, contract: Contract, shape: list[Any]) -> int:
    place = 3 if contract.layout == "NHWC" else 1
    channels = shape[place]
    sides = shape[1:3] if contract.layout == "NHWC" else shape[2:4]
    if isinstance(channels, int) and channels != 3:
        raise _odd(path, f"its input has the shape {shape}, which is not {contract.layout} with three channels")
    numbers = [side if isinstance(side, int) and side > 0 else contract.side for side in sides]
    if numbers[0] != numbers[1]:
        raise _odd(path, f"its input has the shape {shape}, which is no square")
    return int(numbers[0])


def _output(path: Path, contract: Contract, outputs: list[Any], labels: int) -> str:
    # A width that the graph leaves open is looked at when the first answer is there.
    fitting = [
        out for out in outputs if len(out.shape) == 2 and (out.shape[1] == labels or not isinstance(out.shape[1], int))
    ]
    if contract.output:
        fitting = [out for out in fitting if out.name == contract.output]
    elif contract.activation == "probabilities":
        fitting = [out for out in fitting if "logits" not in out.name.lower()] or fitting
    if not fitting:
        told = ", ".join(f"{out.name} {list(out.shape)}" for out in outputs)
        wanted = f"{contract.output} " if contract.output else ""
        raise _odd(path, f"its list has {labels} tags, and no output {wanted}has as many: {told}")
    return str(fitting[0].name)


def _odd(path: Path, reason: str) -> EngineError:
    return EngineError("tagger_contract", path=printable(str(path)), reason=printable(reason)[:300])
