"""transformers' Trainer, recorded: ``recorder = record(trainer)``, ``trainer.train()``, ``run = recorder.finish()``."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossloss.integrations.transformers_losses import (
    ITEMS,
    PARTS,
    SHARE,
    SIZE,
    Labelled,
    SampleLosses,
    base_model,
    labels_of,
    logits_and_labels,
    refuse,
    sample_losses,
    weighted_loss,
)
from crossloss.models.torch import TorchField
from crossloss.models.torch.module import generators, set_generators
from crossloss.run.recorder import Recorder
from crossloss.run.run import Run
from crossloss.utils.extras import needed


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
        refuse(f"A {type(trainer).__name__} is no transformers.Trainer: record a loop of your own by cl.Recorder.")
    _check(trainer)
    labelled = None if losses else labels_of(base_model(trainer.model))
    return TrainerRecorder(trainer, losses or sample_losses(trainer.model), labelled, show, memory)


def _check(trainer: Any) -> None:
    """Refuse what cannot be recorded, before any work."""
    args = trainer.args
    if args.n_gpu > 1:
        refuse("Recording is of one device: start the Trainer on one.")
    for name in ("fp16", "bf16", "torch_compile"):
        if getattr(args, name, False):
            refuse(f"Recording takes the steps again in full precision: leave {name} out of TrainingArguments.")
    if args.label_smoothing_factor or trainer.compute_loss_func is not None:
        refuse("Recording knows the model's own loss: leave label_smoothing_factor and compute_loss_func out.")
    if trainer.train_dataset is None or not hasattr(trainer.train_dataset, "__len__"):
        refuse("Recording needs rows with numbers: give the Trainer a train_dataset with a length.")
    if args.gradient_checkpointing:
        refuse("Recording takes derivatives twice: leave gradient_checkpointing out of TrainingArguments.")
    if args.auto_find_batch_size:
        refuse("Recording needs one training: leave auto_find_batch_size out of TrainingArguments.")


class TrainerRecorder:
    """A Trainer on its way: made by ``record``; ``finish`` gives the run."""

    def __init__(self, trainer: Any, losses: SampleLosses, labelled: Labelled | None, show: Any, memory: str) -> None:
        from transformers import TrainerCallback

        self._trainer, self._losses, self.labelled, self._memory = trainer, losses, labelled, memory
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
        outputs = None if self.labelled is None else partial(logits_and_labels, self.labelled)
        return TorchField(
            model, data={"row": torch.arange(n)}, loss=partial(weighted_loss, self._losses), outputs=outputs,
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
            refuse("Nothing was trained: call trainer.train() between record(trainer) and finish().")
        return self._recorder.finish(out, overwrite=overwrite, accept=accept)

    def _let_go(self) -> None:
        trainer = self._trainer
        for name in ("compute_loss", "get_train_dataloader"):
            vars(trainer).pop(name, None)
        trainer.remove_callback(self._callback)

    def _start(self, model: Any, optimizer: Any) -> None:
        if self._trainer.args.world_size > 1:
            refuse(
                "Recording is of one process: train in one, recorder.finish(out=FOLDER), and open that folder under "
                "torchrun, cl.load(FOLDER, record(trainer).field), to score and retrain in several."
            )
        if self._recorder is not None:
            refuse("One recorder is of one training: call record(trainer) anew before each trainer.train().")
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
            refuse("The rows of this Trainer's batches cannot be seen: use its usual sampling strategy.")
        sampler.sampler = _RecordingSampler(sampler.sampler, self._rows)
        return loader

    def _loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **more: Any) -> Any:
        """The Trainer's own; what it saw is recorded."""
        if not model.training or self._recorder is None:
            return self._compute_loss(model, inputs, return_outputs=return_outputs, **more)
        odd = next((name for name, value in inputs.items() if not isinstance(value, Tensor)), None)
        if odd is not None:
            refuse(f"The batch has {odd!r}, which is no tensor: leave it to the collator to make it one, or out.")
        size = len(next(iter(inputs.values())))
        if len(self._rows) < size:
            refuse("More rows were trained on than the sampler gave: use the Trainer's usual sampling.")
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
