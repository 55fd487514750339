"""A model of any size through record, score and retrain: the estimate of its memory beside the measured peak.

    PYTHONPATH=. python benchmarks/large.py --layers 12 --hidden 768 --vocabulary 50257 --steps 4 --rows 16

A GPT-2 from a random start on rows of random tokens, by transformers' Trainer with its defaults (AdamW, clipping at 1,
linear decay, dropout .1). Its states lie on disk where the budget does not bear them. Prints, and writes to
results/large.json, seconds of each part, the estimate of scoring one objective, and the peak of each part.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from record import RESULTS, Record

import crossloss as cl
from crossloss.integrations.transformers import record
from crossloss.utils.memory import resident_memory
from studies.language_models import held_out, trainer_of


@contextmanager
def peak() -> Iterator[Callable[[], int]]:
    """Give the largest memory of this process while the block ran, looked at every 20 ms."""
    most, done = [resident_memory()], threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            most[0] = max(most[0], resident_memory())

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield lambda: most[0]
    finally:
        done.set()
        watcher.join()


def rows_of(count: int, length: int, vocabulary: int, seed: int) -> list[dict[str, Any]]:
    """Random tokens, of which frequent ones come first as in text."""
    draw = np.random.default_rng(seed)
    tokens = np.minimum(draw.zipf(1.2, (count, length)), vocabulary) - 1
    return [{"input_ids": row.tolist(), "labels": row.tolist()} for row in tokens]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--vocabulary", type=int, default=50257)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--memory", default="12GB", help="budget of the run")
    parser.add_argument("--disk", type=Path, default=None, help="folder for the run; a temporary one by default")
    given = parser.parse_args()
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=given.vocabulary, n_embd=given.hidden, n_layer=given.layers, n_head=max(1, given.hidden // 64),
        n_positions=given.length, bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    rows = rows_of(given.rows, given.length, given.vocabulary, 0)
    test = {k: torch.tensor([row[k] for row in rows_of(2, given.length, given.vocabulary, 1)]) for k in rows[0]}
    folder = tempfile.TemporaryDirectory(dir=given.disk)
    trainer = trainer_of(
        transformers.GPT2LMHeadModel(config), rows, transformers.default_data_collator, Path(folder.name) / "trainer",
        epochs=1, rate=5e-5, eps=1e-8, max_steps=given.steps, per_device_train_batch_size=given.batch,
    )  # fmt: skip
    size = sum(p.numel() for p in trainer.model.parameters())
    result = Record(RESULTS / "large.json")
    name = f"{size / 1e6:.0f}M"

    def measured(what: str, work: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        with peak() as most:
            made = work()
        result.put(f"{name}.seconds.{what}", round(time.perf_counter() - begun, 1))
        result.put(f"{name}.peak_gb.{what}", round(most() / 1e9, 2))
        print(f"{what}: {time.perf_counter() - begun:.1f} s, peak {most() / 1e9:.2f} GB", flush=True)
        return made

    print(f"{size:,} parameters", flush=True)
    recording = [record(trainer, memory=given.memory)]
    measured("record", trainer.train)
    run = measured("finish", lambda: recording.pop().finish(Path(folder.name) / "run"))
    del trainer
    estimate = run.estimate()
    print(*estimate.summary(), flush=True)
    result.put(f"{name}.estimate_gb", round(estimate.memory / 1e9, 2))
    result.put(f"{name}.states_gb", round(estimate.storage.stored / 1e9, 2))
    result.put(f"{name}.settings", " ".join(f"{key} {value}" for key, value in vars(given).items() if key != "disk"))
    scores = measured("score", lambda: cl.score(run, [held_out(test)]))
    print("scores", np.round(scores.samples[0][:4], 6))
    weights = run.weights
    weights[0] = 0
    measured("retrain", lambda: run.retrain(weights))
    run.close()


if __name__ == "__main__":
    main()
