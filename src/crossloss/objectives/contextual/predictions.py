"""Log-probabilities of chosen pieces at chosen places, by a masked or a causal language model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.contextual.encoding import Block, blocks, device_of, in_blocks

TOKENS_AT_ONCE = 1024
"""Tokens that a model sees in one pass: logits are as many times the vocabulary."""
Logits = Callable[[Any, dict[str, Tensor]], Tensor]
"""(model, batch) -> (n, tokens, vocabulary), for models whose output has no ``logits`` of this shape."""


@dataclass(frozen=True)
class Query:
    """A sequence of pieces, and which pieces are asked for at which of its places."""

    ids: Sequence[int]
    places: Sequence[int]
    pieces: Sequence[int]


@dataclass(frozen=True, eq=False)
class QueryBlock(Block):
    """Sequences together; ``rows`` are the numbers of what is asked, by sequence, place and piece (e,)."""

    sequence: Tensor
    place: Tensor
    piece: Tensor


@dataclass(frozen=True, eq=False)
class Predictions:
    """Sequences in blocks, and how their logits are found."""

    blocks: Sequence[QueryBlock]
    forward: Logits | None

    def log_probabilities(self, name: str, view: Any) -> Tensor:
        """Log-probability of everything asked, in order, (e,), nats; UserError for no logits, or none finite."""
        device = device_of(view)

        def one(view: Any, block: QueryBlock) -> Tensor:
            batch = block.batch(device)
            output = view(**batch) if self.forward is None else self.forward(view, batch)
            logits = getattr(output, "logits", None) if self.forward is None else output
            if not isinstance(logits, Tensor) or logits.dim() != 3 or logits.shape[:2] != block.ids.shape:
                raise UserError(f"{name}: the model gives no logits (n, tokens, vocabulary): use one with an LM head.")
            chosen = logits[block.sequence.to(device), block.place.to(device)].log_softmax(-1)
            return chosen.gather(1, block.piece.to(device)[:, None])[:, 0]

        found = in_blocks(view, self.blocks, one)
        if not bool(torch.isfinite(found).all()):
            raise UserError(f"{name}: a log-probability is not finite: train with a lower lr.")
        return found


def ask(asked: Sequence[Query], tokenizer: Any, forward: Logits | None) -> Predictions:
    """Put sequences into blocks."""
    starts = [0]
    for one in asked:
        starts.append(starts[-1] + len(one.pieces))
    made = []
    for block in blocks([one.ids for one in asked], tokenizer, TOKENS_AT_ONCE):
        entries = [
            (starts[i] + j, row, place, piece)
            for row, i in enumerate(block.rows.tolist())
            for j, (place, piece) in enumerate(zip(asked[i].places, asked[i].pieces, strict=True))
        ]
        rows, sequence, place, piece = torch.tensor(entries).T
        made.append(QueryBlock(rows, block.ids, block.mask, sequence, place, piece))
    return Predictions(made, forward)


def mask_token(name: str, tokenizer: Any) -> int:
    """Id of the mask token; UserError for a tokenizer without one."""
    found = getattr(tokenizer, "mask_token_id", None)
    if found is None:
        raise UserError(f"{name}: the tokenizer has no mask token, so its model is no masked language model.")
    return int(found)
