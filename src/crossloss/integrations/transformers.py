"""transformers' Trainer, recorded: ``recorder = record(trainer)``, ``trainer.train()``, ``run = recorder.finish()``."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.nn import functional as F

from crossloss.core import UserError
from crossloss.models.torch import TorchField
from crossloss.models.torch.module import generators, set_generators
from crossloss.models.torch.view import ModelView
from crossloss.run.recorder import Recorder
from crossloss.run.run import Run
from crossloss.utils.extras import needed

IGNORED = -100
"""Label of a token that does not count."""
SHARE, ITEMS, PARTS, SIZE = "crossloss.share", "crossloss.items", "crossloss.parts", "crossloss.size"
"""What a batch has beside its inputs, one number a row, all alike: the loss over the sum of its rows' losses; the items
that the Trainer counted for its step, 0 for none; what its loss is multiplied by in the mean over micro-batches; and
its rows, of which a piece has fewer."""
SampleLosses = Callable[[Any, Mapping[str, Tensor]], Tensor]
Labelled = Callable[[Any, Mapping[str, Tensor]], tuple[Tensor, Tensor]]
"""(outputs, batch) -> logits (B, ..., C) and labels (B, ...)."""


def record(
    trainer: Any, *, losses: SampleLosses | None = None, show: Any = None, memory: str = "4GB"
) -> "TrainerRecorder":
    """Record what ``trainer.train()`` does, so that it can be unrolled.

    Batches are recorded as the collator made them (random masks too), with their rows, dropout, learning rates,
    parameter groups, clipping and accumulation. Training is the same to the bit, but for a fused optimizer, which is
    taken unfused: equal up to rounding.

    Parameters
    ----------
    trainer : transformers.Trainer
        Before ``train()``. Of language models, masked or causal, classifiers of sequences or tokens, and regression.
    losses : callable, optional
        (outputs, batch) -> (B,): each row's share of the loss, up to a factor of the batch, where the model's head is
        another one; or (B, T), each token's, for ``cl.token_scores``.
    show : callable or sequence, optional
        What tables and reports show of a row, by its number; its text, where the trainer has a tokenizer.
    memory : str
        As of ``cl.Recorder``.

    Raises
    ------
    UserError
        What cannot be recorded: several processes, a loss of one's own, mixed precision, data without rows.

    Examples
    --------
    >>> from crossloss.integrations.transformers import record
    >>> recorder = record(trainer)
    >>> trainer.train()
    >>> run = recorder.finish()
    """
    with needed("transformers", "Recording a Trainer"):
        import transformers
    if not isinstance(trainer, transformers.Trainer):
        _refuse(f"A {type(trainer).__name__} is no transformers.Trainer: record a loop of your own by cl.Recorder.")
    _check(trainer)
    labelled = None if losses else _labelled(_base(trainer.model))
    return TrainerRecorder(trainer, losses or sample_losses(trainer.model), labelled, show, memory)


def _check(trainer: Any) -> None:
    """Refuse what cannot be recorded, before any work."""
    args = trainer.args
    if args.n_gpu > 1:
        _refuse("Recording is of one device: start the Trainer on one.")
    for name in ("fp16", "bf16", "torch_compile"):
        if getattr(args, name, False):
            _refuse(f"Recording takes the steps again in full precision: leave {name} out of TrainingArguments.")
    if args.label_smoothing_factor or trainer.compute_loss_func is not None:
        _refuse("Recording knows the model's own loss: leave label_smoothing_factor and compute_loss_func out.")
    if trainer.train_dataset is None or not hasattr(trainer.train_dataset, "__len__"):
        _refuse("Recording needs rows with numbers: give the Trainer a train_dataset with a length.")
    if args.gradient_checkpointing:
        _refuse("Recording takes derivatives twice: leave gradient_checkpointing out of TrainingArguments.")
    if args.auto_find_batch_size:
        _refuse("Recording needs one training: leave auto_find_batch_size out of TrainingArguments.")


def _refuse(sentence: str) -> NoReturn:
    raise UserError(sentence)


def _base(model: Any) -> Any:
    """A model without peft's layers around it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def sample_losses(model: Any) -> SampleLosses:
    """Each row's loss, by the model's head: (outputs, batch) -> (B,), or (B, T) where it is a sum over tokens.

    Raises
    ------
    UserError
        A head whose loss is not known here.
    """
    base = _base(model)
    if getattr(base, "loss_type", None) == "ForSequenceClassification":
        return _classes(base.config)
    labelled = _labelled(base)
    if labelled is None:
        _refuse(f"The loss of a {type(base).__name__} is not known: give each row's, record(trainer, losses=...).")
    return lambda outputs, batch: _tokens(*labelled(outputs, batch))


def _labelled(base: Any) -> Labelled | None:
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
        _refuse("The loss of this model is of rows, not of tokens: take cl.score.")
    if losses.shape[1] > w.shape[1]:
        _refuse(f"A row has {losses.shape[1]} tokens: give length=, those of the longest row.")
    return (w[:, : losses.shape[1]] * losses).sum()


def _inputs(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
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


def _weighted(losses: SampleLosses, view: ModelView, batch: Mapping[str, Tensor], w: Tensor) -> Tensor:
    """Weighted loss of a batch: where all weigh 1 the model's own, so that steps are taken again to the bit.

    Not in float64, which some models' losses leave, nor of a piece of a batch, which is its share of the sum.
    """
    whole = SIZE not in batch or len(w) == int(batch[SIZE][0])
    inputs = _inputs(batch)
    if whole and w.dtype == torch.float32 and not w.requires_grad and bool((w == 1).all()):
        items = batch[ITEMS][0]
        more = {"num_items_in_batch": items.long()} if bool(items > 0) else {}
        own: Tensor = view(**inputs, **more).loss * batch[PARTS][0]
        return own
    return _sum(losses(view(**inputs), inputs), w) * (batch[SHARE][0] * batch[PARTS][0])


def _outputs(labelled: Labelled, view: ModelView, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Logits and labels of a batch, for GGN and EK-FAC."""
    inputs = _inputs(batch)
    return labelled(view(**inputs), inputs)


class TrainerRecorder:
    """A Trainer on its way: made by ``record``; ``finish`` gives the run."""

    def __init__(self, trainer: Any, losses: SampleLosses, labelled: Labelled | None, show: Any, memory: str) -> None:
        from transformers import TrainerCallback

        self._trainer, self._losses, self._labelled, self._memory = trainer, losses, labelled, memory
        self._rows: deque[int] = deque()
        self._recorder: Recorder | None = None
        self._show = show or _texts(trainer)
        self._compute_loss, self._dataloader = trainer.compute_loss, trainer.get_train_dataloader
        trainer.compute_loss, trainer.get_train_dataloader = self._loss, self._loader
        start = self._start

        class Start(TrainerCallback):
            """Begins when the optimizer is there."""

            def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
                start(more["model"], more["optimizer"])

        self._callback = Start()
        trainer.add_callback(self._callback)

    @property
    def field(self) -> TorchField:
        """What ``cl.load(folder, field)`` needs to open the run again.

        Before the training too: of the same Trainer in another process, ``record(trainer).field``.
        """
        return self._made(self._trainer.model) if self._recorder is None else self._recorder.field

    def _made(self, model: Any) -> TorchField:
        """The field of a model as it is trained."""
        model.train()
        n = len(self._trainer.train_dataset)
        outputs = None if self._labelled is None else partial(_outputs, self._labelled)
        return TorchField(
            model, data={"row": torch.arange(n)}, loss=partial(_weighted, self._losses), outputs=outputs,
            show=self._show, additive=True,
        )  # fmt: skip

    def finish(self, out: str | Path | None = None, *, overwrite: bool = False, accept: float | None = None) -> Run:
        """The run that ``cl.score`` takes; the Trainer is as it was. See ``cl.Recorder.finish``.

        Raises
        ------
        UserError
            Nothing was trained; or as ``cl.Recorder.finish``.
        """
        self._let_go()
        if self._recorder is None:
            _refuse("Nothing was trained: call trainer.train() between record(trainer) and finish().")
        return self._recorder.finish(out, overwrite=overwrite, accept=accept)

    def _let_go(self) -> None:
        trainer = self._trainer
        for name in ("compute_loss", "get_train_dataloader"):
            vars(trainer).pop(name, None)
        trainer.remove_callback(self._callback)

    def _start(self, model: Any, optimizer: Any) -> None:
        if self._trainer.args.world_size > 1:
            _refuse(
                "Recording is of one process: train in one, recorder.finish(out=FOLDER), and open that folder under "
                "torchrun, cl.load(FOLDER, record(trainer).field), to score and retrain in several."
            )
        if self._recorder is not None:
            _refuse("One recorder is of one training: call record(trainer) anew before each trainer.train().")
        plain = getattr(optimizer, "optimizer", optimizer)
        for group in plain.param_groups:
            if group.get("fused"):
                group["fused"] = False
        self._recorder = Recorder(self._made(model), model, plain, self._memory)

    def _loader(self) -> Any:
        """The Trainer's own, whose sampler tells which rows it gives."""
        loader = self._dataloader()
        sampler = loader.batch_sampler
        while hasattr(sampler, "batch_sampler"):
            sampler = sampler.batch_sampler
        if not hasattr(sampler, "sampler"):
            _refuse("The rows of this Trainer's batches cannot be seen: use its usual sampling strategy.")
        sampler.sampler = _RecordingSampler(sampler.sampler, self._rows)
        return loader

    def _loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **more: Any) -> Any:
        """The Trainer's own; what it saw is recorded."""
        if not model.training or self._recorder is None:
            return self._compute_loss(model, inputs, return_outputs=return_outputs, **more)
        odd = next((name for name, value in inputs.items() if not isinstance(value, Tensor)), None)
        if odd is not None:
            _refuse(f"The batch has {odd!r}, which is no tensor: leave it to the collator to make it one, or out.")
        size = len(next(iter(inputs.values())))
        if len(self._rows) < size:
            _refuse("More rows were trained on than the sampler gave: use the Trainer's usual sampling.")
        rows = [self._rows.popleft() for _ in range(size)]
        batch = {name: value.detach().clone() for name, value in inputs.items()}
        device = next(model.parameters()).device
        items, before = more.get("num_items_in_batch"), generators(device)
        loss, outputs = self._compute_loss(model, inputs, return_outputs=True, **more)
        with torch.no_grad():
            total = self._losses(outputs, batch).double().sum()
        counted = float(items) if items is not None and self._trainer.model_accepts_loss_kwargs else 0.0
        parts = self._trainer.current_gradient_accumulation_steps if counted else 1
        share = float(loss.detach().double() / total)
        for name, number in ((SHARE, share), (ITEMS, counted), (PARTS, parts), (SIZE, size)):
            batch[name] = torch.full((size,), number, dtype=torch.float64)
        after = generators(device)
        set_generators(before, device)
        self._recorder.batch(rows, batch)  # whose forward pass draws from here on
        set_generators(after, device)
        return (loss, outputs) if return_outputs else loss


class _RecordingSampler:
    """A sampler whose rows are recorded as it gives them."""

    def __init__(self, sampler: Any, rows: deque[int]) -> None:
        self._sampler, self._rows = sampler, rows

    def __iter__(self) -> Iterator[int]:
        self._rows.clear()  # what the last epoch drew and left out
        for row in self._sampler:
            self._rows.append(int(row))
            yield row

    def __len__(self) -> int:
        return len(self._sampler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)


def _texts(trainer: Any) -> Callable[[int], str] | None:
    """The text of a row: its own, or its tokens by the Trainer's tokenizer; None where it has neither."""
    data, tokenizer = trainer.train_dataset, trainer.processing_class
    first = data[0]
    if not isinstance(first, Mapping):
        return None
    if isinstance(first.get("text"), str):
        return lambda row: str(data[row]["text"])
    if tokenizer is None or not hasattr(tokenizer, "decode") or "input_ids" not in first:
        return None
    return lambda row: str(tokenizer.decode(data[row]["input_ids"], skip_special_tokens=True))
