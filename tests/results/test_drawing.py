"""Tests and grids drawn by the worker's code on a real bake: bits, settings, refusals, history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.drawing import history, request, sources
from engine.protocol.drawing import SAMPLERS, Drawn, DrawParams
from engine.protocol.errors import EngineError
from tests.results.conftest import Bench

QUICK: dict[str, Any] = {"source": "last", "steps": 2, "width": 32, "height": 32}
PROMPTS = ["nekomizu, (smile:1.3)", "nekomizu, red --n blue"]


def picture(drawn: Drawn, place: int = 0) -> bytes:
    return history.picture_file(drawn, place).read_bytes()


def test_cells_of_a_grid_equal_single_tests_bit_for_bit_and_weight_0_the_base(bench: Bench) -> None:
    epochs, weights = [1, 2, 3], [0.0, 0.8, 1.0]
    once = {**QUICK, "steps": 1}
    grid = DrawParams(**once, grid=True, epochs=epochs, weights=weights, prompts=PROMPTS, seed=5)
    single = [
        DrawParams(**once, epoch=epoch, weight=weight, prompt=prompt, seed=5)
        for prompt, epoch, weight in [(PROMPTS[0], 1, 0.8), (PROMPTS[1], 3, 1.0), (PROMPTS[1], 2, 0.0)]
    ]
    base = [DrawParams(**once, epoch=0, prompt=prompt, seed=5) for prompt in PROMPTS]
    drawn, *others = bench.draw(grid, *single, *base)
    assert drawn.state == "done", drawn.error
    assert drawn.columns == ["base", "weight 0", "weight 0.8", "weight 1"]
    assert drawn.rows == [f"epoch {epoch} · {prompt}" for prompt in PROMPTS for epoch in epochs]
    assert [[Path(lora.path).stem, lora.weight] for lora in drawn.shots[drawn.cells[4][3]].loras] == [["tiny-e02", 1.0]]

    def cell(row: int, column: int) -> bytes:
        return picture(drawn, drawn.cells[row][column])

    assert [cell(0, 2), cell(5, 3), cell(4, 1)] == [picture(one) for one in others[:3]]
    assert cell(0, 0) == cell(0, 1) == picture(others[3])
    assert cell(3, 0) == cell(3, 1) == picture(others[4])
    # Every setting that should change a picture does.
    assert len({cell(row, column) for row in range(6) for column in (2, 3)}) == 12
    assert (Path(drawn.dir) / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_of_a_test_means_the_same_test(bench: Bench) -> None:
    import shlex
    from typing import cast

    from lorabake_tui.commands import Spec, draw
    from lorabake_tui.commands.parser import Parser

    prompts = ["it's (red:1.2), “q” $HOME --s 3", "b"]
    once = {**QUICK, "steps": 1}
    grid = DrawParams(**once, grid=True, epochs=[0, 2], weights=[0.5, 1], prompts=prompts, seeds=[3, 4], cfgs=[2, 5])
    for asked in (DrawParams(**QUICK, epoch=2, weight=0.7, prompt=prompts[0], count=3, loras=["tiny-e01:0.2"]), grid):
        drawn = request.prepare(asked, 0.0).drawn
        name, *words = shlex.split(drawn.command)[1:]
        spec = cast(Spec, draw.COMMANDS[name])
        parser = Parser(name)
        spec.arguments(parser)
        again = draw.asked_of(name, parser.understand(words))
        assert request.prepare(again, 0.0).drawn.shots == drawn.shots


def test_pictures_carry_what_a1111_reads(bench: Bench) -> None:
    from PIL import Image

    asked = DrawParams(**QUICK, epoch=2, weight=0.8, prompt="(red:1.2)", negative="blue", sampler="DPM++ 2M Karras")
    (drawn,) = bench.draw(asked)
    text = Image.open(history.picture_file(drawn, 0)).text["parameters"]  # type: ignore[attr-defined]
    first, second, last = text.split("\n")
    assert first == "(red:1.2) <lora:tiny-e02:0.8>"
    assert second == "Negative prompt: blue"
    assert last.startswith("Steps: 2, Sampler: DPM++ 2M Karras, CFG scale: ")
    assert "Size: 32x32, Model: tiny, Clip skip: 1" in last


def test_every_sampler_draws_and_a_lora_of_a_prompt_acts_as_one_that_is_named(bench: Bench) -> None:
    plain = {**QUICK, "cfg": 1.0}
    many = [DrawParams(**plain, epoch=3, prompt="red", sampler=name) for name in SAMPLERS]
    tagged = DrawParams(**plain, epoch=0, prompt="red <lora:tiny-e03:1>", sampler="euler")
    extra = DrawParams(**plain, epoch=0, prompt="red", sampler="euler", loras=["tiny-e03:1"])
    drawn = bench.draw(*many, tagged, extra)
    assert [one.error for one in drawn] == [None] * len(drawn)
    place = list(SAMPLERS).index("euler")
    assert picture(drawn[-2]) == picture(drawn[-1]) == picture(drawn[place])
    assert len({picture(one) for one in drawn[: len(SAMPLERS)]}) > len(SAMPLERS) // 2


def test_words_without_weights_are_read_as_in_training(bench: Bench) -> None:
    import torch

    from engine.drawing.encode import encode
    from engine.drawing.prompt import pieces
    from engine.models.load import load_model

    model = load_model(Path(bench.run.read_job().base), device=torch.device("cpu"), dtype=torch.float32)
    texts = ["nekomizu, red", "", "cat dog " * 60]
    mine = encode(model, [pieces(text) for text in texts], 1).hidden
    count = (mine.shape[1] - 2) // 75
    assert torch.equal(mine, model.encode_text(texts, clip_skip=1, max_token_length=75 * count).hidden)
    plain, strong = (encode(model, [pieces(text)], 1).hidden[0] for text in ("a red cat", "a (red:1.4) cat"))
    assert not torch.equal(plain, strong)
    assert torch.allclose(plain.mean(), strong.mean(), atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"epoch": 9}, "epoch_missing"),
        ({"source": "nobody"}, "run_unknown"),
        ({"prompt": "<lora:nobody:1>"}, "lora_name"),
        ({"sampler": "magic"}, "param_invalid"),
        ({"prompt": "a --s many"}, "param_invalid"),
        ({"width": 33}, "param_invalid"),
        ({"steps": 100_000}, "param_invalid"),
        ({"weight": float("inf")}, "param_invalid"),
        ({"base": "nobody"}, "model_unknown"),
        ({"again": "nobody"}, "test_unknown"),
        ({"grid": True, "seeds": list(range(500))}, "grid_large"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_written(
    bench: Bench, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(EngineError) as raised:
        request.prepare(DrawParams(**{**QUICK, **changes}), 0.0)
    assert raised.value.info.code == code
    assert list(history.tests()) == []


def test_a_changed_file_is_not_passed_off_as_the_one_that_was_tested(bench: Bench) -> None:
    drawn = history.create(request.prepare(DrawParams(**QUICK, epoch=1), 0.0).drawn)
    again = request.prepare(DrawParams(again=drawn.id[:12]), 1.0).drawn
    assert again.shots == drawn.shots
    assert again.command == drawn.command
    path = sources.of_run(bench.run).epochs[1]
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(EngineError) as raised:
        request.prepare(DrawParams(again="last"), 2.0)
    assert raised.value.info.code == "test_changed"


def test_a_test_whose_worker_is_gone_has_failed(bench: Bench) -> None:
    drawn = history.create(request.prepare(DrawParams(**QUICK, epoch=1), 0.0).drawn)
    assert history.settled(drawn, {drawn.run}).state == "waiting"
    lost = history.settled(drawn, set())
    assert (lost.state, lost.error and lost.error.code) == ("failed", "test_lost")
