"""A small BERT from nothing: masked language modelling on a corpus, whose loss knows nothing of SEAT (cross loss)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import crossloss as cl
from studies.language_models import LONGEST, held_out, model_of, rows_of, tokenizer_of, trainer_of
from studies.representation.subject import Subject, half, variants

SHORTEST, LENGTH = 40, 160
"""Characters of the sentences that are taken: longer than the first and shorter than the second."""
EPS, WARM_UP = 1e-6, 0.1
"""AdamW's eps; part of the steps in which the rate rises, without which such a run is rough (docs/trust.md)."""
HELD_OUT = 64
MARKED = 1 / 3
"""Part of the strongest token's score from which on a token is marked."""


def subject(
    texts: Sequence[str],
    out: Path,
    *,
    rows: int,
    hidden: int,
    words: int,
    epochs: float,
    batch: int,
    rate: float,
) -> Subject:
    """Of ``rows`` sentences drawn from some texts; all but those that are held out where 0.

    ``out`` is the study's folder, which keeps the word pieces.
    """
    import transformers

    every = [text for text in texts if SHORTEST < len(text) < LENGTH]
    if len(every) < HELD_OUT + max(rows, 1):
        raise cl.UserError(
            f"The corpus has {len(every):,} sentences of {SHORTEST} to {LENGTH} characters and "
            f"{HELD_OUT + max(rows, 1):,} are needed: give more text, or lower --rows."
        )
    pieces = out / "tokenizer.json"
    if (out / "bert").exists() and not pieces.exists():
        raise cl.UserError(f"{pieces}, which the run was trained with, is gone: choose another --out.")
    tokenizer = tokenizer_of(every, words, pieces)
    order = np.random.default_rng(0).permutation(len(every))
    apart = [every[i] for i in order[:HELD_OUT]]
    taken = [every[i] for i in order[HELD_OUT : HELD_OUT + rows if rows else None]]
    data = rows_of(taken, tokenizer)
    collator = transformers.DataCollatorForLanguageModeling(tokenizer)
    torch.manual_seed(1)
    masked = dict(collator([{"input_ids": row["input_ids"]} for row in rows_of(apart, tokenizer)]))

    def trainer(seed: int) -> Any:
        return trainer_of(
            model_of("bert", len(tokenizer), hidden, seed=seed), data, collator, out / "trainer", epochs=epochs,
            rate=rate, eps=EPS, per_device_train_batch_size=batch, seed=seed, warmup_steps=WARM_UP,
        )  # fmt: skip

    def quality(view: Any) -> dict[str, float]:
        with torch.no_grad():
            outputs = view(**masked)
        asked = masked["labels"] >= 0
        right = (outputs.logits.argmax(-1) == masked["labels"])[asked]
        return {"accuracy": float(right.float().mean()), "loss": float(outputs.loss)}

    def embed(view: Any, of: list[str]) -> torch.Tensor:
        parts = []
        for first in range(0, len(of), 64):
            given = tokenizer(
                of[first : first + 64], return_tensors="pt", padding=True, truncation=True, max_length=LONGEST
            )
            given = {name: given[name] for name in ("input_ids", "attention_mask")}
            last = view(**given, output_hidden_states=True).hidden_states[-1]
            mask = given["attention_mask"][:, :, None]
            parts.append((last * mask).sum(1) / mask.sum(1))
        return torch.cat(parts)

    def show(scores: cl.Scores, label: str, of: Sequence[int]) -> list[str]:
        shown = scores.tokens(of, objectives[label], length=LONGEST)
        ids = [data[row]["input_ids"] for row in of]
        return [marked(tokenizer.convert_ids_to_tokens(i), s[: len(i)]) for i, s in zip(ids, shown, strict=True)]

    objectives = {
        "career": cl.objectives.seat("seat6b", tokenizer, name="career"),
        "career-difference": cl.objectives.seat("seat6b", tokenizer, kind="difference", name="career"),
        "science": cl.objectives.seat("seat8", tokenizer, name="science"),
        "held-out-loss": cl.objectives.Function("held-out-loss", held_out(masked), against=apart),
    }
    notes = (
        f"A BERT of two layers, {hidden} dimensions and {len(tokenizer):,} word pieces, trained from nothing on "
        f"{len(data):,} sentences of Wikipedia by masked language modelling, {epochs:g} epochs in batches of {batch}; "
        f"transformers’ Trainer with its defaults but for a rate of {rate:g}, eps {EPS:g} and a warm-up of "
        f"{WARM_UP:.0%} of the steps. Every row is scored.",
    )
    layers = {"layer 0": {"layer": 0}, "layer 1": {"layer": 1}, "layer 2": {"layer": 2}}
    return Subject(
        "bert", "BERT from nothing", notes, trainer, objectives, variants(tokenizer, layers), quality, half, embed,
        show, (0.1, 0.01, 0.05, 0.5),
    )  # fmt: skip


def marked(tokens: Sequence[str], scores: np.ndarray) -> str:
    """Tokens in a line; those that moved most as {+token} where their loss raised the objective, [-token] lowered."""
    least = MARKED * max(float(np.abs(scores).max()), 1e-300)
    text = ""
    for token, score in zip(tokens, scores, strict=True):
        if token in ("[CLS]", "[SEP]"):
            continue
        piece = token.removeprefix("##")
        shown = piece if abs(score) < least else f"{{+{piece}}}" if score > 0 else f"[-{piece}]"
        text += shown if token.startswith("##") else f" {shown}"
    return text.strip()
