"""One vector a sentence, by a fixed weighted mean of its pieces: the pooling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crossloss.core import UserError
from crossloss.objectives.contextual.encoding import (
    Block,
    Encoded,
    blocks,
    device_of,
    encode,
    in_blocks,
    refuse_unknown,
)
from crossloss.objectives.contextual.templates import Sentence

SPECIAL = {"mean": True, "first-piece": False, "cls": True, "word": True, "last-piece": False}
"""Poolings, and whether the sentence has its special tokens where nobody says."""
Forward = Callable[[Any, dict[str, Tensor]], Tensor]
"""(model, batch) -> (n, tokens, d): hidden states by something other than ``hidden_states[layer]``."""


@dataclass(frozen=True, eq=False)
class Pooling:
    """How a sentence becomes a vector: which pieces, of which layer, with or without special tokens."""

    tokenizer: Any
    pooling: str = "mean"
    layer: int = -1
    special_tokens: bool | None = None
    forward: Forward | None = None

    def __post_init__(self) -> None:
        if self.pooling not in SPECIAL:
            raise UserError(f"There is no pooling {self.pooling!r}; there are: {', '.join(SPECIAL)}.")
        if isinstance(self.layer, bool) or not isinstance(self.layer, int):
            raise UserError(f"layer is {self.layer!r}: give a whole number, -1 for the last layer.")
        if self.forward is not None and self.layer != -1:
            raise UserError("forward gives the hidden states itself: leave layer out.")
        if self.special_tokens is None:
            object.__setattr__(self, "special_tokens", SPECIAL[self.pooling])
        if self.pooling == "cls":
            if not self.special_tokens:
                raise UserError("pooling cls is of a special token: leave special_tokens out.")
            if getattr(self.tokenizer, "cls_token_id", None) is None:
                raise UserError("The tokenizer has no cls token: use pooling mean.")

    @property
    def name(self) -> str:
        """What was chosen, such as mean-layer-1-special."""
        layer = "forward" if self.forward is not None else f"layer{self.layer}"
        return f"{self.pooling}-{layer}-{'special' if self.special_tokens else 'bare'}"

    def described(self) -> str:
        """What was chosen, for a sentence."""
        what = {
            "mean": "the mean of all tokens",
            "first-piece": "the first word piece",
            "cls": "the cls token",
            "word": "the mean of the word's own pieces",
            "last-piece": "the word's last piece",
        }[self.pooling]
        layer = "forward" if self.forward is not None else "the last layer"
        layer = layer if self.layer == -1 else f"layer {self.layer}"
        return f"{what} of {layer}, {'with' if self.special_tokens else 'without'} special tokens"

    def of(self, name: str, sentences: Sequence[str | Sentence], *, strict: bool = True) -> "Pooled":
        """Tokenise sentences once; UserError, of the objective ``name``, for what cannot be pooled in this way.

        ``strict`` refuses pieces that the tokenizer does not know anywhere, else only in the word of a sentence.
        """
        texts = [one.text if isinstance(one, Sentence) else one for one in sentences]
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise UserError(f"{name}: give sentences, a list of strings that are not empty.")
        encoded = encode(texts, self.tokenizer, bool(self.special_tokens))
        refuse_unknown(name, encoded if strict else list(map(_word, encoded, sentences)), self.tokenizer)
        places = [self._places(name, one, given) for one, given in zip(encoded, sentences, strict=True)]
        made = []
        for block in blocks([one.ids for one in encoded], self.tokenizer):
            weights = torch.zeros(block.ids.shape, dtype=torch.float64)
            for row, i in enumerate(block.rows.tolist()):
                weights[row, places[i]] = 1 / len(places[i])
            made.append(WeightedBlock(block.rows, block.ids, block.mask, weights))
        return Pooled(self, tuple(made))

    def _places(self, name: str, one: Encoded, given: str | Sentence) -> list[int]:
        if self.pooling == "mean":
            return list(range(len(one.ids)))
        if self.pooling == "cls":
            return [one.ids.index(self.tokenizer.cls_token_id)]
        if self.pooling == "first-piece":
            return [one.special.index(False)]
        if not isinstance(given, Sentence):
            raise UserError(
                f"{name}: pooling {self.pooling} needs to know where the word stands in {one.text!r}: give "
                "cl.objectives.Sentence(text, start, end), or use pooling mean."
            )
        places = one.within(given.start, given.end)
        if not places:
            raise UserError(f"{name}: the tokenizer has no piece for {given.word!r} in {one.text!r}: leave it out.")
        return places[-1:] if self.pooling == "last-piece" else places


def _word(one: Encoded, given: str | Sentence) -> Encoded:
    """The pieces of the word that a sentence is about."""
    places = one.within(given.start, given.end) if isinstance(given, Sentence) else range(len(one.ids))
    ids, offsets, special = (tuple(part[i] for i in places) for part in (one.ids, one.offsets, one.special))
    return Encoded(one.text, ids, offsets, special)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class WeightedBlock(Block):
    """Sentences together, and the weights (b, t) by which their pieces are averaged."""

    weights: Tensor


@dataclass(frozen=True, eq=False)
class Pooled:
    """Sentences that are tokenised, and how their pieces become one vector."""

    pooling: Pooling
    blocks: Sequence[WeightedBlock]

    def vectors(self, view: Any) -> Tensor:
        """One vector a sentence, (n, d); UserError where the model has no such layer or they are not finite."""
        device = device_of(view)

        def one(view: Any, block: WeightedBlock) -> Tensor:
            hidden = self._hidden(view, block, device)
            return torch.einsum("bt,btd->bd", block.weights.to(device, hidden.dtype), hidden)

        return in_blocks(view, self.blocks, one)

    def units(self, name: str, view: Any) -> Tensor:
        """The same, each of length 1; UserError where one has no direction or is not finite."""
        vectors = self.vectors(view)
        lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        if not bool(torch.isfinite(lengths).all()):
            raise UserError(f"{name}: the vector of a sentence is not finite: train with a lower lr.")
        if not bool((lengths > 0).all()):
            raise UserError(f"{name}: the vector of a sentence has length zero, which has no direction.")
        unit: Tensor = vectors / lengths
        return unit

    def _hidden(self, view: Any, block: Block, device: torch.device) -> Tensor:
        batch = block.batch(device)
        if self.pooling.forward is not None:
            hidden = self.pooling.forward(view, batch)
        else:
            output = view(**batch, output_hidden_states=True)
            layers = getattr(output, "hidden_states", None)
            if layers is None:
                raise UserError(
                    "The model gives no hidden_states: pass forward=lambda model, batch: hidden states "
                    "of shape (n, tokens, d)."
                )
            if not -len(layers) <= self.pooling.layer < len(layers):
                raise UserError(f"The model has layers 0 to {len(layers) - 1}, and layer is {self.pooling.layer}.")
            hidden = layers[self.pooling.layer]
        if not isinstance(hidden, Tensor) or hidden.dim() != 3 or hidden.shape[:2] != block.ids.shape:
            raise UserError("forward must return hidden states of shape (n, tokens, d), a vector a token.")
        return hidden
