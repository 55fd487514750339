"""What is printed before anything long begins: what the corpus is, which words occur, the time and memory it takes."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from crossloss.cli.printing import print_line, print_table
from crossloss.core import UserError
from crossloss.models.skipgram.estimate import check_memory, estimate
from crossloss.models.skipgram.settings import DRAWN, make_settings, split_settings
from crossloss.objectives import BaseObjective, rare_words
from crossloss.text.pairs import estimate_pairs
from crossloss.text.read import Corpus, read
from crossloss.text.swaps import with_swaps
from crossloss.text.tokens import cut
from crossloss.text.vocabulary import build_vocabulary
from crossloss.utils.display import Table, duration
from crossloss.utils.memory import available_memory, parse_bytes
from crossloss.utils.progress import track

MANY = 4
"""Times the negatives that would be drawn: a vocabulary from which on drawing them saves time."""


def read_corpus(corpus: str, reading: dict[str, Any]) -> Corpus:
    """Read a corpus with progress, and print what it is."""
    given = {name: value for name, value in reading.items() if name != "swap"}
    with track("reading") as progress:
        made = read(corpus, progress=progress, **given)
    if "swap" in reading:
        made = with_swaps(made, reading["swap"])
    print_line(*made.summary())
    return made


def print_preflight(
    corpus: Corpus,
    objectives: Sequence[BaseObjective],
    settings: Mapping[str, Any],
    memory: str,
    keep_words: Sequence[str] | None = None,
    **passes: float,
) -> dict[str, Any]:
    """Print which words of the objectives occur and what the run will take; refuse what does not fit.

    ``keep_words`` are those of the objectives where None; ``passes`` the ``trainings`` and ``scorings`` of the whole
    command, about. Gives the settings with the number of negatives, which follows from that of the words.
    """
    given, recipe = split_settings(**settings)
    chosen = make_settings(**given)
    vocabulary = build_vocabulary(
        corpus,
        min_count=chosen.min_count,
        max_words=chosen.max_words or None,
        keep_words=[w for o in objectives for w in o.words] if keep_words is None else keep_words,
        subsample=chosen.subsample,
    )
    print_line(f"Vocabulary: {len(vocabulary.words):,} words (min count {chosen.min_count}, and the tests' words).")
    for objective in objectives:
        _print_words(objective, vocabulary.occurrences, corpus)
    budget, available = parse_bytes(memory), available_memory()
    _, pairs = estimate_pairs(corpus, vocabulary, chosen.window)
    size = {"steps": recipe.steps, "objectives": len(objectives), "memory": budget, "pairs": pairs}
    cost = estimate(chosen, corpus, vocabulary, **size)
    drawn = chosen.drawn(len(vocabulary.words))
    print_line(*cost.summary(available, **passes))
    if len(vocabulary.words) > MANY * DRAWN:
        other = DRAWN * (not drawn)
        line = f"Negatives of a word at each step: {f'{drawn:,} drawn' if drawn else 'all, exactly'}."
        with suppress(UserError):  # the budget bears the ones and not the others
            price = estimate(chosen.model_copy(update={"negative_columns": other}), corpus, vocabulary, **size)
            train, score = duration(price.train_seconds), duration(price.score_seconds)
            which = f"--negative-columns {other}" if other else "all of them (--negative-columns 0)"
            line += f" With {which}: training {train}, scoring {score}."
        print_line(line)
    check_memory(cost.memory_bytes, available)
    for objective in objectives:
        objective.lookup(vocabulary.index)
    return {**settings, "negative_columns": drawn}


def _print_words(objective: BaseObjective, counts: Mapping[str, int], corpus: Corpus) -> None:
    """The words of an objective with their counts, those missing, those that the token pattern cuts, and rare ones."""
    name, coverage = objective.name, objective.coverage(counts)
    if coverage:
        headings = ("set", "present", "words", "missing (left out)")
        print_table(Table(f"{name}: words and their occurrences", headings, [row.row for row in coverage]))
    missing = [word for row in coverage for word in row.missing]
    if parts := cut(missing, corpus.token_pattern, corpus.form):
        shown = ", ".join(f"{word} ({' '.join(made) or 'nothing'})" for word, made in parts.items())
        print_line(
            f"Hint: {name}: the token pattern cuts, and so never finds, {shown}: choose another --token-pattern, or "
            "--tokens where spaces part words."
        )
    if rare := rare_words(objective, counts):
        print_line(f"{name}. {rare.sentence(name)}")
