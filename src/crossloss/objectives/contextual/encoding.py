"""Sentences as a tokenizer gives them: pieces with their places, once, and blocks of them for a model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from crossloss.core import UserError

TOKENS_AT_ONCE = 4096
"""Tokens, padding included, that a model sees in one pass."""


@dataclass(frozen=True)
class Encoded:
    """Pieces of one text: their ids, where each lies in the text, and which of them are special tokens."""

    text: str
    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]
    special: tuple[bool, ...]

    def within(self, start: int, end: int) -> list[int]:
        """Places of the pieces that share a character with ``text[start:end]``."""
        spans = zip(self.offsets, self.special, strict=True)
        return [i for i, ((a, b), special) in enumerate(spans) if not special and a < end and b > start]


def encode(texts: Sequence[str], tokenizer: Any, special_tokens: bool) -> list[Encoded]:
    """Each text in pieces; UserError for no fast tokenizer of transformers, or a text without pieces or too long."""
    if not callable(tokenizer) or not hasattr(tokenizer, "unk_token_id"):
        raise UserError(f"A {type(tokenizer).__name__} was given as tokenizer: give one of transformers.")
    if not getattr(tokenizer, "is_fast", False):
        raise UserError("The tokenizer does not say where its pieces lie: load a fast one (use_fast=True).")
    most, found = int(tokenizer.model_max_length), []
    for text in texts:
        one = tokenizer(
            text, add_special_tokens=special_tokens, return_offsets_mapping=True, return_special_tokens_mask=True
        )
        ids = tuple(int(i) for i in one["input_ids"])
        if not ids:
            raise UserError(f"The tokenizer has no piece for {text!r}: leave it out.")
        if len(ids) > most:
            raise UserError(f"{text[:60]!r} has {len(ids)} pieces and the tokenizer's model takes {most}: shorten it.")
        special = tuple(bool(flag) for flag in one["special_tokens_mask"])
        found.append(Encoded(text, ids, tuple((int(a), int(b)) for a, b in one["offset_mapping"]), special))
    return found


def refuse_unknown(name: str, encoded: Sequence[Encoded], tokenizer: Any) -> None:
    """Refuse texts with a piece that the tokenizer does not know: all such words would be one and the same."""
    unknown = tokenizer.unk_token_id
    strange = {
        one.text[a:b]
        for one in encoded
        for i, (a, b), special in zip(one.ids, one.offsets, one.special, strict=True)
        if i == unknown and not special
    }
    if unknown is not None and strange:
        some = ", ".join(sorted(strange)[:5]) + (f" and {len(strange) - 5} more" if len(strange) > 5 else "")
        raise UserError(f"{name}: the tokenizer does not know {some}: leave such words out.")


@dataclass(frozen=True, eq=False)
class Block:
    """Some texts of a list together: ids and attention mask (b, t) padded on the right; ``rows``, which they are."""

    rows: Tensor
    ids: Tensor
    mask: Tensor

    def batch(self, device: torch.device) -> dict[str, Tensor]:
        """What a model of transformers takes."""
        return {"input_ids": self.ids.to(device), "attention_mask": self.mask.to(device)}


def blocks(ids: Sequence[Sequence[int]], tokenizer: Any, at_once: int | None = None) -> list[Block]:
    """Sequences of pieces in blocks of like length, of at most ``at_once`` tokens (``TOKENS_AT_ONCE``)."""
    at_once = TOKENS_AT_ONCE if at_once is None else at_once
    padding = getattr(tokenizer, "pad_token_id", None)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    groups: list[list[int]] = []
    for i in order:
        if not groups or (len(groups[-1]) + 1) * len(ids[i]) > at_once:
            groups.append([])
        groups[-1].append(i)
    made = []
    for group in groups:
        width = max(len(ids[i]) for i in group)
        filled = [[*ids[i], *[0 if padding is None else int(padding)] * (width - len(ids[i]))] for i in group]
        mask = [[1] * len(ids[i]) + [0] * (width - len(ids[i])) for i in group]
        made.append(Block(torch.tensor(group), torch.tensor(filled), torch.tensor(mask)))
    return made


def in_blocks(view: Any, given: Sequence[Block], one: Any) -> Tensor:
    """Rows (n, ...) that ``one(view, block)`` gives of each block, in the order of the texts.

    Where there are many blocks the backward pass computes each again, so that the memory is that of one.
    """
    parts = []
    for block in given:
        if len(given) > 1 and torch.is_grad_enabled():
            parts.append(checkpoint(one, view, block, use_reentrant=False, preserve_rng_state=False))
        else:
            parts.append(one(view, block))
    together = torch.cat(parts)
    order = torch.cat([block.rows for block in given]).argsort()
    return together[order.to(together.device)]


def device_of(view: Any) -> torch.device:
    """Where the parameters of a view are; UserError where it is not one of a torch model."""
    if not callable(view):
        raise UserError("This objective is of a transformers model in a TorchField, and not of word vectors.")
    parameters: Iterator[Tensor] = iter(view.values())
    return next(parameters).device
