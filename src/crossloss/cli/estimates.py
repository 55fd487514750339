"""What is said before anything long begins: which words occur, how much time and memory it takes."""

from collections.abc import Mapping, Sequence
from typing import Any

from crossloss import terminal
from crossloss.memory import available_memory, parse_bytes
from crossloss.models.skipgram.estimate import check_memory, estimate
from crossloss.models.skipgram.settings import make_settings, split_settings
from crossloss.objectives import BaseObjective, rare_words
from crossloss.report import words
from crossloss.run.train import MEMORY
from crossloss.text.read import Corpus
from crossloss.text.tokens import cut
from crossloss.text.vocabulary import build_vocabulary


def announce(
    corpus: Corpus,
    tests: Sequence[BaseObjective],
    settings: Mapping[str, Any],
    memory: str = MEMORY,
    *,
    trainings: float = 0,
    scorings: float = 0,
) -> None:
    """Print coverage of the tests and what the run will take; refuse what does not fit.

    Of a command that trains and scores many times, ``trainings`` and ``scorings`` tell how often, about.
    """
    given, recipe = split_settings(**settings)
    chosen = make_settings(**given)
    vocabulary = build_vocabulary(
        corpus,
        min_count=chosen.min_count,
        max_words=chosen.max_words or None,
        keep_words=[word for test in tests for word in test.words],
        subsample=chosen.subsample,
    )
    cost = estimate(chosen, corpus, vocabulary, steps=recipe.steps, objectives=len(tests), memory=parse_bytes(memory))
    terminal.say(f"Vocabulary: {len(vocabulary.words):,} words (min count {chosen.min_count}, and the tests' words).")
    for test in tests:
        coverage = test.coverage(vocabulary.occurrences)
        terminal.coverage_table(test, coverage)
        missing = [word for row in coverage for word in row.missing]
        terminal.cut_words(test.name, cut(missing, corpus.token_pattern, corpus.form))
        if rare := rare_words(test, vocabulary.occurrences):
            terminal.say(f"{test.name}. {words.rare(test.name, rare)}")
    available = available_memory()
    terminal.estimate_line(cost, available)
    if trainings:
        terminal.total_line(cost, trainings, scorings)
    check_memory(cost.memory_bytes, available)
    for test in tests:
        test.lookup(vocabulary.index)
