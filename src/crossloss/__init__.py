"""crossloss: which training samples pushed a quantity of your model up or down.

>>> import crossloss as cl
>>> corpus = cl.read("corpus.txt")
>>> weat = cl.objectives.weat("weat7")
>>> run = cl.train(corpus, keep_words=weat.words)
>>> scores = cl.score(run, [weat])
>>> for s in scores.top(5):
...     print(f"{s.effect_if_removed:+.4f}  {s.text}")
"""

__version__ = "0.1.0"

from crossloss import objectives
from crossloss.core import UserError
from crossloss.corpus.read import Corpus, from_sentences, read
from crossloss.objectives import permutation_test
from crossloss.plans.remove import Plan, plan
from crossloss.run.progress import bars
from crossloss.run.runs import Run, load, train
from crossloss.scores import Scores, score

__all__ = [
    "Corpus",
    "Plan",
    "Run",
    "Scores",
    "UserError",
    "bars",
    "from_sentences",
    "load",
    "objectives",
    "permutation_test",
    "plan",
    "read",
    "score",
    "train",
]
