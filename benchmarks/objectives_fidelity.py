"""How well scores of every objective predict retraining: one instance each, all measured in one set of retrainings.

    python benchmarks/objectives_fidelity.py ../shared/data/wikipedia-20k.tsv.gz

30 random subsets of 10 % of the sentences, left out whole, and once more only a tenth of each: whether a derivative is
right, and whether the run bends before a whole sentence is gone. Every fiftieth sentence is held out, for the
likelihood. The run folder keeps every retraining, so that a stopped measurement goes on.
"""

import argparse
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from record import RESULTS, Record

import crossloss as cl
from crossloss.objectives import (
    BaseObjective,
    association,
    displacement,
    ect,
    likelihood,
    mac,
    margin,
    one_sided,
    projection,
    ripa,
    separation,
    similarity,
    weat,
)
from crossloss.run.retrainer import Retrainer, changes, without
from crossloss.utils.statistics import fidelity
from crossloss.validation.subsets import random_subsets

PAIRS = [("he", "she"), ("his", "her"), ("man", "woman"), ("son", "daughter"), ("father", "mother")]
HE, SHE = ([pair[side] for pair in PAIRS] for side in (0, 1))
SETTINGS = {"min_count": 20, "max_words": 0, "dimension": 50}
HELD_OUT = 50


def instances(held: list[str]) -> dict[str, BaseObjective]:
    """One of every objective, chosen before anything was measured."""
    career, math, art = weat("paper-career"), weat("paper-math"), weat("paper-art")
    return {
        "displacement": displacement("president"),
        "displacement-toward": displacement("president", toward=["government", "war"]),
        "displacement-along": displacement("president", along=[1.0] + [0.0] * (SETTINGS["dimension"] - 1)),
        "similarity": similarity("president", "government"),
        "margin": margin("president", ["government", "war"], ["music", "song"]),
        "association": association("science", HE, SHE),
        "weat": career,
        "weat-statistic": replace(career, kind="statistic"),
        "one-sided": one_sided(career.X, career.Y, career.A),
        "ripa": ripa(["science", "physics", "doctor"], PAIRS),
        "mac": mac([*HE, *SHE], [career.A, career.B]),
        "projection": projection(["science", "physics", "doctor"], PAIRS),
        "separation": separation(["music", "president", "river", "church"]),
        "likelihood": likelihood(held),
        "sum": math - art,
        "absolute": abs(career),
    }


def nearest_zero(view: object) -> BaseObjective:
    """The size of the shipped test that is nearest to zero: where a size bends."""
    values = {}
    for name in cl.objectives.names():
        try:
            values[name] = abs(float(weat(name)(view)))
        except cl.UserError:
            continue
    return abs(weat(min(values, key=values.__getitem__)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--subsets", type=int, default=30)
    parser.add_argument("--run", type=Path, default=Path("runs/objectives"))
    parser.add_argument("--out", type=Path, default=RESULTS / "objectives.json")
    given = parser.parse_args()
    texts = cl.read(given.corpus).texts
    corpus = cl.from_sentences(text for i, text in enumerate(texts) if i % HELD_OUT)
    chosen = instances([text for i, text in enumerate(texts) if not i % HELD_OUT])
    keep = [word for objective in chosen.values() for word in objective.words]
    keep += [word for name in cl.objectives.names() for word in weat(name).words]
    record = Record(given.out)
    with cl.train(cl.SkipGram(corpus, keep_words=keep, **SETTINGS), out=given.run) as run:
        chosen["absolute-near-zero"] = nearest_zero(run.view)
        named = {name: replace(objective, name=name) for name, objective in chosen.items()}
        objectives = list(named.values())
        scores = cl.score(run, objectives)
        drawn = random_subsets(run.weights, share=0.1, count=given.subsets, seed=0)
        retrainer = Retrainer(run, objectives)
        weights = [without(run.weights, removed) for removed in drawn]
        retrained = [retrainer(w) for w in weights]
        tenth = [retrainer(0.9 * run.weights + 0.1 * w) for w in weights]
        record.put("objectives.settings", run.model.settings.model_dump())
        record.put("objectives.words", len(run.model.vocabulary.words))
        record.put("objectives.loss", run.loss)
        record.put("objectives.subsets", len(drawn))
        for name, objective in named.items():
            predicted = np.array([scores.group(removed, objective) for removed in drawn])
            found = changes(retrained, name, scores.values[name])
            record.put(f"objectives.{name}.instance", chosen[name].name)
            record.put(f"objectives.{name}.value", scores.values[name])
            record.put(f"objectives.{name}.found.sd", float(found.std(ddof=1)))
            record.put(f"objectives.{name}.found.mean", float(found.mean()))
            record.put(f"objectives.{name}.predicted.mean", float(predicted.mean()))
            for figure, value in asdict(fidelity(predicted, found)).items():
                record.put(f"objectives.{name}.fidelity.{figure}", float(value))
            near = fidelity(predicted / 10, changes(tenth, name, scores.values[name]))
            for figure in ("pearson", "slope"):
                record.put(f"objectives.{name}.tenth.{figure}", float(getattr(near, figure)))
        record.put("objectives.ect.value", ect(run.view, HE, SHE, weat("paper-career").A))


if __name__ == "__main__":
    main()
