"""crossloss: which training samples pushed a quantity of your model up or down.

>>> import crossloss as cl
>>> corpus = cl.read("corpus.txt")
>>> weat = cl.objectives.weat("weat7")
>>> run = cl.train(cl.SkipGram(corpus, keep_words=weat.words))
>>> scores = cl.score(run, [weat])
>>> for s in scores.top(5):
...     print(f"{s.effect_if_removed:+.4f}  {s.text}")

Other objectives, and sums of them:

>>> drift = cl.objectives.displacement("dooku") - 2 * cl.objectives.similarity("dooku", "kirk")

Any torch model:

>>> field = cl.TorchField(model, lambda out, b: F.cross_entropy(out, b["y"], reduction="none"), {"x": x, "y": y})
>>> scores = cl.score(cl.train(field, cl.SGD(lr=0.1), steps=200), [lambda m: margin(m(x_test))])
"""

from crossloss import losses, objectives
from crossloss.core import UserError
from crossloss.folders.load import load
from crossloss.models.skipgram.from_gensim import from_gensim
from crossloss.models.skipgram.from_word2vec import from_word2vec
from crossloss.models.skipgram.model import SkipGram
from crossloss.models.skipgram.word2vec import keyed_vectors
from crossloss.models.torch import TorchField, check_field
from crossloss.objectives import permutation_test
from crossloss.optimisers import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Averaged,
    ClipNorm,
    ClipValue,
    Frozen,
    HeavyBall,
    Muon,
    NAdam,
    ParameterGroups,
    RMSprop,
)
from crossloss.plans import Evaluation, Plan, SmallestFlip, evaluate, plan, smallest_flip
from crossloss.plans.edit_scores import score_edits
from crossloss.plans.edits import Edits
from crossloss.report import report
from crossloss.run.recorder import Recorder
from crossloss.run.run import Run
from crossloss.run.train import imported, train
from crossloss.scores import Scores, baselines, score
from crossloss.scores.concepts import concepts
from crossloss.scores.token_scores import token_scores
from crossloss.text.read import Corpus, from_sentences, read
from crossloss.text.swaps import with_swaps
from crossloss.utils import distributed
from crossloss.utils.progress import progress
from crossloss.utils.version import VERSION
from crossloss.validation import Smoothness, Spread, Validation, over_starts, smoothness, validate
from crossloss.validation.measures import Measures, measure

__version__ = VERSION

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Averaged",
    "ClipNorm",
    "ClipValue",
    "Corpus",
    "Edits",
    "Evaluation",
    "Frozen",
    "HeavyBall",
    "Measures",
    "Muon",
    "NAdam",
    "ParameterGroups",
    "Plan",
    "RMSprop",
    "Recorder",
    "Run",
    "Scores",
    "SkipGram",
    "SmallestFlip",
    "Smoothness",
    "Spread",
    "TorchField",
    "UserError",
    "Validation",
    "baselines",
    "check_field",
    "concepts",
    "distributed",
    "evaluate",
    "from_gensim",
    "from_sentences",
    "from_word2vec",
    "imported",
    "keyed_vectors",
    "load",
    "losses",
    "measure",
    "objectives",
    "over_starts",
    "permutation_test",
    "plan",
    "progress",
    "read",
    "report",
    "score",
    "score_edits",
    "smallest_flip",
    "smoothness",
    "token_scores",
    "train",
    "validate",
    "with_swaps",
]
