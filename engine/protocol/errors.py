"""Every failure and warning a person can be told, as a code with an English sentence and a hint.

The sentences are templates, by area in `sentences_*`; the arguments travel beside the code so that a viewer can
translate them. Raising is done where the fault is found, showing is the viewer's business.
"""

from __future__ import annotations

import msgspec

from engine.protocol.sentence import Sentence
from engine.protocol.sentences_dataset import DATASET
from engine.protocol.sentences_params import PARAMS
from engine.protocol.sentences_results import RESULTS
from engine.protocol.sentences_runs import RUNS
from engine.protocol.sentences_tagging import TAGGING
from engine.protocol.sentences_training import TRAINING

SENTENCES: dict[str, Sentence] = {**DATASET, **TAGGING, **PARAMS, **TRAINING, **RUNS, **RESULTS}
"""Code → sentence. Codes are stable; scripts may match them."""

SINGULAR: dict[str, str] = {
    "notice_images_skipped": "{count} image is not used: unreadable, or with a repeat of 0.",
    "notice_small_buckets": "{count} bucket holds fewer views than a batch of {batch_size} ({first}); its images weigh "
    "more.",
    "notice_enlarged": "{count} image is smaller than its bucket at resolution {resolution} and will be enlarged, "
    "which blurs.",
    "notice_uncaptioned": "{count} training image has no caption.",
    "notice_unmasked": "{count} training image has no mask and trains whole ({first}).",
    "dataset_changed": "{count} file of the dataset changed since this bake was submitted ({file}).",
    "lora_unpaired": "{count} layer lacks half of its weights ({first}).",
}
"""Code → the message where the argument `count` is 1."""


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A failure as it travels: `message` and `hint` in English, `code` and `args` for translation."""

    code: str
    message: str
    hint: str = ""
    args: dict[str, str] = {}
    recoverable: bool = False


class EngineError(Exception):
    """A failure with a code of `SENTENCES`; the one exception that crosses module borders on purpose."""

    def __init__(self, code: str, /, *, recoverable: bool = False, **args: object) -> None:
        self.info = describe(code, recoverable=recoverable, **args)
        super().__init__(self.info.message)


class _Gaps(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def fill(template: str, args: dict[str, str]) -> str:
    """`template` with `{name}` replaced from `args`; a name without a value becomes "?"."""
    return template.format_map(_Gaps(args))


def message_of(code: str, args: dict[str, str]) -> str:
    """The template of a known code's message that fits `args`: singular where they count one."""
    return SINGULAR[code] if args.get("count") == "1" and code in SINGULAR else SENTENCES[code].message


def describe(code: str, /, *, recoverable: bool = False, **args: object) -> ErrorInfo:
    """The `ErrorInfo` of a code; raises KeyError for a code that is not in `SENTENCES`."""
    sentence = SENTENCES[code]
    texts = {name: str(value) for name, value in args.items()}
    return ErrorInfo(
        code=code,
        message=fill(message_of(code, texts), texts),
        hint=fill(sentence.hint, texts),
        args=texts,
        recoverable=recoverable,
    )
