"""Where another trainer crashes, stays silent or spoils the result, here there is a sentence: one row for each.

Rows that need a bake stand in tests/train (test_guards, test_space, test_exactness_matrix, test_cache).
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine import home
from engine.dataset.buckets import cover
from engine.dataset.checks import diagnose
from engine.dataset.pixels import load_rgb
from engine.dataset.render import render_caption
from engine.dataset.scan import scan
from engine.estimate import estimate
from engine.models.catalogue import locate
from engine.models.sniff import sniff
from engine.models.vocabulary import hub_cache
from engine.protocol import fields
from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.messages import EstimateParams, Submit
from engine.protocol.notices import Setting, notices_of
from engine.protocol.params import BakeParams
from engine.runs.submit import prepare
from tests.dataset import make

Told = dict[str, ErrorInfo]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))


def doctor(folder: Path, **params: Any) -> set[tuple[str, str]]:
    """(file, code) of everything the doctor finds."""
    found = diagnose(scan(folder), None, BakeParams(resolution=64, **params)).findings
    return {(finding.file, finding.code) for finding in found}


def estimated(folder: Path, reg: Path | None = None, **params: Any) -> Told:
    """What an estimate, and so the form and the command, would say."""
    asked = EstimateParams(
        dataset=str(folder), reg=str(reg or ""), base="demo", params={"resolution": 64, "repeat": 1, **params}
    )
    return {info.code: info for info in estimate(asked, device="CPU").notices}


def noticed(family: str = "sd15", **params: Any) -> Told:
    """By code, and for settings without effect by code and name; the base predicts noise."""
    rows = notices_of(fields.build(params), Setting(family=family, prediction="epsilon"))
    return {r.code if r.code != "notice_no_effect" else f"idle {r.args['name']}": r for r in rows}


def refused(act: Callable[[], object]) -> ErrorInfo:
    with pytest.raises(EngineError) as caught:
        act()
    return caught.value.info


def pictures(folder: Path, count: int = 3, **caption: str | None) -> Path:
    for i in range(count):
        make.image(folder / f"{i}.png", 64 + 8 * i, 64, caption=caption.get("caption", f"mira, tag {i}"))
    return folder


# Peer and what it does there → what is set here (nothing means the code alone decides), and the code told instead.
SETTINGS: list[tuple[str, dict[str, Any], str]] = [
    ("kohya: clip_skip is ignored on SDXL", {"family": "sdxl", "clip_skip": 2}, "idle clip_skip"),
    ("kohya: max_bucket_reso caps", {"max_bucket_reso": 1024, "resolution": 1024}, "notice_bucket_cap"),
    ("kohya: Prodigy with another rate", {"optimizer": "Prodigy", "unet_lr": 1e-4}, "notice_prodigy_rate"),
    ("kohya: Prodigy with LoRA+", {"optimizer": "Prodigy", "loraplus_lr_ratio": 16.0}, "notice_prodigy_loraplus"),
    ("kohya: offset and multires", {"noise_offset": 0.1, "multires_noise_iterations": 6}, "notice_noise_both"),
    ("kohya: min-SNR and debiased", {"debiased_estimation": True}, "notice_weights_both"),
    ("kohya: v-prediction loss on epsilon", {"scale_v_pred_loss": True}, "idle scale_v_pred_loss"),
    ("kohya: nothing has a learning rate", {"unet_lr": 0, "text_encoder_lr": 0}, "nothing_to_train"),
    ("kohya: keep_tokens without a shuffle", {"keep_tokens": 1}, "idle keep_tokens"),
    ("kohya: a warm-up minimum without a warm-up", {"token_warmup_min": 3}, "idle token_warmup_min"),
    ("kohya: conv_alpha without conv_dim", {"conv_alpha": 4.0}, "idle conv_alpha"),
    ("kohya: prior weight without a set", {"prior_loss_weight": 0.5}, "idle prior_loss_weight"),
    ("kohya: captions never train", {"caption_dropout_every_n_epochs": 1}, "notice_never_captions"),
    ("kohya: a huge noise offset", {"noise_offset": 0.5}, "notice_noise_offset"),
]


@pytest.mark.parametrize(("values", "code"), [row[1:] for row in SETTINGS], ids=[row[0] for row in SETTINGS])
def test_settings_that_peers_pass_in_silence(values: dict[str, Any], code: str) -> None:
    told = noticed(**values)
    assert code in told
    assert told[code].hint


# Peer and what it does there → name and value as a person writes them, and the code.
VALUES: list[tuple[str, str, str, str]] = [
    ("lora-scripts: token length 255 passes unchecked", "max_token_length", "255", "param_invalid"),
    ("kohya: an unknown key of --config_file passes", "caption_extention", ".txt", "param_unknown"),
    ("kohya: fused_backward_pass does nothing", "fused_backward_pass", "true", "param_unknown"),
    ("kohya: text_encoder_lr1 of the docs does not exist", "text_encoder_lr1", "1e-5", "param_unknown"),
    ("kohya: color_aug dies on cached latents", "color_aug", "true", "param_unknown"),
    ("kohya: a rate that is no number", "unet_lr", "nan", "param_invalid"),
    ("kohya: an infinite rate", "unet_lr", "inf", "param_invalid"),
    ("kohya: no epochs", "epochs", "0", "param_invalid"),
    ("kohya: an unknown scheduler", "lr_scheduler", "cosin", "param_invalid"),
    ("kohya: a dropout of everything", "rank_dropout", "1", "param_invalid"),
    ("kohya: a resolution the VAE cannot halve", "resolution", "513", "param_invalid"),
]


@pytest.mark.parametrize(("name", "text", "code"), [row[1:] for row in VALUES], ids=[row[0] for row in VALUES])
def test_values_that_peers_take_in_silence(name: str, text: str, code: str) -> None:
    info = refused(lambda: fields.parse(name, text))
    assert info.code == code
    assert name in info.message


def test_kohya_crashes_on_a_corrupt_image_in_the_middle_of_caching(tmp_path: Path) -> None:
    pictures(tmp_path)
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    assert ("1.png", "image_unreadable") in doctor(tmp_path)
    assert estimated(tmp_path)["notice_images_skipped"].message.startswith("1 image is not used")
    (tmp_path / "2.png").write_bytes(b"")
    assert estimated(tmp_path)["notice_images_skipped"].message.startswith("2 images are not used")


@pytest.mark.parametrize(
    ("peer", "raw", "code"),
    [
        ("kohya asserts on an empty caption", b"", "caption_empty"),
        ("kohya dies of a caption that is not UTF-8", b"\xff\xfe\x00", "caption_undecodable"),
        ("kohya trains the first of several lines without a word", b"a\nb", "caption_lines"),
        ("kohya cuts what is too long without a word", b"word, " * 60, "caption_tokens"),
    ],
)
def test_captions_that_peers_stumble_over(tmp_path: Path, peer: str, raw: bytes, code: str) -> None:
    pictures(tmp_path)
    (tmp_path / "0.txt").write_bytes(raw)
    assert ("0.png", code) in doctor(tmp_path)
    estimated(tmp_path)


def test_lines_are_no_fault_where_wildcards_take_them_all(tmp_path: Path) -> None:
    pictures(tmp_path)
    (tmp_path / "0.txt").write_text("a\nb")
    assert ("0.png", "caption_lines") not in doctor(tmp_path, enable_wildcard=True)


def test_kohya_takes_the_folder_name_where_a_caption_is_missing(tmp_path: Path) -> None:
    pictures(tmp_path / "10_mira", caption=None)
    told = estimated(tmp_path)["notice_uncaptioned"]
    assert told.args["count"] == "3"
    assert all(image.caption is None for image in scan(tmp_path).images)


def test_kohya_looks_for_dot_caption_and_finds_no_txt(tmp_path: Path) -> None:
    pictures(tmp_path)
    (tmp_path / "0.txt").rename(tmp_path / "0.caption")
    assert all(image.caption for image in scan(tmp_path).images)


def test_two_files_of_one_stem_share_a_caption_and_kohyas_cache(tmp_path: Path) -> None:
    pictures(tmp_path)
    make.image(tmp_path / "0.jpg", 64, 64)
    assert any(code == "same_stem" for _, code in doctor(tmp_path))


def test_kohya_trains_phone_pictures_lying(tmp_path: Path) -> None:
    path = make.rotated(tmp_path / "a.jpg", 96, 64, 6)
    (image,) = scan(tmp_path).images
    assert (image.width, image.height) == (96, 64)
    upright = load_rgb(path, cover(96, 64, (96, 64)))
    assert upright[:, -8:, 0].mean() > upright[:, :8, 0].mean() + 100, "red rises to the right"
    assert ("a.jpg", "image_rotated") in doctor(tmp_path)


def test_kohya_drops_transparency_and_shows_what_lay_under_it(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (200, 0, 0, 0)).save(tmp_path / "a.png")
    assert np.all(load_rgb(tmp_path / "a.png", cover(64, 64, (64, 64))) == 255)
    assert ("a.png", "image_alpha") in doctor(tmp_path)


def test_kohya_leaves_the_keep_mark_in_the_prompt() -> None:
    params = BakeParams(keep_tokens_separator="|||")
    assert "|" not in render_caption("mira ||| hat", params, random.Random(0))


def test_kohya_drops_regularisation_images_with_a_line_in_the_log(tmp_path: Path) -> None:
    told = estimated(pictures(tmp_path / "train"), pictures(tmp_path / "reg", count=5))["notice_reg_use"]
    assert (told.args["used"], told.args["repeated"], told.args["unused"]) == ("3", "0", "2")
    assert "2 unused" in told.message
    (tmp_path / "empty").mkdir()
    assert refused(lambda: estimated(tmp_path / "train", tmp_path / "empty")).code == "dataset_empty"


def test_kohya_gives_images_of_a_short_batch_more_weight(tmp_path: Path) -> None:
    pictures(tmp_path, count=4)
    make.image(tmp_path / "wide.png", 320, 64)
    told = estimated(tmp_path, batch_size=4)["notice_small_buckets"]
    assert "weigh more" in told.message


def test_kohya_asserts_on_contradicting_buckets(tmp_path: Path) -> None:
    info = refused(lambda: estimated(pictures(tmp_path), min_bucket_reso=512, max_bucket_reso=256, resolution=1024))
    assert info.code == "bucket_limits"
    assert "min_bucket_reso = 512" in info.message


def test_kohya_validates_on_nothing_when_there_is_one_image(tmp_path: Path) -> None:
    assert "notice_no_validation" in estimated(pictures(tmp_path, count=1), validation_split=0.2)
    assert "notice_no_validation" not in estimated(pictures(tmp_path), validation_split=0.2)


def test_every_peer_overwrites_what_has_the_same_name(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mira-e03.safetensors").write_text("mine")
    asked = Submit(dataset=str(pictures(tmp_path / "set")), base="demo", name="mira", out=str(out), params={})
    info = refused(lambda: prepare(asked, lambda path: scan(Path(path))))
    assert info.code == "out_exists"
    assert info.args["file"] == "mira-e03.safetensors"


@pytest.mark.parametrize("name", ["lora.safetensors", "model.ckpt", "empty.safetensors", "words.txt"])
def test_kohya_loads_for_minutes_before_it_finds_no_base_model(tmp_path: Path, name: str) -> None:
    from safetensors.numpy import save

    key = "lora_unet_mid_block_attentions_0_proj_in"
    contents = {
        "lora.safetensors": save({f"{key}.lora_down.weight": np.zeros((4, 8), np.float32)}),
        "model.ckpt": b"\x80\x02}q\x00.",
        "empty.safetensors": b"",
        "words.txt": b"no model",
    }
    (tmp_path / name).write_bytes(contents[name])
    info = refused(lambda: sniff(tmp_path / name))
    assert info.code in ("model_not_base", "model_unsupported", "model_broken")
    assert info.hint


def test_the_home_of_nobody_is_a_path_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = "~no-such-user/x"
    assert refused(lambda: scan(Path(nobody))).code == "dataset_missing"
    assert refused(lambda: locate(nobody)).code.startswith("model_")
    monkeypatch.setenv("HF_HOME", nobody)
    assert not hub_cache().exists()


def test_without_any_home_folder_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LORABAKE_HOME", "HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for a user id without an entry
    info = refused(home.home)
    assert info.code == "home_unwritable"
    assert not Path("~").exists()
