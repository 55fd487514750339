"""The stages behind the commands that explain words and concepts (see ``pipeline``)."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crossloss import files
from crossloss.concepts import Concept, concepts
from crossloss.models.skipgram.model import SkipGram
from crossloss.models.skipgram.settings import split_settings
from crossloss.pipeline.objectives import folder_of
from crossloss.run.run import Run
from crossloss.run.train import train
from crossloss.scores import Scores
from crossloss.studies import scifi, scifi_page
from crossloss.text.read import read
from crossloss.text.rows import Columns
from crossloss.text.sources import source_rows
from crossloss.text.tokens import normal, pattern_without, stop_words


def concepts_run(run: Run, scores: Scores, name: str, given: Sequence[Sequence[str]] = ()) -> list[Concept]:
    """Hidden concepts of an objective, or groups of given words; into the metrics and concepts-NAME.json.

    Raises
    ------
    UserError
        As ``concepts``; or gensim, which holds the stop words, is not installed.
    """
    found = concepts(scores, name, words=given, ignore=() if given else stop_words())
    folder = folder_of(run)
    path = folder.file(f"concepts-{name}.json")
    kept = files.read_json_or_empty(path)
    for concept in found:
        folder.log_metrics(concept.metrics(name))
    part = {"given" if given else "found": [concept.to_json() for concept in found]}
    files.write_json(path, kept | part)
    return found


def study_scifi(
    corpus: Path,
    out: Path,
    words: Sequence[str] = (),
    *,
    full: bool = False,
    subsets: int = 30,
    command: str = "",
    **settings: Any,
) -> tuple[list[scifi.WordStudy], Path]:
    """The sci-fi study of a corpus with a column universe: figures into metrics.json and scifi.json, the page beside.

    Raises
    ------
    UserError
        The file lacks a column, a word is not in the vocabulary, or what the study needs is not installed.
    """
    explained = list(dict.fromkeys([*scifi.WORDS, *map(normal, words)]))
    labels = [row.document for row in source_rows(corpus, Columns("", "universe"))[0]]
    found = read(corpus, token_pattern=pattern_without(stop_words()))
    chosen = scifi.SETTINGS | ({"max_words": 0} if full else {}) | settings
    settings, recipe = split_settings(**chosen)
    model = SkipGram(found, keep_words=[*explained, *scifi.OTHERS], **settings)
    with train(model, recipe.optimiser, steps=recipe.steps, seed=recipe.seed, out=out) as run:
        folder_of(run).set_meta(command=command)
        studied = scifi.scifi_study(run, labels, explained, subsets=subsets)
        for word in studied:
            folder_of(run).log_metrics(word.metrics())
        files.write_json(folder_of(run).file("scifi.json"), {word.word: asdict(word) for word in studied})
        return studied, scifi_page.write(studied, folder_of(run).path, command)
