"""Losses of transformers' models, row by row: what the head of a model adds for each of its rows or tokens."""

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.nn import functional as F

from crossloss.core import UserError
from crossloss.models.torch.view import ModelView

IGNORED = -100
"""Label of a token that does not count."""
SHARE, ITEMS, PARTS, SIZE = "crossloss.share", "crossloss.items", "crossloss.parts", "crossloss.size"
"""What a batch has beside its inputs, one number a row, all alike: the loss over the sum of its rows' losses; the items
that the Trainer counted for its step, 0 for none; what its loss is multiplied by in the mean over micro-batches; and
its rows, of which a piece has fewer."""
SampleLosses = Callable[[Any, Mapping[str, Tensor]], Tensor]
Labelled = Callable[[Any, Mapping[str, Tensor]], tuple[Tensor, Tensor]]
"""(outputs, batch) -> logits (B, ..., C) and labels (B, ...)."""


def refuse(sentence: str) -> NoReturn:
    """UserError with a sentence."""
    raise UserError(sentence)


def base_model(model: Any) -> Any:
    """A model without peft's layers around it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def sample_losses(model: Any) -> SampleLosses:
    """Each row's loss, by the model's head: (outputs, batch) -> (B,), or (B, T) where it is a sum over tokens.

    Raises
    ------
    UserError
        A head whose loss is not known here.
    """
    base = base_model(model)
    if getattr(base, "loss_type", None) == "ForSequenceClassification":
        return _classes(base.config)
    labelled = labels_of(base)
    if labelled is None:
        refuse(f"The loss of a {type(base).__name__} is not known: give each row's, record(trainer, losses=...).")
    return lambda outputs, batch: _tokens(*labelled(outputs, batch))


def labels_of(base: Any) -> Labelled | None:
    """Of a model whose loss is a cross entropy, what gives logits and labels of a batch; None of another."""
    kind = getattr(base, "loss_type", None)
    if kind in ("ForMaskedLM", "ForTokenClassification", "ForSequenceClassification"):
        return lambda outputs, batch: (outputs.logits, batch["labels"])
    words = getattr(base, "get_output_embeddings", lambda: None)()
    if kind in (None, "ForCausalLM", "ForConditionalGeneration") and words is not None:
        shift = kind != "ForConditionalGeneration" or not base.config.is_encoder_decoder
        return lambda outputs, batch: (outputs.logits, _following(batch["labels"]) if shift else batch["labels"])
    return None


def _tokens(logits: Tensor, labels: Tensor) -> Tensor:
    """Loss of each token (B, T), of logits (B, T, V); with the tokens end to end, where the kernel is fast."""
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none")
    return losses.view_as(labels)


def _sum(losses: Tensor, w: Tensor) -> Tensor:
    """Of losses of rows (B,) or tokens (B, T), with weights (B,), or (B, at least T) of tokens; shape ()."""
    if w.dim() == 1:
        return (w * (losses.sum(1) if losses.dim() == 2 else losses)).sum()
    if losses.dim() == 1:
        refuse("The loss of this model is of rows, not of tokens: take cl.score.")
    if losses.shape[1] > w.shape[1]:
        refuse(f"A row has {losses.shape[1]} tokens: give length=, those of the longest row.")
    return (w[:, : losses.shape[1]] * losses).sum()


def model_inputs(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What of a recorded batch goes into the model."""
    return {name: leaf for name, leaf in batch.items() if not name.startswith("crossloss.")}


def _following(labels: Tensor) -> Tensor:
    """Labels of the token behind each."""
    return F.pad(labels, (0, 1), value=IGNORED)[:, 1:]


def _classes(config: Any) -> SampleLosses:
    """By the problem, which a model may only set at its first loss."""

    def losses(outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
        logits, labels = outputs.logits, batch["labels"]
        if config.problem_type == "regression" or (config.problem_type is None and config.num_labels == 1):
            errors: Tensor = logits.reshape(len(labels), -1) - labels.reshape(len(labels), -1)
            return errors.square().sum(1)
        if config.problem_type == "multi_label_classification" or labels.is_floating_point():
            return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(1)
        return F.cross_entropy(logits.view(-1, config.num_labels), labels.view(-1), reduction="none")

    return losses


def weighted_loss(losses: SampleLosses, view: ModelView, batch: Mapping[str, Tensor], w: Tensor) -> Tensor:
    """Weighted loss of a batch: where all weigh 1 the model's own, so that steps are taken again to the bit.

    Not in float64, which some models' losses leave, nor of a piece of a batch, which is its share of the sum.
    """
    whole = SIZE not in batch or len(w) == int(batch[SIZE][0])
    inputs = model_inputs(batch)
    if whole and w.dtype == torch.float32 and not w.requires_grad and bool((w == 1).all()):
        items = batch[ITEMS][0]
        more = {"num_items_in_batch": items.long()} if bool(items > 0) else {}
        own: Tensor = view(**inputs, **more).loss * batch[PARTS][0]
        return own
    return _sum(losses(view(**inputs), inputs), w) * (batch[SHARE][0] * batch[PARTS][0])


def logits_and_labels(labelled: Labelled, view: ModelView, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Logits and labels of a batch, for GGN and EK-FAC."""
    inputs = model_inputs(batch)
    return labelled(view(**inputs), inputs)
