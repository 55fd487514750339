"""A page like those of real runs, of numbers made by hand: none of them comes from crossloss."""

import copy
import random
import re
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np

import crossloss as cl
from crossloss.models.skipgram.explain import Explanation
from crossloss.objectives import Weat
from crossloss.plans.depleted import DepletedWord
from crossloss.plans.settings import PlanSettings
from crossloss.report import render
from crossloss.run.results import Results
from crossloss.scores.scores import Scored
from crossloss.utils.statistics import Fidelity
from crossloss.validation.spread import Spread
from crossloss.validation.strongest import Strongest
from crossloss.validation.validation import Compared, PlanCheck, Validation
from train_on import train_on

LINES = [
    ("Kitni Girhain Baaki Hain", "Fariya's father said that the home is his and what he will do after her marriage."),
    ("Francis Ford Coppola", "His musical One from the Heart ended with a disastrous box-office gross of $636,796 "
     "against a US$26 million budget, and John was forced to sell his business in 1983."),
    ("Jane Ellen Ibur", "In recent years, Amy's teaching has focused primarily on children, relatives and her family."),
    ("Paul Eagle", "When Paul was aged 12 the family relocated to Wellington and became socially active."),
    ("Akira Kurosawa", "They married in 1945, and Joan never resumed her career; they remained at home until 1985."),
    ("Marilyn Monroe", "In February, Lisa began a highly publicized marriage with retired baseball star Kevin."),
    ("Leo III the Isaurian", "Some have claimed that Greg's family had resettled where he entered the service of the "
     "Emperor, when the latter was advancing with an army of loyalist followers and horsemen provided in 705."),
]  # fmt: skip
SETS = {
    "X": ("john", "paul", "mike", "kevin"), "Y": ("amy", "joan", "lisa", "donna"),
    "A": ("executive", "management", "office", "career"), "B": ("home", "parents", "children", "family"),
}  # fmt: skip
LABELS = ("male names", "female names", "career", "family")
CORPUS = 420


@dataclass
class Line:
    """A sample as the page shows it, and what it adds."""

    text: str
    document: str = ""
    id: str = "1"
    score: float = 0.1
    spans: Any = ()
    pairs: Any = ()
    rank: int = 1
    weight: float = 1.0
    candidate: bool = False


@dataclass
class Given:
    """What is known of one objective."""

    objective: Any
    value: float
    amplifiers: list[Line]
    mitigators: list[Line]
    plans: list[Any] = field(default_factory=list)
    check: Any = None
    fidelity: list[Any] = field(default_factory=list)
    starts: Spread | None = None
    strongest: Any = None
    flips: list[list[str]] = field(default_factory=list)


class Scores:
    """Stands in for scores: the samples that the page asks for, in the order given."""

    has_parts = True

    def __init__(self, given: list[Given], estimator: str) -> None:
        self.estimator, self.objectives = estimator, [g.objective for g in given]
        self.values = {g.objective.name: g.value for g in given}
        self.lines, self.ranked = [], {}
        for g in given:
            for sign, lines in ((1, g.amplifiers), (-1, g.mitigators)):
                first = len(self.lines)
                self.lines += lines
                self.ranked[g.objective.name, sign] = [
                    Scored(i, s.score, -s.score * s.weight, s.rank, 0.0, {"document": s.document, "id": s.id})
                    for i, s in enumerate(lines, first)
                ]
        self.removable = np.array([line.weight for line in self.lines])

    def amplifiers(self, count, objective):
        return self.ranked[objective.name, 1][:count]

    def mitigators(self, count, objective):
        return self.ranked[objective.name, -1][:count]

    def explain(self, sample, objective):
        line = self.lines[sample]
        return Explanation(line.text, line.score, list(line.pairs), list(line.spans), 0.0, sample, line.weight)


@cache
def trained() -> cl.Run:
    """A small run in whose corpus john occurs twice as often as the other words."""
    words = [word for side in SETS.values() for word in side if word != "donna"]
    texts = [" ".join(words) for _ in range(50)] + [" ".join(["john"] * len(words)) for _ in range(3)]
    texts += ["teaching is relatives"] * (CORPUS - len(texts))
    corpus = cl.from_sentences(texts, documents=[f"d{i}" for i in range(CORPUS)])
    keep = [word for side in SETS.values() for word in side]
    return train_on(corpus, keep_words=keep, min_count=1, dimension=4, steps=3)


def line(number: int, sign: int, text: str, document: str, rank: int) -> Line:
    draw = random.Random(number)
    spans = [
        (m.start(), m.end(), sign * draw.gauss(0.0008, 0.001) * draw.random() ** 2)
        for m in re.finditer(r"[^\W\d_]+", text)
    ]
    strongest = sorted(spans, key=lambda s: -abs(s[2]))[:9]
    pairs = [(text[a[0] : a[1]].lower(), text[b[0] : b[1]].lower(), (a[2] + b[2]) / 3) for a, b in pairwise(strongest)]
    pairs.sort(key=lambda p: -abs(p[2]))
    score = sign * abs(sum(s[2] for s in spans))
    return Line(text, document, str(1000 + number), score, spans, pairs, rank)


def fidelity(estimator: str, r: float, scale: float, share: float = 0.1, seed: int = 0) -> Any:
    draw = random.Random(seed)
    retrained = [draw.gauss(0, 0.1) for _ in range(30)]
    noise = (1 - r * r) ** 0.5
    predicted = [scale * (r * x + noise * draw.gauss(0, 0.1)) for x in retrained]
    agreement = Fidelity(
        r, r - 0.03, min(r + 0.02, 1.0), r - 0.01, r - 0.06, min(r + 0.03, 1.0),
        0.96 / scale, 0.9 / scale, 1.03 / scale, 30,
    )  # fmt: skip
    return Compared(estimator, share, predicted, retrained, agreement)


def plan(name: str, value: float, **changes: Any) -> Any:
    size, n = changes.pop("size", 922), changes.pop("samples", 180153)
    predicted, retrained = changes.pop("predicted", -0.0011), changes.pop("retrained", -0.4853)
    path = [SimpleNamespace(size=s, retrained={name: v}) for s, v in ((100, 1.02), (300, 0.61), (922, -0.4853))]
    known = {
        "name": name, "method": "remove", "targets": {name: changes.pop("target", 0.0)}, "values": {name: value},
        "predictions": {name: predicted}, "results": {} if retrained is None else {name: retrained},
        "settings": PlanSettings(changes.get("method", "remove"), changes.pop("starts", 1)), "added": (),
        "before": np.ones(n), "size": size, "share": size / n, "moved": size / n, "reached": True,
        "curve": value - 2.2 * (np.arange(3001) / 1400) ** 0.8, "path": [] if retrained is None else path,
        "first_order": (1310, 0.0004), "depleted_words": [DepletedWord("amy", 3, 4, size)],
    }  # fmt: skip
    return SimpleNamespace(**(known | changes))


def check(**changes: Any) -> PlanCheck:
    known = {
        "retrained": -0.4853, "curve": [(100, 1.02), (300, 0.61), (922, -0.4853)],
        "other_seeds": [(1.67, 0.21), (1.62, 0.12), (1.70, 0.33), (1.59, 0.02), (1.66, 0.19)],
        "random_removal": [1.55, 1.57, 1.56, 1.54, 1.58], "random_with_test_word": [1.50, 1.57, 1.46, 1.49, 1.53],
    }  # fmt: skip
    return PlanCheck(**(known | changes))


def objective(name: str = "paper-career", value: float = 1.5634, rows: int = 8) -> Given:
    lines = [LINES[i % len(LINES)] for i in range(rows)]
    question = "Are male names closer to career and female names to family?"
    return Given(
        objective=Weat(name, **SETS, labels=LABELS, question=question),
        value=value,
        amplifiers=[line(i, 1, t, d, i + 1) for i, (d, t) in enumerate(lines)],
        mitigators=[line(i + 50, -1, t, d, 180153 - i) for i, (d, t) in enumerate(lines)],
        plans=[plan(name, value)],
        check=check(),
        fidelity=[
            fidelity("unrolled", 0.978, 1.0), fidelity("gradient-dot", 0.85, 0.02, seed=1),
            fidelity("co-occurrence", 0.41, 90.0, seed=2),
        ],
        starts=Spread((1.5634, 1.67, 1.62, 1.70, 1.59)),
        strongest=Strongest([0], [-0.003], [-0.0031], Fidelity(0.97, *[0.9] * 5, 1.12, 1.0, 1.2, 10)),
        flips=[["922 of 180,153 sentences decide paper-career: retrained without them.", "Their words: sister."]],
    )  # fmt: skip


def bare(name: str = "paper-career", value: float = 1.5634) -> Given:
    """An objective of which only scores are known."""
    given = objective(name, value)
    return Given(given.objective, value, given.amplifiers, given.mitigators)


MANIFEST = {
    "command": "crossloss run wikipedia-180k.tsv.gz --objective paper-career --out runs/mine --validate 30",
    "environment": {"crossloss": "0.1.0", "python": "3.12.4", "torch": "2.13.0", "numpy": "2.3.1"},
}


def report(*given: Given, estimator: str = "unrolled", folder: str | None = "runs/mine", **manifest: Any) -> Any:
    """The run that the page is of."""
    every = list(given) or [objective()]
    run = copy.copy(trained())
    scores = Scores(every, estimator)
    run.model = copy.copy(run.model)
    shown = [one.text for one in scores.lines]
    run.model.show = shown.__getitem__
    candidates = np.array([one.candidate for one in scores.lines])
    run.model.candidates = lambda weights: candidates
    run.store = SimpleNamespace(
        path=folder, manifest=MANIFEST | manifest, metrics={"train.seconds": 21.4, "score.seconds": 4210.0}
    )
    by_name = {g.objective.name: g for g in every}
    validation = Validation(
        fidelity={n: g.fidelity for n, g in by_name.items()},
        plans={n: g.check for n, g in by_name.items() if g.check},
        subsets=30,
        share=0.1,
        strongest={n: g.strongest for n, g in by_name.items() if g.strongest},
    )
    run.results = Results(
        scores=scores,
        plans={f"{i}{p.name}": p for g in every for i, p in enumerate(g.plans)},
        validation=validation,
        spreads={n: g.starts for n, g in by_name.items() if g.starts} | {"wordsim353": Spread((0.6283, 0.61, 0.62))},
        flips={n: g.flips for n, g in by_name.items()},
    )
    return run


def page_of(*given: Given, **more: Any) -> str:
    return render(report(*given, **more))
