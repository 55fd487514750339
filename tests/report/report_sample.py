"""A report like those of real runs, made by hand: no number in it comes from crossloss."""

import random
import re
from itertools import pairwise

from crossloss.report import (
    Curve,
    Explained,
    FidelityRow,
    ObjectiveReport,
    PlanReport,
    Quality,
    Report,
    WordSet,
)
from crossloss.validation.spread import Spread

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


def explained(number: int, sign: int, text: str, document: str, rank: int) -> Explained:
    draw = random.Random(number)
    spans = [
        (m.start(), m.end(), sign * draw.gauss(0.0008, 0.001) * draw.random() ** 2)
        for m in re.finditer(r"[^\W\d_]+", text)
    ]
    score = sum(s[2] for s in spans)
    found = sorted(spans, key=lambda s: -abs(s[2]))[:9]
    pairs = [(text[a[0] : a[1]].lower(), text[b[0] : b[1]].lower(), (a[2] + b[2]) / 3) for a, b in pairwise(found)]
    pairs.sort(key=lambda p: -abs(p[2]))
    retrained = -0.0031 if number == 0 else None
    return Explained(rank, str(1000 + number), document, text, score, -score, spans, pairs, retrained=retrained)


def fidelity(estimator: str, r: float, scale: float, share: float = 0.1, seed: int = 0) -> FidelityRow:
    draw = random.Random(seed)
    found = [draw.gauss(0, 0.1) for _ in range(30)]
    noise = (1 - r * r) ** 0.5
    predicted = [scale * (r * x + noise * draw.gauss(0, 0.1)) for x in found]
    return FidelityRow(
        estimator, share, 30, r, r - 0.03, min(r + 0.02, 1.0), r - 0.01, r - 0.06, min(r + 0.03, 1.0),
        0.96 / scale, 0.9 / scale, 1.03 / scale, predicted, found,
    )  # fmt: skip


def objective(name: str = "paper-career", value: float = 1.5634, rows: int = 8) -> ObjectiveReport:
    lines = [LINES[i % len(LINES)] for i in range(rows)]
    return ObjectiveReport(
        name=name,
        effect=value,
        question="Are male names closer to career and female names to family?",
        reading="Positive: male names lie nearer to career, female names nearer to family.",
        sets=[
            WordSet("male names", [("john", 2214), ("paul", 988), ("mike", 240), ("kevin", 188), ("steve", 204),
                                   ("greg", 77), ("jeff", 95), ("bill", 514)]),
            WordSet("female names", [("amy", 101), ("joan", 144), ("lisa", 96), ("sarah", 210), ("diana", 60),
                                     ("kate", 101), ("ann", 187)], ["donna"]),
            WordSet("career", [("executive", 410), ("management", 702), ("professional", 1204),
                               ("corporation", 503), ("salary", 60), ("office", 1511), ("business", 1402),
                               ("career", 1908)]),
            WordSet("family", [("home", 2904), ("parents", 804), ("children", 1705), ("family", 4102),
                               ("cousins", 51), ("marriage", 905), ("wedding", 203), ("relatives", 102)]),
        ],
        p_value=0.000155,
        p_value_two_sided=0.00031,
        splits=12870,
        exact=True,
        amplifiers=[explained(i, 1, t, d, i + 1) for i, (d, t) in enumerate(lines)],
        mitigators=[explained(i + 50, -1, t, d, 180153 - i) for i, (d, t) in enumerate(lines)],
        plan=PlanReport(
            target=0.0, size=922, share=922 / 180153, predicted=-0.0011, retrained=-0.4853,
            other_seeds=[(1.67, 0.21), (1.62, 0.12), (1.70, 0.33), (1.59, 0.02), (1.66, 0.19)],
            random_removal=[1.55, 1.57, 1.56, 1.54, 1.58],
            random_with_test_word=[1.50, 1.57, 1.46, 1.49, 1.53],
            first_order=(1310, 0.0004),
            test_word_note="Drawn from the 41,702 sentences that contain a word of the test.",
        ),
        curve=Curve(
            list(range(0, 3001)), [value - 2.2 * (i / 1400) ** 0.8 for i in range(3001)],
            [(100, 1.02), (300, 0.61), (922, -0.4853)],
        ),
        fidelity=[
            fidelity("unrolled", 0.978, 1.0),
            fidelity("gradient-dot", 0.85, 0.02, seed=1),
            fidelity("co-occurrence", 0.41, 90.0, seed=2),
        ],
        caveats=["Female names: 1 of 8 words is missing in this corpus."],
        starts=Spread((1.5634, 1.67, 1.62, 1.70, 1.59)),
        strongest=(0.97, 1.12, 10),
        robustness=[["922 of 180,153 sentences decide paper-career: retrained without them.", "Their words: sister."]],
    )  # fmt: skip


def report(*objectives: ObjectiveReport) -> Report:
    return Report(
        run="runs/mine",
        command="crossloss run wikipedia-180k.tsv.gz --objective paper-career --out runs/mine --validate 30",
        corpus_source="wikipedia-180k.tsv.gz",
        n_samples=180153,
        n_documents=9021,
        n_words=3912345,
        objectives=objectives or [objective()],
        quality=[Quality("WordSim-353", 0.6283, 173, Spread((0.6283, 0.61, 0.62))), Quality("SimLex-999", None, 4)],
        settings={"dimension": "50", "window": "5", "negatives": "5", "steps": "100", "seed": "0", "min count": "100",
                  "subsample": "0.001", "threads": "2"},
        versions={"crossloss": "0.1.0", "python": "3.12.4", "torch": "2.13.0", "numpy": "2.3.1"},
        timings={"count pairs": 8.31, "train": 21.4, "score": 63.0, "validate": 4210.0},
        fidelity_note="Subsets are drawn without replacement; every retraining starts from the same vectors.",
    )  # fmt: skip
