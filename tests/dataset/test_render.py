"""What the trainer sees of a caption: each rule of kohya's, in kohya's order, and where this is better."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dataset.captions import split_tags
from engine.dataset.chance import caption_rng
from engine.dataset.render import LATE, When, plain_caption, render_caption, seen, warmup_steps
from engine.protocol.params import BakeParams


def rendered(caption: str, when: When = LATE, *, seed: int = 0, **params: Any) -> str:
    return render_caption(caption, BakeParams(**params), random.Random(seed), when)


def all_of(caption: str, when: When = LATE, **params: Any) -> set[str]:
    return {rendered(caption, when, seed=seed, **params) for seed in range(60)}


@pytest.mark.parametrize(
    ("caption", "params", "expected"),
    [
        ("a, b", {"caption_prefix": "mira,", "caption_suffix": ", best"}, "mira, a, b , best"),
        ("", {"caption_prefix": "mira"}, "mira"),
        ("first\nsecond", {"caption_suffix": "end"}, "first end"),
        ("  first  \nsecond", {}, "first"),
        ("{red|blue} {{x}}", {}, "{red|blue} {{x}}"),
        ("{red} {{x}}", {"enable_wildcard": True}, "red {x}"),
        ("mira ||| a, b", {}, "mira ||| a, b"),
        ("mira ||| a, b", {"keep_tokens_separator": "|||"}, "mira, a, b"),
        ("mira ||| a ||| z", {"keep_tokens_separator": "|||"}, "mira, a, z"),
        ("a;;;b, c", {"secondary_separator": ";;;"}, "a,b, c"),
        ("a , b,,c", {}, "a , b,,c"),
        ("a, b", {"caption_dropout_rate": 1.0}, ""),
        ("a, b", {"caption_tag_dropout_rate": 1.0, "keep_tokens": 1}, "a"),
        ("m ||| a, b ||| z", {"keep_tokens_separator": "|||", "caption_tag_dropout_rate": 1.0}, "m, z"),
    ],
)
def test_without_chance(caption: str, params: dict[str, Any], expected: str) -> None:
    assert rendered(caption, **params) == expected


def test_wildcards_take_every_choice_and_every_line() -> None:
    assert all_of("{red|blue} hat", enable_wildcard=True) == {"red hat", "blue hat"}
    assert all_of("one\n\ntwo {a|b}\n", enable_wildcard=True) == {"one", "two a", "two b"}
    assert all_of("", enable_wildcard=True) == {""}


def test_shuffle_moves_only_what_no_mark_keeps() -> None:
    shown = all_of("m, n ||| a, b, c ||| y, z", keep_tokens_separator="|||", shuffle_caption=True, keep_tokens=5)
    assert len(shown) == 6
    assert all(text.startswith("m, n, ") and text.endswith(", y, z") for text in shown)
    # A caption without the mark falls back on the number of tags.
    assert all_of("m, a, b", keep_tokens_separator="|||", shuffle_caption=True, keep_tokens=1) == {
        "m, a, b",
        "m, b, a",
    }


def test_tags_joined_by_the_secondary_separator_move_as_one() -> None:
    shown = all_of("long hair;;;red hair, smile", shuffle_caption=True, secondary_separator=";;;")
    assert shown == {"long hair,red hair, smile", "smile, long hair,red hair"}


@pytest.mark.parametrize(("epoch", "dropped"), [(1, False), (2, False), (3, True), (4, False), (6, True)])
def test_every_nth_epoch_has_no_captions(epoch: int, dropped: bool) -> None:
    assert (rendered("a", When(epoch=epoch), caption_dropout_every_n_epochs=3) == "") == dropped


@pytest.mark.parametrize(("step", "tags"), [(0, 2), (5, 3), (10, 5), (19, 7), (20, 8), (999, 8)])
def test_tag_warm_up_grows_evenly_from_the_least_to_all(step: int, tags: int) -> None:
    caption = "m, " + ", ".join("abcdefg")
    when = When(step=step, steps=40)
    for wish in (20.0, 0.5):
        shown = rendered(caption, when, token_warmup_step=wish, token_warmup_min=1, keep_tokens=1)
        assert len(split_tags(shown)) == tags
        assert caption.startswith(shown)
    assert warmup_steps(BakeParams(token_warmup_step=0.5), 41) == 20


tags = st.lists(st.sampled_from(["m", "a b", "c", "d (e)", "^_^", "f"]), max_size=6, unique=True)


@given(tags, st.integers(0, 6), st.booleans(), st.sampled_from([0.0, 0.5]), st.integers(0, 50), st.integers())
def test_nothing_is_invented(names: list[str], keep: int, shuffle: bool, rate: float, step: int, seed: int) -> None:
    params = BakeParams(
        shuffle_caption=shuffle, keep_tokens=keep, caption_tag_dropout_rate=rate, token_warmup_step=30.0
    )
    shown = split_tags(render_caption(", ".join(names), params, random.Random(seed), When(step=step, steps=60)))
    assert shown[: min(keep, len(names))] == names[:keep]
    assert set(shown) <= set(names)
    assert len(shown) == len(set(shown))


def test_the_plain_caption_leaves_nothing_to_chance() -> None:
    params = BakeParams(
        caption_prefix="mira,",
        enable_wildcard=True,
        shuffle_caption=True,
        caption_dropout_rate=1.0,
        caption_tag_dropout_rate=1.0,
        keep_tokens_separator="|||",
        token_warmup_step=100.0,
    )
    assert plain_caption("x ||| {a|b}, c\nother", params) == "mira, x, a, c"


def test_what_an_editor_shows_is_what_the_trainer_draws() -> None:
    params = BakeParams(shuffle_caption=True, caption_tag_dropout_rate=0.3, seed=7)
    shown = seen("a, b, c, d", params, item=3, turns=5, when=When(epoch=2))
    assert len(set(shown)) > 1
    again = [render_caption("a, b, c, d", params, caption_rng(7, 2, 3, turn), When(epoch=2)) for turn in range(5)]
    assert shown == again


def test_no_tensor_is_needed_to_show_it() -> None:
    program = "import sys, engine.dataset.render; print(sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
