"""What a report shows: the contract between a finished run and its page. Plain Python values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crossloss.validation.spread import Spread


@dataclass(frozen=True)
class WordSet:
    """One of the word sets of an association test, as the corpus covers it.

    Attributes
    ----------
    label : str
        "male names".
    present : sequence of (word, count)
        Words used, with their occurrences in the corpus.
    missing : sequence of str
        Words left out because the vocabulary lacks them.
    """

    label: str
    present: Sequence[tuple[str, int]]
    missing: Sequence[str] = ()


@dataclass(frozen=True)
class Explained:
    """One sentence with its score, taken apart.

    Attributes
    ----------
    rank : int
        1 is the strongest amplifier of the corpus, n the strongest mitigator.
    id, document, text : str
        As in the corpus, unescaped; ``document`` may be empty.
    score : float
        d f/d weight, in f's unit.
    effect_if_removed : float
        Predicted change of f when the sentence is left out: minus the score times its weight (a
        candidate's: times 1).
    spans : sequence of (start, end, contribution)
        Character offsets into ``text``, and what the token adds to ``score`` (positive: it raises f).
    pairs : sequence of (word, word, contribution)
        What the pair adds to ``score``, strongest first.
    candidate : bool
        Not trained on, only scored: ``-effect_if_removed`` is what adding it once would do.
    retrained : float or None
        Change of f after training without it; None where nobody has.
    """

    rank: int
    id: str
    document: str
    text: str
    score: float
    effect_if_removed: float
    spans: Sequence[tuple[int, int, float]]
    pairs: Sequence[tuple[str, str, float]]
    candidate: bool = False
    retrained: float | None = None


@dataclass(frozen=True)
class PlanReport:
    """The smallest set predicted to bring f to its target, and what came of removing it.

    Attributes
    ----------
    target, predicted : float
        In f's unit.
    size : int
        Sentences removed.
    share : float
        ``size`` over the number of sentences trained on.
    reached : bool
        False where even removing every helpful sentence is not predicted to reach the target.
    retrained : float or None
        f after training without them from the same start; None where nobody has retrained yet.
    other_seeds : sequence of (before, after)
        f with and without the whole corpus from other initial vectors.
    random_removal, random_with_test_word : sequence of float
        f after removing as many random sentences, and as many that contain a word of the test.
    test_word_note : str
        How the second kind was drawn; "" for nothing to say.
    first_order : (int, float) or None
        Size and prediction of the plan by first order alone, where this one went on from there.
    """

    target: float
    size: int
    share: float
    predicted: float
    reached: bool = True
    retrained: float | None = None
    other_seeds: Sequence[tuple[float, float]] = ()
    random_removal: Sequence[float] = ()
    random_with_test_word: Sequence[float] = ()
    test_word_note: str = ""
    first_order: tuple[int, float] | None = None


@dataclass(frozen=True)
class Curve:
    """f against the number of sentences removed, in the plan's order.

    Attributes
    ----------
    counts, predicted : sequences of one length
        Ascending counts, and the predicted f.
    retrained : sequence of (count, f)
        What retraining gave.
    """

    counts: Sequence[int]
    predicted: Sequence[float]
    retrained: Sequence[tuple[int, float]] = ()


@dataclass(frozen=True)
class FidelityRow:
    """How well one estimator predicted retraining without random subsets of one size.

    Attributes
    ----------
    estimator : str
    subset_share : float
        Part of the sentences removed in each subset, 0.1 for 10 %.
    subsets : int
        Number of subsets.
    pearson, spearman, slope : float
        Each with ``_low`` and ``_high``, a bootstrap interval over subsets.
    predicted, found : sequences of float
        Change of f for every subset; drawn as a panel where given.
    """

    estimator: str
    subset_share: float
    subsets: int
    pearson: float
    pearson_low: float
    pearson_high: float
    spearman: float
    spearman_low: float
    spearman_high: float
    slope: float
    slope_low: float
    slope_high: float
    predicted: Sequence[float] = ()
    found: Sequence[float] = ()


@dataclass(frozen=True)
class ObjectiveReport:
    """Everything about one objective.

    Attributes
    ----------
    name : str
        "paper-career".
    measure : str
        What the number is: "WEAT effect size".
    question : str
        "Are male names closer to career and female names to family?"; may be "".
    reading : str
        What the sign of ``effect`` means, in a sentence; may be "".
    effect : float
        f of the trained model.
    sets : sequence of WordSet
        Empty where the objective is not made of word sets.
    p_value, p_value_two_sided : float or None
        Permutation test; None where there is none.
    splits : int
        Splits that the test looked at.
    exact : bool
        All splits there are, not a sample of them.
    amplifiers, mitigators : sequence of Explained
        Strongest first.
    caveats : sequence of str
        Sentences the reader must not miss.
    robustness : sequence of sequence of str
        How few sentences decide it, and what they have in common; a paragraph each.
    starts : Spread or None
        f over several starts; None where it was not measured.
    strongest : (r, slope, number) or None
        Agreement of predicted and retrained effects over the strongest sentences, each left out alone.
    """

    name: str
    effect: float
    measure: str = "WEAT effect size"
    question: str = ""
    reading: str = ""
    sets: Sequence[WordSet] = ()
    p_value: float | None = None
    p_value_two_sided: float | None = None
    splits: int = 0
    exact: bool = False
    amplifiers: Sequence[Explained] = ()
    mitigators: Sequence[Explained] = ()
    plan: PlanReport | None = None
    curve: Curve | None = None
    fidelity: Sequence[FidelityRow] = ()
    caveats: Sequence[str] = ()
    robustness: Sequence[Sequence[str]] = ()
    starts: Spread | None = None
    strongest: tuple[float, float, int] | None = None


@dataclass(frozen=True)
class Quality:
    """One word similarity benchmark: Spearman correlation with people, and the pairs that were covered.

    ``starts`` is the correlation over several starts, None where it was not measured.
    """

    name: str
    spearman: float | None
    pairs: int
    starts: Spread | None = None


@dataclass(frozen=True)
class Report:
    """A run as its page shows it.

    Attributes
    ----------
    run : str
        The run folder as the user wrote it; commands that the page recommends name it.
    command : str
        The command that made the run.
    corpus_source : str
        File name or "builtin:wikipedia".
    n_samples, n_documents, n_words : int
        Sentences trained on, documents (0 where the corpus names none), running words of the vocabulary.
    objectives : sequence of ObjectiveReport
        At least one; the first gives the page its title.
    quality : sequence of Quality
    settings, versions : mapping of str to str
    timings : mapping of str to float
        Seconds of each stage.
    fidelity_note : str or None
        How subsets were drawn and retrained.
    """

    run: str
    command: str
    corpus_source: str
    n_samples: int
    n_documents: int
    n_words: int
    objectives: Sequence[ObjectiveReport]
    quality: Sequence[Quality] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    fidelity_note: str | None = None
