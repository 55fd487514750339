"""What the commands of all studies share: errors as one sentence, the folder, tests by name, an estimate first."""

import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

import crossloss as cl
from crossloss.models.skipgram.estimate import check_memory, estimate
from crossloss.run.folder import RunFolder
from crossloss.text.vocabulary import build_vocabulary
from crossloss.utils.memory import available_memory
from studies.tables import Table, clean, print_line, require_matplotlib

PAPER_TESTS = ("paper-career", "paper-math", "paper-art", "paper-race")
MEMORY = 4_000_000_000
"""Bytes for a run: what ``cl.train`` takes where nothing is said."""


def _study() -> str:
    """Name of the study that runs: of the file, or of the folder of a __main__.py."""
    path = Path(sys.argv[0])
    return f"python -m studies.{path.parent.name if path.stem == '__main__' else path.stem}"


def command_line() -> str:
    """The command as it was given, for the run folder and the page."""
    return f"{_study()} {shlex.join(sys.argv[1:])}"


def run(study: Callable[..., None]) -> None:
    """Entry point: shows progress; a user error is one sentence and exit code 2; a stopped study says how to go on."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(context_settings={"help_option_names": ["-h", "--help"]})(study)
    try:
        require_matplotlib()
        with cl.progress():
            sys.exit(app(standalone_mode=False, prog_name=_study()))
    except cl.UserError as error:
        sentence = str(error)
    except OSError as error:
        sentence = f"{error}: check the path, the disk and the permissions."
    except MemoryError:
        sentence = "Memory ran out: lower --max-words or --dimension."
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's for a wrong use
            raise
        sentence = f"{error.format_message().rstrip('. ')}. See {_study()} --help."
    print(f"Error: {clean(' '.join(sentence.split()))}", file=sys.stderr)
    sys.exit(2)


def _stop(*unused: object) -> None:
    print("\nStopped. Give the same command again to go on from here.", file=sys.stderr)
    raise KeyboardInterrupt


@contextmanager
def study_folder(out: Path, kind: str) -> Iterator[RunFolder]:
    """The store of a study that has many runs; UserError where the folder holds another study, or something else."""
    used = (out / "manifest.json").exists()
    with RunFolder(out, create=True) as store:
        there = store.manifest.get("study")
        if used and there != kind:
            raise cl.UserError(f"{out} holds {there or 'a run'}, not {kind}: choose another --out.")
        store.set_meta(study=kind, command=command_line())
        yield store


def tests(names: Sequence[str] | None) -> list[cl.objectives.Weat]:
    """Association tests by name or .yaml file, the paper's four where there are none; UserError where one is none."""
    chosen = [objective for name in names or PAPER_TESTS for objective in cl.objectives.load_objectives(name)]
    known = [objective.name for objective in chosen]
    for objective in chosen:
        if not isinstance(objective, cl.objectives.Weat):
            raise cl.UserError(f"The study is for association tests, and {objective.name} is none: name others.")
        if known.count(objective.name) > 1:
            raise cl.UserError(f"Two tests are named {objective.name}: give each once, or other names in a .yaml file.")
    return chosen


def words(objectives: Sequence[cl.objectives.WordObjective]) -> list[str]:
    """All words of some objectives."""
    return [word for objective in objectives for word in objective.words]


def remember(run: cl.Run, objectives: Sequence[cl.objectives.BaseObjective]) -> None:
    """Note the command and the objectives in the run's folder, which the commands of crossloss then know."""
    run.remember(objectives)
    run.store.set_meta(command=command_line())


def preflight(
    model: cl.SkipGram,
    objectives: Sequence[cl.objectives.WordObjective],
    *,
    steps: int,
    trainings: int,
    scorings: int,
) -> None:
    """Print which words occur, and what time and memory the study takes; UserError where words or memory do not do."""
    settings, corpus = model.settings, model.corpus
    vocabulary = build_vocabulary(
        corpus,
        min_count=settings.min_count,
        max_words=settings.max_words or None,
        keep_words=model.keep_words,
        subsample=settings.subsample,
    )
    print_line(f"Vocabulary: {len(vocabulary.words):,} words (min count {settings.min_count}, and the tests' words).")
    for objective in objectives:
        rows = [row.row for row in objective.coverage(vocabulary.occurrences)]
        headings = ("set", "present", "words", "missing (left out)")
        Table(f"{objective.name}: words and their occurrences", headings, rows).print()
        if rare := cl.objectives.rare_words(objective, vocabulary.occurrences):
            print_line(f"{objective.name}. {rare.sentence(objective.name)}")
    cost = estimate(settings, corpus, vocabulary, steps=steps, objectives=len(objectives), memory=MEMORY)
    available = available_memory()
    for line in cost.summary(available, trainings=trainings, scorings=scorings):
        print_line(line)
    check_memory(cost.memory_bytes, available)
    for objective in objectives:
        objective.lookup(vocabulary.index)
