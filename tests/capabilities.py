"""What every kind of model can do: one small model of each kind, and the cells that are refused."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import crossloss as cl
from crossloss.estimators import ESTIMATORS
from crossloss.objectives.weat import Weat
from crossloss.scores.baselines import BASELINES
from crossloss.scores.scoring import CO_OCCURRENCE

SCORES = [f"score: {name}" for name in (*ESTIMATORS, CO_OCCURRENCE, *BASELINES)]
ROWS = [
    *("train", "record", "import", "save", "load", "resume"), *SCORES, "explain",
    *("plan: remove", "plan: reweight", "plan: remove over starts", "plan: reweight over starts"),
    *("retrain", "validate", "over starts", "report", "export", "distributed"),
]  # fmt: skip

WORDS = [f"wa{chr(97 + i)}" for i in range(12)]
WEAT = Weat("bias", tuple(WORDS[:2]), tuple(WORDS[2:4]), tuple(WORDS[4:6]), tuple(WORDS[6:8]))
N = 16


def sentences(count: int = 40) -> list[str]:
    """Sentences of twelve words in which X leans to A and Y to B."""
    draw = Random(0)
    made = []
    for _ in range(count):
        first = draw.random() < 0.5
        leaning = first == (draw.random() < 0.8)
        words = [
            draw.choice(WORDS[:2] if first else WORDS[2:4]),
            draw.choice(WORDS[4:6] if leaning else WORDS[6:8]),
            *draw.choices(WORDS, k=4),
        ]
        draw.shuffle(words)
        made.append(" ".join(words))
    return made


class Column:
    """One kind of model.

    Attributes
    ----------
    name : str
        Head of the column.
    objective : callable
    toward : float
        Where plans bring it, in units of its value: what removals can do.
    """

    name: str
    objective: Any = WEAT
    toward = 0.9

    def field(self, folder: Path) -> Any:
        """A new model; ``folder`` is for files that it is read from."""
        raise NotImplementedError

    def train(self, field: Any, **more: Any) -> cl.Run:
        """The model trained here."""
        return cl.train(field, steps=6, **more)

    def run(self, folder: Path, **more: Any) -> cl.Run:
        """The column's run: as its user would have it."""
        return self.train(self.field(folder), **more)

    def load(self, run: Path, folder: Path) -> cl.Run:
        """Its run folder, opened again."""
        return cl.load(run)


class SkipGramExact(Column):
    name = "skip-gram, exact"
    settings: dict[str, Any] = {}  # noqa: RUF012

    def field(self, folder: Path) -> Any:
        return cl.SkipGram(
            cl.from_sentences(sentences()), min_count=1, window=3, dimension=2, dtype="float64", **self.settings
        )


class SkipGramDrawn(SkipGramExact):
    name = "skip-gram, drawn negatives"
    settings = {"negative_columns": 5}  # noqa: RUF012


def data() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(N, 3, generator=draw, dtype=torch.float64)
    return {"x": x, "y": (x.sum(1) + torch.randn(N, generator=draw) > 0).long()}


def module(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def held_out(view: Any) -> torch.Tensor:
    x = torch.tensor([[0.5, 0.1, -0.3], [1.0, -1.0, 0.2]], dtype=torch.float64)
    return F.cross_entropy(view(x), torch.tensor([1, 0]))


def sample_loss(out: torch.Tensor, batch: Any) -> torch.Tensor:
    return F.cross_entropy(out, batch["y"], reduction="none")


class Torch(Column):
    name = "torch field"
    objective = staticmethod(held_out)
    toward = 1.02

    def field(self, folder: Path, model: nn.Module | None = None) -> Any:
        return cl.TorchField(
            module(0) if model is None else model, sample_loss, data(), batch_size=8, starts=module,
            show=[f"row {i}{' high' * (i % 3)} {WORDS[i % 12]}" for i in range(N)],
        )  # fmt: skip

    def train(self, field: Any, **more: Any) -> cl.Run:
        return cl.train(field, cl.SGD(0.2, momentum=0.5, weight_decay=0.01), steps=8, **more)

    def load(self, run: Path, folder: Path) -> cl.Run:
        return cl.load(run, self.field(folder))


class Recorded(Torch):
    name = "recorded torch loop"

    def run(self, folder: Path, **more: Any) -> cl.Run:
        model = module(0)
        field = self.field(folder, model)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, eps=1e-2)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
        recorder, rows = cl.Recorder(field, model, optimizer), data()
        for step in range(8):
            batch = (torch.arange(5) * 3 + step) % N
            recorder.batch(batch)
            optimizer.zero_grad()
            sample_loss(model(rows["x"][batch]), {"y": rows["y"][batch]}).mean().backward()
            optimizer.step()
            scheduler.step()
        return recorder.finish(**more)


class Gensim(Column):
    name = "gensim import"

    def word2vec(self) -> Any:
        from gensim.models import Word2Vec

        tokens = [line.split() for line in sentences()]
        return Word2Vec(
            tokens, sg=1, hs=0, negative=5, vector_size=2, window=3, min_count=1, seed=1, workers=1, epochs=100
        )

    def field(self, folder: Path) -> Any:
        return cl.from_gensim(self.word2vec(), cl.from_sentences(sentences()))

    def run(self, folder: Path, **more: Any) -> cl.Run:
        return cl.imported(self.field(folder), **more)


class Word2VecFile(Gensim):
    name = "word2vec files"

    def field(self, folder: Path) -> Any:
        """Of text files that hold both matrices of a run."""
        from crossloss.folders.export import export

        vectors, contexts = export(SkipGramExact().run(folder), "word2vec", folder / "files")
        return cl.from_word2vec(vectors, cl.from_sentences(sentences()), contexts=contexts, window=3)


COLUMNS: list[Column] = [SkipGramExact(), SkipGramDrawn(), Torch(), Recorded(), Gensim(), Word2VecFile()]
WORDY, TORCHES, IMPORTS = ("skip-gram, exact", "skip-gram, drawn negatives", "gensim import", "word2vec files"), (
    "torch field", "recorded torch loop"
), ("gensim import", "word2vec files")  # fmt: skip


@dataclass(frozen=True)
class Refusal:
    """A cell that is refused: ``says`` stands in the sentence, ``instead`` in the page's remark."""

    says: str
    instead: str


def _refused() -> dict[tuple[str, str], Refusal]:
    cells: dict[tuple[str, str], Refusal] = {}

    def refuse(rows: Any, columns: Any, says: str, instead: str) -> None:
        cells.update({(row, column): Refusal(says, instead) for row in rows for column in columns})

    refuse(["record"], WORDY, "cl.train", "`cl.train(field, out=...)`: only torch has loops to record")
    refuse(
        ["import"], WORDY[:2], "cl.from_gensim",
        "`cl.from_gensim` or `cl.from_word2vec`: a corpus alone has no trained vectors",
    )  # fmt: skip
    refuse(["explain"], TORCHES, "scores.top", "`scores.top()`: samples of a torch model have no parts")
    refuse(["export"], TORCHES, "load_state_dict", "`model.safetensors` in the run folder, or `dict(run.view)`")
    refuse(
        ["score: co-occurrence"], TORCHES, "there are: unrolled",
        "any other estimator: a torch model has no words to count",
    )  # fmt: skip
    refuse(
        ["score: embedding-cosine"], TORCHES, "EmbeddingCosine(lambda",
        "`EmbeddingCosine(embed)` of `cl.baselines`: a torch model has no vectors of words",
    )  # fmt: skip
    refuse(["score: inverse-hessian-word-blocks"], TORCHES, "ekfac", "`inverse-hessian-ekfac` or `-ggn`")
    refuse(
        ["score: inverse-hessian-ggn", "score: inverse-hessian-ekfac"], WORDY, "word-blocks",
        "`inverse-hessian-word-blocks`",
    )  # fmt: skip
    refuse(["score: trak"], WORDY, "word-blocks", "`inverse-hessian-word-blocks`")
    refuse(["score: less"], WORDY[:2], "tracin", "`tracin`, which takes any update rule")
    refuse(["score: less"], IMPORTS, "inverse-hessian", "an inverse Hessian or `gradient-dot`")
    refuse(["score: less"], ["torch field"], "tracin", "`tracin`, which takes any update rule")
    elsewhere = "`cl.train(field, ...)`, which goes on from the vectors; there is no run to go back over"
    refuse(["score: unrolled", "score: tracin"], IMPORTS, "inverse-hessian", "an inverse Hessian or `gradient-dot`")
    refuse(["retrain", "validate"], IMPORTS, "cl.train", elsewhere)
    refuse([row for row in ROWS if row.startswith("plan")], IMPORTS, "cl.train", elsewhere)
    refuse(
        ["over starts"], IMPORTS, "cl.SkipGram(corpus)", "`cl.train(cl.SkipGram(corpus))`: given vectors are one start"
    )
    return cells


REFUSED = _refused()
HEAD = """# What works for which model

Every cell is run by `tests/test_capabilities.py` on a small model, and compared with a value that is computed another
way: scores with retraining, plans with what they retrain to, files byte by byte. A number leads to what to use instead;
the library says the same, in one sentence.
"""


def page() -> str:
    """The table, in Markdown."""
    notes: list[str] = []
    lines = [f"| | {' | '.join(c.name for c in COLUMNS)} |", "|---|" + ":-:|" * len(COLUMNS)]
    for row in ROWS:
        cells = []
        for column in COLUMNS:
            refusal = REFUSED.get((row, column.name))
            if refusal is None:
                cells.append("yes")
                continue
            if refusal.instead not in notes:
                notes.append(refusal.instead)
            cells.append(f"[{notes.index(refusal.instead) + 1}]")
        lines.append(f"| {row} | {' | '.join(cells)} |")
    remarks = [f"{number}. Use {note}." for number, note in enumerate(notes, 1)]
    return "\n".join([HEAD, *lines, "", "Where a cell is refused:", "", *remarks]) + "\n"


def differences(run: cl.Run, objective: Any, samples: Any, h: float = 1e-5) -> np.ndarray:
    """Slope of the objective by the weight of each sample, by retraining twice."""
    found = []
    for i in samples:
        values = []
        for side in (h, -h):
            weights = run.weights
            weights[i] += side
            values.append(float(objective(run.retrain(weights).view)))
        found.append((values[0] - values[1]) / (2 * h))
    return np.array(found)
