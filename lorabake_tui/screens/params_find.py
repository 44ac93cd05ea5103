"""Finds parameters by what people call them: their names here, kohya's and others', their choices, their help."""

from __future__ import annotations

from engine.protocol import fields
from engine.protocol.fields import Field
from lorabake_tui.i18n import _

_ALSO = {
    "text_encoder_lr": "te_lr te lr learning_rate network_train_unet_only lr1",
    "text_encoder2_lr": "te2_lr te lr lr2",
    "unet_lr": "learning_rate network_train_text_encoder_only",
    "conv_dim": "locon lycoris lora_type network_module conv_rank",
    "conv_alpha": "locon lycoris",
    "network_dim": "dimension network_rank",
    "epochs": "max_train_steps epoch",
    "masked_loss": "alpha_mask",
    "gradient_checkpointing": "vram memory",
    "batch_size": "vram memory",
    "resolution": "max_resolution size",
    "preview_every_epochs": "sample_every_n_epochs enable_preview",
    "precision": "half fp8",
    "validation_split": "held out",
}
"""What else a parameter is called, by other trainers and in recipes."""


def find(text: str) -> list[str]:
    """The parameters one of whose names (title in either language, own name, kohya's, others') holds every word.

    Where none does: those whose choices or help do, else the one whose name is nearest.
    """
    words = _plain(text).split()
    if not words:
        return []
    for told in (_names, _choices, _help):
        found = [field for field in fields.fields().values() if all(word in told(field) for word in words)]
        if found:
            return [field.name for field in sorted(found, key=lambda field: _distance(field, text, words))]
    close = fields.nearest(text.strip())
    return [close] if close else []


def _distance(field: Field, text: str, words: list[str]) -> int:
    """0 where the text is a name, 1 where it is made of a name's whole words, 2 for parts of words."""
    if text.strip().lower() in _names(field).split() or text.strip().lower() == field.title.lower():
        return 0
    return 1 if set(words) <= set(_names(field).split()) else 2


def _names(field: Field) -> str:
    names = f"{field.name} {field.title} {_(field.title)} {field.kohya} {_ALSO.get(field.name, '')}"
    # With its underscores for those who type the name, without for those who type the words.
    return f"{names.lower()} {_plain(names)}"


def _choices(field: Field) -> str:
    return _plain(" ".join(map(str, field.choices)))


def _help(field: Field) -> str:
    return _plain(f"{field.help} {_(field.help)}")


def _plain(text: str) -> str:
    return text.lower().replace("_", " ").replace("-", " ")
