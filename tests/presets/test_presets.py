"""Every shipped preset is valid, fits the bases it names, and resolves for any base and number of images."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import presets
from engine.presets import MAX_REPEAT, bases, broken_presets, derived_repeat, list_presets, resolve, shipped_dir
from engine.protocol import fields
from engine.protocol.errors import EngineError
from engine.protocol.notices import Setting, notices_of
from engine.protocol.records import ModelRow

THEMES = ("anime", "real", "2.5d", "style", "outfit", "concept", "standard")
LINES = ("illustrious", "noobai-v", "pony")
SHIPPED = sorted(path for path in shipped_dir().glob("*.toml") if "." in path.stem)


@pytest.fixture(autouse=True)
def own_presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path))
    folder = tmp_path / "presets"
    folder.mkdir()
    return folder


def row(name: str) -> ModelRow:
    base = bases()[name]
    return ModelRow(name=name, kind="base", family=base.family, resolution=base.resolution)


def test_every_theme_has_both_families_and_drawn_ones_the_lines_of_xl() -> None:
    names = [preset.name for preset in list_presets()]
    drawn = ("anime", "style", "outfit", "concept")
    kinds = {theme: ["sd15", "sdxl", *(LINES if theme in drawn else ())] for theme in THEMES}
    assert names == [f"{theme}.{kind}" for theme in THEMES for kind in kinds[theme]] + ["demo.sd15"]
    assert broken_presets() == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_preset_is_valid_and_says_nothing_without_effect(path: Path) -> None:
    preset = next(preset for preset in list_presets() if preset.name == path.stem)
    params = fields.build(preset.params)
    assert notices_of(params, Setting(family=preset.family)) == []
    assert path.stem == f"{preset.theme}.{preset.line or preset.family}"
    assert preset.views > 0
    assert preset.title
    for base in preset.bases:
        assert (bases()[base].family, bases()[base].theme) == (preset.family, preset.theme)
        assert (bases()[base].line or preset.line) == preset.line
        assert bases()[base].resolution == params.resolution


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_number_has_its_reason(path: Path) -> None:
    lines = path.read_text("utf-8").split("[params]")[1].strip().splitlines()
    assert all(re.fullmatch(r"\w+ = .*\S +# \S.*|# .*", line) for line in lines), lines


def test_the_catalogue_of_bases() -> None:
    seed = ("anime", "real", "2.5d", "standard")
    themes = {theme: {b.family for b in bases().values() if b.theme == theme} for theme in seed}
    assert {b.line for b in bases().values()} == {"", *LINES}
    assert all(families == {"sd15", "sdxl"} for families in themes.values())
    for base in bases().values():
        assert base.prediction in ("epsilon", "v")
        assert (base.clip_skip == 0) == (base.family == "sdxl")
        assert base.name == "demo" or base.hub or base.diffusers
        assert bool(base.hub) == bool(base.file)
        assert "nc" not in base.licence.split("-") or not base.commercial
    assert bases()["demo"].resolution == 64


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("base", list(bases()))
def test_a_theme_fits_every_base(theme: str, base: str) -> None:
    found = resolve(theme, row(base), 20)
    params = fields.build(found.params)
    own = f"{theme}.{bases()[base].line}"
    assert found.name == (own if own in [preset.name for preset in list_presets()] else f"{theme}.{found.family}")
    assert params.resolution == bases()[base].resolution
    assert params.clip_skip == (bases()[base].clip_skip or 1)
    assert abs(params.repeat * 20 * params.epochs - found.views) <= 20 * params.epochs / 2


def test_without_base_and_images_the_preset_is_as_written() -> None:
    written = tomllib.loads((shipped_dir() / "anime.sdxl.toml").read_text("utf-8"))
    found = resolve("anime.sdxl")
    assert found.params == written["params"]
    assert "repeat" not in found.params


@given(st.integers(1, 20_000), st.integers(1, 5000), st.integers(1, 100))
def test_the_derived_repeat_is_the_nearest_in_range(views: int, images: int, epochs: int) -> None:
    repeat = derived_repeat(views, images, epochs)

    def off(candidate: int) -> int:
        return abs(candidate * images * epochs - views)

    assert 1 <= repeat <= MAX_REPEAT
    assert all(off(repeat) <= off(other) for other in (repeat - 1, repeat + 1) if 1 <= other <= MAX_REPEAT)


def test_a_preset_for_the_other_family_is_refused_by_name() -> None:
    with pytest.raises(EngineError) as failure:
        resolve("anime.sd15", row("animagine-xl"))
    assert failure.value.info.code == "preset_family"


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(EngineError, match=r"no preset manga") as failure:
        resolve("manga", row("demo"))
    assert "anime.sd15" in failure.value.info.hint


def test_presets_of_ones_own(own_presets: Path) -> None:
    (own_presets / "mine.sd15.toml").write_text(
        'theme = "mine"\nfamily = "sd15"\ntitle = "[red]Mine"\nviews = 100\n[params]\nunet_lr = 1\nrepeat = 3\n'
    )
    (own_presets / "bare.toml").write_text("[params]\nepochs = 2\n")
    (own_presets / "anime.sd15.toml").write_text('theme = "anime"\nfamily = "sd15"\ntitle = "My anime"\n')
    names = [preset.name for preset in list_presets()]
    assert names.count("anime.sd15") == 1
    assert names[-2:] == ["bare", "mine.sd15"]
    assert resolve("anime", row("demo")).title == "My anime"
    mine = resolve("mine", row("demo"), 1)
    assert (mine.params["unet_lr"], mine.params["repeat"]) == (1.0, 3)
    assert fields.build(resolve("bare", row("animagine-xl"), 5).params).epochs == 2


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not toml", "params_unreadable"),
        ("[params]\nunet_rl = 1\n", "param_unknown"),
        ("[params]\nunet_lr = 'much'\n", "param_invalid"),
        ('[params]\noptimizer = "Adam"\n', "param_invalid"),
        ("colour = 1\n", "params_unreadable"),
        ("\udcff", "params_unreadable"),
    ],
)
def test_a_broken_file_is_named_and_hides_no_other(own_presets: Path, text: str, code: str) -> None:
    (own_presets / "odd.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert len(list_presets()) == len(SHIPPED)
    assert [info.code for info in broken_presets()] == [code]
    with pytest.raises(EngineError) as failure:
        resolve("odd")
    assert failure.value.info.code == code


def test_all_words_can_be_translated() -> None:
    words = presets.translatable()
    assert {preset.title for preset in list_presets()} <= set(words)
    assert all(base.note in words for base in bases().values() if base.note)
    assert len(words) == len(set(words))
