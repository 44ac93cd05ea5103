"""The caption the trainer really sees of an image, in kohya's order; torch-free, so that an editor can show it too.

Files and tags are `captions`; which chance a view gets is `chance`.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from typing import NamedTuple

from engine.dataset.captions import first_line, join_tags, split_tags
from engine.dataset.chance import caption_rng
from engine.protocol.params import BakeParams

_WILDCARD = re.compile(r"\{([^{}]+)\}")
# Private-use characters: no keyboard and no tagger makes them.
_OPEN, _CLOSE = "\ue000", "\ue001"


class When(NamedTuple):
    """Where in the bake a view is taken: epoch from 1, optimizer steps taken before it, steps of the whole bake."""

    epoch: int = 1
    step: int = 0
    steps: int = 0


LATE = When()
"""Where no warm-up is left: for what is not one view of a bake."""


def render_caption(caption: str, params: BakeParams, rng: random.Random, when: When = LATE) -> str:
    """The caption of one view of an image (kohya: `train_util.process_caption`). All chance comes from `rng`.

    Dropped whole with `caption_dropout_rate`, or in every n-th epoch. Else: its first line, or with wildcards any
    line and one choice of each {a|b}; prefix and suffix around it; what is kept in front and at the end (by mark or
    by count) stays, the rest is cut by the warm-up, shuffled, and each tag left out with
    `caption_tag_dropout_rate`; at last the secondary separator becomes a comma. A line that none of this concerns
    stays byte for byte.

    Other than in kohya, the suffix follows the line that trains (there it is lost behind the last of several lines),
    and a keep mark never reaches the text encoder (there it stays unless tags are shuffled or dropped).
    """
    if params.caption_dropout_rate > 0 and rng.random() < params.caption_dropout_rate:
        return ""
    every = params.caption_dropout_every_n_epochs
    if every > 0 and when.epoch % every == 0:
        return ""
    line = _wildcards(caption, rng) if params.enable_wildcard else first_line(caption)
    return _finish(_framed(line, params), params, rng, when)


def plain_caption(caption: str, params: BakeParams) -> str:
    """A caption with nothing left to chance: for previews, validation and statistics.

    Of wildcards the first line and the first choices count; nothing is dropped, shuffled or cut.
    """
    line = first_line(caption)
    if params.enable_wildcard:
        line = _choices(line, lambda choices: choices[0])
    return _finish(_framed(line, params), params, None, LATE)


def seen(caption: str, params: BakeParams, *, item: int = 0, turns: int = 4, when: When = LATE) -> list[str]:
    """What the first `turns` views of image number `item` of the plan train with in epoch `when.epoch`: exactly what
    a bake with these parameters will make of the caption."""
    return [
        render_caption(caption, params, caption_rng(params.seed, when.epoch, item, turn), when) for turn in range(turns)
    ]


def warmup_steps(params: BakeParams, steps: int) -> int:
    """After how many optimizer steps of `steps` captions have all their tags."""
    wish = params.token_warmup_step
    return math.floor(wish * steps if wish < 1 else wish)


def _wildcards(caption: str, rng: random.Random) -> str:
    lines = [line.strip() for line in caption.split("\n") if line.strip()]
    line = rng.choice(lines) if lines else ""
    return _choices(line, rng.choice)


def _choices(line: str, choose: Callable[[list[str]], str]) -> str:
    line = line.replace("{{", _OPEN).replace("}}", _CLOSE)
    line = _WILDCARD.sub(lambda match: choose(match[1].split("|")), line)
    return line.replace(_OPEN, "{").replace(_CLOSE, "}").strip()


def _framed(line: str, params: BakeParams) -> str:
    return " ".join(part for part in (params.caption_prefix, line, params.caption_suffix) if part)


def _finish(line: str, params: BakeParams, rng: random.Random | None, when: When) -> str:
    """Keep marks, warm-up, shuffle, tag dropout and the secondary separator; without `rng` nothing is left to
    chance."""
    mark = params.keep_tokens_separator
    warm = warmup_steps(params, when.steps)
    cut = rng is not None and when.step < warm
    moved = rng is not None and (params.shuffle_caption or params.caption_tag_dropout_rate > 0)
    if cut or moved or (mark and mark in line):
        kept, loose, end = _parts(line, params)
        if cut:
            # kohya's line from `token_warmup_min` tags to all of them.
            fewest = params.token_warmup_min
            loose = loose[: math.floor(when.step * (len(loose) - fewest) / warm) + fewest]
        if rng is not None and params.shuffle_caption:
            rng.shuffle(loose)
        if rng is not None and params.caption_tag_dropout_rate > 0:
            loose = [tag for tag in loose if rng.random() >= params.caption_tag_dropout_rate]
        line = join_tags(kept + loose + end)
    if params.secondary_separator:
        line = line.replace(params.secondary_separator, ",")
    return line


def _parts(line: str, params: BakeParams) -> tuple[list[str], list[str], list[str]]:
    """Tags kept in front, tags that may move, tags kept at the end."""
    mark = params.keep_tokens_separator
    if mark and mark in line:
        front, _, rest = line.partition(mark)
        middle, _, end = rest.partition(mark)
        return split_tags(front), split_tags(middle), split_tags(end)
    tags = split_tags(line)
    return tags[: params.keep_tokens], tags[params.keep_tokens :], []
