"""The debias study: the paper's Tables 3, 5, 6, 8 and Figs. 3, 4 on one corpus (paper Sec. 4.4, App. D).

Every correction of every test, one beside the other: what it does to its own test, to the others, to starts and words
it was not fitted to, and what it costs. All pieces are kept in the run's folder, so a stopped study goes on.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from crossloss.core import UserError
from crossloss.objectives.weat import Weat
from crossloss.plans.cost import Yardstick
from crossloss.plans.debias import Corrected
from crossloss.plans.outcome import Outcome, judge, metrics_of
from crossloss.plans.starts import JUDGES, UNTOUCHED, unseen
from crossloss.plans.sweep import Cell
from crossloss.plans.transfer import Transferred
from crossloss.plans.update import ARMS
from crossloss.progress import part
from crossloss.run.run import Run

ROUNDS = 5
"""Rounds that a fit takes, about."""
OVER = 1.7
"""Target of over-bias, in the direction that each test already has; an effect size lies between -2 and 2."""
MOST_STEPS = 50_000
"""Single-sample steps of an update: the paper's largest sets with its most passes are left out, and said to be."""
TOGETHER = (
    ("reweight", True, False),
    ("reweight", False, True),
    ("remove", True, False),
    ("remove", False, False),
    ("hard", False, False),
    ("hard+reweight", True, False),
)
"""Corrections of all tests at once: way, whether fitted to several starts, whether fitted to half of the words too."""
TESTS = ("paper-career", "paper-math", "paper-art", "paper-race")


@dataclass(frozen=True)
class DebiasStudy:
    """What the study found.

    Attributes
    ----------
    tests : list of str
    original : dict
        Effects of the untouched run from its own start.
    outcomes : list of Outcome
        reweight (several starts and one), remove, hard, hard+reweight: all tests at once. Undo, reinforce, both: one
        for each test.
    over : Outcome
        Reweighted the wrong way round.
    cells : dict of (way, test) -> list of Cell
        The sweeps, every test measured in every cell.
    plans : dict
        Plan of every correction that has one, by the outcome's name.
    robustness : list of str
        How few sentences decide each test; as found by ``pipeline.robustness``.
    transferred : dict of how -> name -> Transferred
        What plans do to gensim's Word2Vec.
    """

    tests: list[str]
    original: dict[str, float]
    outcomes: list[Outcome]
    over: Outcome
    cells: dict[tuple[str, str], list[Cell]]
    plans: dict[str, pa.Table]
    robustness: list[str] = field(default_factory=list)
    transferred: dict[str, dict[str, Transferred]] = field(default_factory=dict)

    def best_update(self, test: str) -> Outcome:
        """Of undo, reinforce and both for a test, the one nearest to the target on the words it was judged by."""
        able = [o for o in self.outcomes if o.chosen and list(o.targets) == [test]]
        return min(able, key=lambda o: abs(o.chosen["figures"][f"{test}.judged"] - o.targets[test]))

    def walk(self, way: str, corrected: str, size: int, measured: str) -> list[tuple[int, float]]:
        """(passes, effect of ``measured``) of one walk of a sweep; pass 0 is the untouched run."""
        cells = [c for c in self.cells[way, corrected] if c.size == size and not c.failed]
        return [(0, self.original[measured]), *((c.passes, c.figures[measured]) for c in cells)]


def passes(tests: int, starts: int, others: int) -> tuple[int, int]:
    """Trainings and scorings that the study takes, about: the rounds of its fits are not known before.

    The single-sample steps of the sweeps and the models of gensim come on top: a fifth, at 4,000 words.
    """
    several = starts * sum(to_several for _, to_several, _ in TOGETHER)
    single = 4  # reweight, the same to half of the words, remove, over-bias
    fits = several * (UNTOUCHED + ROUNDS * (JUDGES + 1)) + single * 2 * ROUNDS
    judged = others * _corrections(tests)
    decided = 2 * 2 * tests * 6
    return fits + judged + decided, ROUNDS * (several + single) + 1


def _corrections(tests: int) -> int:
    """Corrections that the study makes: of all tests at once, each test's updates, over-bias."""
    return len(TOGETHER) + len(ARMS) * tests + 1


def debias_study(
    run: Run,
    tests: Sequence[Weat],
    *,
    starts: int = 4,
    others: int = 5,
    groups: Sequence[str] = ("gender",),
    most_steps: int = MOST_STEPS,
) -> DebiasStudy:
    """Correct every test in every way.

    Parameters
    ----------
    run : Run
        In a folder.
    starts, others : int
        Starts that remove and reweight are fitted to, beside the variant with one, and further ones that judge all.
    groups : sequence of str
        Word sets of hard debias.
    most_steps : int
        See ``MOST_STEPS``.

    Raises
    ------
    UserError
        Fewer than two starts to fit to or to be judged by, or a test that cannot be corrected.
    """
    if starts < 2:
        raise UserError("The study compares fitting to one start with several: give at least two starts.")
    tests = list(tests)
    yardstick = Yardstick(run, tests, unseen(run, starts, others))
    original = {test.name: float(test(run.view)) for test in tests}
    zero = dict.fromkeys(original, 0.0)
    outcomes, cells, plans = [], {}, {}

    def add(made: Outcome, correction: Corrected) -> None:
        """Keep a correction, and its figures in the run's metrics at once."""
        outcomes.append(made)
        if correction.table is not None:
            plans[made.name] = correction.table
        if run.store.path is not None:
            run.store.log_metrics(metrics_of([o for o in outcomes if o.how == made.how]))

    def label(how: str) -> AbstractContextManager[None]:
        return part(f"{len(outcomes) + 1} of {_corrections(len(tests))}, {how}")

    for how, several, words in TOGETHER:
        fitted_to = starts if several else 1
        with label(how):
            add(*judge(run, tests, zero, how, yardstick, starts=fitted_to, groups=groups, words=words))
    for way in ARMS:
        for test in tests:
            with label(way):
                made, correction = judge(
                    run, [test], {test.name: 0.0}, way, yardstick,
                    groups=groups, words=False, also=tests, most_steps=most_steps,
                )  # fmt: skip
            add(made, correction)
            cells[way, test.name] = correction.cells
    turned = {name: OVER * (float(np.sign(value)) or 1.0) for name, value in original.items()}
    with label("over-bias"):
        over, _ = judge(run, tests, turned, "reweight", yardstick, words=False)
    if run.store.path is not None:
        run.store.log_metrics({f"debias.over-bias.{name}.effect": after for name, (_, after) in over.effects.items()})
    return DebiasStudy([test.name for test in tests], original, outcomes, over, cells, plans)
