"""Weighted prompts as the U-Net reads them: tokens with weights in windows, emphasis as A1111 lays it on.

Encoding is the model's; a prompt without any weight gives exactly what training gives for the same caption.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from engine.drawing.prompt import Piece
from engine.models.model import DiffusionModel, Embedding

WINDOW = 75
"""Words' tokens between the marks of a CLIP window."""
MOST_WINDOWS = 8
Tokens = list[tuple[int, float]]


def encode(model: DiffusionModel, prompts: Sequence[list[Piece]], clip_skip: int) -> Embedding:
    """[B, 75 · windows + 2, width]; all prompts get as many windows as the longest needs.

    Where a prompt has weights, its vectors are multiplied by them and then by one number that brings their mean back
    (A1111's original emphasis); `pooled` stays as it is.
    """
    tokenized = [[_windows(tokenizer, prompt) for prompt in prompts] for tokenizer in model.tokenizers]
    count = min(MOST_WINDOWS, max(len(rows) for per_prompt in tokenized for rows in per_prompt))
    ids, weights = [], []
    for tokenizer, per_prompt in zip(model.tokenizers, tokenized, strict=True):
        filled = [_filled(tokenizer, rows, count) for rows in per_prompt]
        ids.append(torch.stack([row[0] for row in filled]))
        weights.append(torch.stack([row[1] for row in filled]))
    weighted = any(bool((one != 1).any()) for one in weights)
    return model.encode_ids(ids, clip_skip=clip_skip, emphasis=_emphasis(weights) if weighted else None)


def _emphasis(weights: list[Tensor]) -> Any:
    def lay_on(place: int, hidden: Tensor) -> Tensor:
        """`hidden` [B, tokens, width] of encoder `place`, its vectors weighted and their mean brought back."""
        factor = weights[place].to(hidden.device, hidden.dtype)
        changed = []
        for one, by in zip(hidden, factor, strict=True):
            if bool((by == 1).all()):
                changed.append(one)
                continue
            scaled = one * by[:, None]
            before, after = one.float().mean(), scaled.float().mean()
            changed.append(scaled * (before / after).to(scaled.dtype) if float(after) else scaled)
        return torch.stack(changed)

    return lay_on


def _windows(tokenizer: Any, prompt: list[Piece]) -> list[Tokens]:
    """Tokens with their weights, cut into windows; at least one, maybe empty."""
    rows: list[Tokens] = [[]]
    for piece in prompt:
        if piece.text is None:
            rows.append([])
            continue
        for token in tokenizer(piece.text, add_special_tokens=False).input_ids:
            if len(rows[-1]) == WINDOW:
                rows.append([])
            rows[-1].append((token, piece.weight))
    return rows


def _filled(tokenizer: Any, rows: list[Tokens], count: int) -> tuple[Tensor, Tensor]:
    """Ids [windows, 77] with marks and padding, and the weights [75 · windows + 2] of what `join` leaves of them."""
    begin, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    ids, weights = [], [1.0]
    for row in [*rows, *[[]] * count][:count]:
        words = [token for token, _ in row]
        ids.append([begin, *words, end, *[pad] * (WINDOW - len(words))])
        weights += [weight for _, weight in row] + [1.0] * (WINDOW - len(words))
    return torch.tensor(ids), torch.tensor([*weights, 1.0])
