"""What the commands of all studies share: errors as one sentence, the folder, tests by name, an estimate first."""

import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

import crossloss as cl
from crossloss.memory import available_memory, parse_bytes
from crossloss.models.skipgram.estimate import check_memory, estimate
from crossloss.models.skipgram.settings import make_settings
from crossloss.run.folder import RunFolder
from crossloss.text.tokens import cut
from crossloss.text.vocabulary import Vocabulary, build_vocabulary
from studies.tables import Table, clean, duration, print_line, require_matplotlib

PAPER_TESTS = ("paper-career", "paper-math", "paper-art", "paper-race")
MEMORY = "4GB"


def command_line() -> str:
    """The command as it was given, for the run folder and the page."""
    return shlex.join(["python", "-m", f"studies.{_study()}", *sys.argv[1:]])


def _study() -> str:
    """Name of the study that runs: of the file, or of the folder of a __main__.py."""
    path = Path(sys.argv[0])
    return path.parent.name if path.stem == "__main__" else path.stem


def run(study: Callable[..., None]) -> None:
    """Entry point: shows progress; a user error is one sentence and exit code 2; a stopped study says how to go on."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(context_settings={"help_option_names": ["-h", "--help"]})(study)
    try:
        require_matplotlib()
        with cl.progress():
            sys.exit(app(standalone_mode=False, prog_name=f"python -m studies.{_study()}"))
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
        sentence = f"{error.format_message().rstrip('. ')}. See python -m studies.{_study()} --help."
    print(f"Error: {clean(' '.join(sentence.split()))}", file=sys.stderr)
    sys.exit(2)


def _stop(*unused: object) -> None:
    Console(stderr=True).print("\nStopped. Give the same command again to go on from here.")
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


def tests(names: Sequence[str]) -> list[cl.objectives.Weat]:
    """Association tests by name or .yaml file, the paper's four where there are none; UserError where one is none."""
    chosen = [objective for name in names or PAPER_TESTS for objective in cl.objectives.load_objectives(name)]
    known = [objective.name for objective in chosen]
    for objective in chosen:
        if not isinstance(objective, cl.objectives.Weat):
            raise cl.UserError(f"The study is for association tests, and {objective.name} is none: name others.")
        if known.count(objective.name) > 1:
            raise cl.UserError(f"Two tests are named {objective.name}: give each once, or other names in a .yaml file.")
    return chosen


def remember(run: cl.Run, objectives: Sequence[Any]) -> None:
    """Note the command and the objectives in the run's folder, which the commands of crossloss then know."""
    run.remember(objectives)
    run.store.set_meta(command=command_line())


def preflight(
    corpus: cl.Corpus,
    objectives: Sequence[Any],
    settings: Mapping[str, Any],
    *,
    steps: int,
    trainings: int,
    scorings: int,
) -> Vocabulary:
    """Print which words occur, and what time and memory the study takes; UserError where words or memory do not do."""
    chosen = make_settings(**settings)
    vocabulary = build_vocabulary(
        corpus,
        min_count=chosen.min_count,
        max_words=chosen.max_words or None,
        keep_words=[word for objective in objectives for word in objective.words],
        subsample=chosen.subsample,
    )
    print_line(f"Vocabulary: {len(vocabulary.words):,} words (min count {chosen.min_count}, and the tests' words).")
    for objective in objectives:
        coverage = objective.coverage(vocabulary.occurrences)
        rows = [
            (row.label, f"{len(row.present)}", ", ".join(f"{w} {n}" for w, n in row.present), ", ".join(row.missing))
            for row in coverage
        ]
        Table(
            f"{objective.name}: words and their occurrences", ("set", "", "words", "missing (left out)"), rows
        ).print()
        missing = [word for row in coverage for word in row.missing]
        if parts := cut(missing, corpus.token_pattern, corpus.form):
            listed = ", ".join(f"{word} ({' '.join(made) or 'nothing'})" for word, made in parts.items())
            print_line(f"Hint: {objective.name}: the token pattern cuts, and so never finds, {listed}.")
        if rare := cl.objectives.rare_words(objective, vocabulary.occurrences):
            listed = ", ".join(f"{word} {count}" for word, count in rare.words)
            print_line(
                f"{objective.name}. Rare in the corpus, fewer than {cl.objectives.RARE} times: {listed}; a few "
                "sentences decide where they lie."
            )
    cost = estimate(chosen, corpus, vocabulary, steps=steps, objectives=len(objectives), memory=parse_bytes(MEMORY))
    available = available_memory()
    print_line(
        f"Estimate: training {duration(cost.train_seconds)}, scoring {duration(cost.score_seconds)}; memory "
        f"{cost.memory_bytes / 1e9:.1f} GB of {available / 1e9:.1f} GB free. In all: about {trainings} trainings and "
        f"{scorings} scorings, {duration(trainings * cost.train_seconds + scorings * cost.score_seconds)} or somewhat "
        "more."
    )
    check_memory(cost.memory_bytes, available)
    for objective in objectives:
        objective.lookup(vocabulary.index)
    return vocabulary
