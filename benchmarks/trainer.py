"""transformers' Trainer with its defaults: what recording and scoring cost, and how well scores predict retraining.

    PYTHONPATH=. python benchmarks/trainer.py CORPUS --model bert --out runs/trainer-bert

A model of two layers from a random start, by masked (bert) or causal (gpt2) language modelling on rows of a corpus:
AdamW with eps 1e-8, clipping at 1, linear decay, dropout .1. Objectives: SEAT of gender and career, loss of held-out
rows, and a mean log ratio of likelihoods of pairs. For each part of the rows left out at random: Spearman (LDS) and
Pearson of predicted and retrained changes over subsets, with 95 % intervals, of unrolled, gradient-dot, bm25 and the
chosen estimators, and seconds of each for all objectives; before it tail-patch (tail_patch.py). EK-FAC and the GGN have
a damping of a tenth of EK-FAC's mean eigenvalue. Goes on where it stopped, with the seconds of the first time;
results/trainer-MODEL.json.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from record import RESULTS, Record
from tail_patch import tail_patch

import crossloss as cl
from crossloss.estimators import LESS, TRAK, ConjugateGradient, InverseHessian, TracIn
from crossloss.integrations.transformers import record
from studies.language_models import LONGEST, held_out, model_of, rows_of, tokenizer_of, trainer_of

PAIRS = [
    (f"{a} is a {job}", f"{b} is a {job}")
    for job, (a, b) in {
        "doctor": ("he", "she"), "scientist": ("he", "she"), "leader": ("he", "she"), "king": ("he", "she"),
        "writer": ("she", "he"), "singer": ("she", "he"), "student": ("she", "he"), "teacher": ("she", "he"),
    }.items()
]  # fmt: skip
CAREER = {
    "X": ["he", "man", "his", "brother"], "Y": ["she", "woman", "her", "sister"],
    "A": ["business", "office", "career", "professional"], "B": ["home", "family", "children", "marriage"],
}  # fmt: skip


FURTHER = ("ekfac", "ggn", "tracin", "trak", "less", "embedding-cosine")


def further(names: Any, damping: float, checkpoints: int, embed: Any) -> dict[str, Any]:
    """The chosen estimators as objects, by name."""
    made = {
        "ekfac": InverseHessian("ekfac", damping=damping),
        "ggn": InverseHessian("ggn", ConjugateGradient(tolerance=1e-2, iterations=500), damping=damping),
        "tracin": TracIn(), "trak": TRAK(checkpoints=checkpoints), "less": LESS(checkpoints=checkpoints),
        "embedding-cosine": cl.baselines.EmbeddingCosine(embed),
    }  # fmt: skip
    return {name: made[name] for name in names}


def mean_eigenvalue(run: Any) -> float:
    """Of EK-FAC, by its products with 8 random signs."""
    curvature = run.field.curvature("ekfac", run.theta, run.trajectory.weights)
    signs = torch.randint(2, (8, len(run.theta)), generator=torch.Generator().manual_seed(0)).to(run.theta) * 2 - 1
    signs *= curvature.part
    return float((signs * curvature.product(signs)).sum() / signs.square().sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--model", choices=("bert", "gpt2"), default="bert")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--eps", type=float, default=1e-8)
    parser.add_argument("--subsets", type=int, default=30)
    parser.add_argument("--shares", type=float, nargs="+", default=(0.1, 0.01, 0.5, 0.05))
    parser.add_argument("--estimators", nargs="*", choices=FURTHER, default=FURTHER)
    parser.add_argument("--checkpoints", type=int, default=3, help="of trak and less")
    given = parser.parse_args()
    every = [text for text in cl.read(given.corpus).texts if 40 < len(text) < 160]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_of(every, 3000, given.out.with_suffix(".tokenizer.json"))
    order = np.random.default_rng(0).permutation(len(every))
    rows = rows_of([every[i] for i in order[: given.rows]], tokenizer)
    masked = given.model == "bert"
    collator = transformers.DataCollatorForLanguageModeling(tokenizer, mlm=masked)
    others = [{"input_ids": tokenizer(every[i])["input_ids"][:LONGEST]} for i in order[given.rows : given.rows + 48]]
    torch.manual_seed(1)
    batch = dict(collator(others))
    apart = [every[i] for i in order[given.rows : given.rows + 48]]

    def trainer() -> Any:
        model = model_of(given.model, len(tokenizer), given.hidden)
        folder = given.out.with_suffix(".trainer")
        return trainer_of(model, rows, collator, folder, epochs=given.epochs, rate=given.rate, eps=given.eps)

    objectives = [
        cl.objectives.seat(CAREER, tokenizer, name="career"),
        cl.objectives.Function("held_out_loss", held_out(batch), against=apart),
        cl.objectives.likelihood_difference(PAIRS, tokenizer, model="masked" if masked else "causal"),
    ]  # fmt: skip

    def embed(view: Any, texts: list[str]) -> torch.Tensor:
        parts = []
        for i in range(0, len(texts), 64):
            chunk = tokenizer(texts[i : i + 64], truncation=True, max_length=LONGEST, padding=True, return_tensors="pt")
            mask = chunk["attention_mask"][:, :, None]
            hidden = view(
                input_ids=chunk["input_ids"], attention_mask=chunk["attention_mask"], output_hidden_states=True
            ).hidden_states[-1]
            parts.append((hidden * mask).sum(1) / mask.sum(1))
        return torch.cat(parts)

    name = given.model if given.eps == 1e-8 else f"{given.model}-eps{given.eps:g}"
    result, clock = Record(RESULTS / f"trainer-{name}.json"), time.perf_counter
    plain, mine = trainer(), trainer()
    begun = clock()
    plain.train()
    seconds = {"plain": clock() - begun}
    recorder = record(mine)
    begun = clock()
    mine.train()
    seconds["recorded"] = clock() - begun
    begun = clock()
    run = recorder.finish(given.out)
    seconds["finish"] = clock() - begun
    begun = clock()
    cl.score(run, objectives[:1])
    seconds["score_one"] = clock() - begun
    begun = clock()
    run.retrain(run.weights * (np.arange(len(rows)) > 0))
    seconds["retrain"] = clock() - begun
    result.put("parameters", sum(p.numel() for p in mine.model.parameters()))
    result.put("steps", run.steps)
    for label, value in seconds.items():
        if f"seconds.{label}" in result.figures:
            continue
        result.put(f"seconds.{label}", value)
        result.put(f"times_plain.{label}", value / seconds["plain"])
    for o in objectives:
        result.put(f"value.{o.name}", float(o(run.view)))
    if {"ekfac", "ggn"} & set(given.estimators) and "damping" not in result.figures:
        result.put("damping", 0.1 * mean_eigenvalue(run))
    chosen = further(given.estimators, result.figures.get("damping", 1.0), given.checkpoints, embed)
    scores = {name: cl.score(run, objectives, name) for name in ("unrolled", "gradient-dot")}
    with cl.progress():
        for label, estimator in chosen.items():
            able = [
                o
                for o in objectives
                if not isinstance(estimator, cl.baselines.EmbeddingCosine) or estimator.able(run, o)
            ]
            begun = clock()
            scores[label] = cl.score(run, able, estimator)
            if f"seconds.score.{label}" not in result.figures:  # else it is stored
                result.put(f"seconds.score.{label}", clock() - begun)
                result.put(f"left_out.{label}", sum(size for _, size in scores[label].left_out))
        for key, value in tail_patch(run, scores, objectives).items():
            result.put(f"tail_patch.{key}", value)
        for share in given.shares:
            made = cl.validate(
                run, objectives, subsets=given.subsets, share=share, strongest=0, plans={},
                estimators=list(chosen.values()),
            )  # fmt: skip
            for o, compared in made.fidelity.items():
                for row in compared:
                    if row.share == share:
                        f = row.fidelity
                        start = f"lds_{100 * share:g}.{o}.{row.estimator}"
                        result.put(start, [round(x, 4) for x in (f.spearman, f.spearman_low, f.spearman_high)])
                        result.put(
                            f"{start}.pearson", [round(x, 4) for x in (f.pearson, f.pearson_low, f.pearson_high)]
                        )
                        result.put(f"{start}.slope", round(f.slope, 4))


if __name__ == "__main__":
    main()
