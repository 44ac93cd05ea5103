"""CLIP's way with words, shared by the families: captions into windows of tokens, and windows back into one text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.models.clip.tokenization_clip import CLIPTokenizer


def windows(tokenizer: CLIPTokenizer, captions: Sequence[str], max_token_length: int) -> Tensor:
    """Token ids [B, windows, 77]: `max_token_length` / 75 windows of BOS, 75 tokens, EOS; longer text is cut.

    EOS follows the last word of every window; what is left is filled with the tokenizer's padding, which is EOS
    itself for CLIP-L and another token for OpenCLIP bigG.
    """
    length = tokenizer.model_max_length
    inner = length - 2
    count = max_token_length // 75
    ids = tokenizer(
        list(captions),
        padding="max_length",
        truncation=True,
        max_length=count * inner + 2,
        return_tensors="pt",
        add_special_tokens=True,
    ).input_ids
    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    middle = ids[:, 1:-1].reshape(len(captions), count, inner).clone()
    # A window after the one in which the text ended holds no word, so its EOS comes first.
    first = middle[:, :, 0]
    first[first == pad] = eos
    full = (middle != eos).all(dim=2, keepdim=True)
    end = torch.where(full, eos, pad)
    start = ids[:, :1, None].expand(-1, count, 1)
    return torch.cat([start, middle, end], dim=2)


def join(hidden: Tensor, batch: int) -> Tensor:
    """[B · windows, 77, width] to [B, 75 · windows + 2, width]: the first BOS, all inner tokens, the last EOS."""
    length = hidden.shape[1]
    apart = hidden.view(batch, -1, length, hidden.shape[-1])
    inner = apart[:, :, 1:-1].reshape(batch, -1, hidden.shape[-1])
    return torch.cat([apart[:, 0, :1], inner, apart[:, -1, -1:]], dim=1)
