"""The line that draws a test again, with every setting in it, so that it needs nothing of what is usual today."""

from __future__ import annotations

import shlex

from engine.protocol.drawing import Drawn, DrawParams, Shot


def command_of(asked: DrawParams, drawn: Drawn, start: Shot) -> str:
    """`lorabake test …` or `lorabake grid …` for what was asked."""
    one = drawn.shots[0]
    words = ["lorabake", "grid" if asked.grid else "test"]
    words += [drawn.source] if drawn.source else []
    words += ["--base", drawn.base]
    if asked.grid:
        words += _list("--epochs", asked.epochs or ([drawn.epoch] if drawn.epoch is not None else []))
        words += _list("--weights", asked.weights or [asked.weight])
        words += _list("--seeds", asked.seeds or [_seed(asked, start) + n for n in range(asked.count)])
        words += _list("--cfgs", asked.cfgs or [one.cfg])
        prompts = asked.prompts or [_prompt(asked, start)]
        words += [] if asked.baseline else ["--no-baseline"]
    else:
        words += ["--epoch", str(drawn.epoch)] if drawn.epoch is not None else []
        words += ["--weight", f"{asked.weight:g}", "--seed", str(_seed(asked, start)), "--cfg", f"{one.cfg:g}"]
        words += ["--count", str(asked.count)]
        prompts = [_prompt(asked, start)]
    for prompt in prompts:
        words += ["--prompt", prompt]
    words += ["--negative", start.negative if asked.negative is None else asked.negative]
    words += ["--size", f"{asked.width or start.width}x{asked.height or start.height}"]
    words += ["--sampler", asked.sampler or start.sampler, "--steps", str(asked.steps or start.steps)]
    words += ["--clip-skip", str(asked.clip_skip or start.clip_skip)]
    for lora in asked.loras:
        words += ["--lora", lora]
    return shlex.join(words)


def _seed(asked: DrawParams, start: Shot) -> int:
    return start.seed if asked.seed is None else asked.seed


def _prompt(asked: DrawParams, start: Shot) -> str:
    return start.prompt if asked.prompt is None else asked.prompt


def _list(name: str, values: list[int] | list[float]) -> list[str]:
    texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return [name, ",".join(texts)] if texts else []
