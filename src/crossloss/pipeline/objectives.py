"""The objectives of a run: named, remembered in its manifest, opened with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from crossloss.core import UserError
from crossloss.objectives import BaseObjective, Weat, fingerprint, from_dict, load_objectives, to_dict
from crossloss.objectives.bounds import check_target
from crossloss.run.folder import RunFolder
from crossloss.run.run import Run
from crossloss.run.train import load


def folder_of(run: Run) -> RunFolder:
    """Folder of a run that has one."""
    assert isinstance(run.store, RunFolder), "stages work on runs in a folder"
    return run.store


def choose(names: Sequence[str], known: Sequence[BaseObjective] = ()) -> list[BaseObjective]:
    """Objectives by name or YAML file, each once.

    Parameters
    ----------
    known : sequence of BaseObjective
        Those of a run, which are called by their names too.

    Raises
    ------
    UserError
        Unknown, none, or two of one name.
    """
    own = {objective.name: objective for objective in known}
    chosen: list[BaseObjective] = []
    for name in names:
        try:
            chosen += [own[name]] if name in own else load_objectives(name)
        except UserError as error:
            if own:
                raise UserError(f"{str(error).rstrip('.')}; the run has {', '.join(own)}.") from error
            raise
    if not chosen:
        raise UserError("Name at least one --objective, such as weat6, or a .yaml file with your own.")
    named = [objective.name for objective in chosen]
    if len(set(named)) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
        raise UserError(f"Two objectives are named {twice}: give each once, or other names in a .yaml file.")
    return chosen


def check_targets(objectives: Sequence[BaseObjective], targets: Mapping[str, float], words: Mapping[str, int]) -> None:
    """Refuse, before the work, a target that an objective can never take; ``words`` are those that occur.

    Raises
    ------
    UserError
        As ``check_target``; or as ``lookup`` of the objective, where too few of its words occur.
    """
    for objective in objectives:
        if objective.name in targets:
            check_target(objective, targets[objective.name], words)


def remember(run: Run, objectives: Sequence[BaseObjective]) -> list[BaseObjective]:
    """Add objectives to those of the run's manifest; returns all of them.

    Raises
    ------
    UserError
        The vocabulary lacks their words, or another objective has the same name.
    """
    folder = folder_of(run)
    known = {test.name: test for test in recall(run)}
    for test in objectives:
        test.lookup(run.model.word_index)
        if test.name in known and fingerprint(known[test.name]) != fingerprint(test):
            raise UserError(f"The run has another objective named {test.name}: rename yours.")
        known[test.name] = test
    folder.set_meta(objectives=[to_dict(test) for test in known.values()])
    return list(known.values())


def recall(run: Run) -> list[BaseObjective]:
    """Objectives of the run's manifest."""
    return [from_dict(entry) for entry in folder_of(run).manifest.get("objectives", [])]


def only_tests(objectives: Sequence[BaseObjective], what: str) -> list[Weat]:
    """The objectives as association tests, which ``what`` is for.

    Raises
    ------
    UserError
        One is another objective.
    """
    for objective in objectives:
        if not isinstance(objective, Weat):
            raise UserError(f"{what} is for association tests, and {objective.name} is none: name them (--objective).")
    return [objective for objective in objectives if isinstance(objective, Weat)]


def open_run(path: Path, names: Sequence[str] = ()) -> tuple[Run, list[BaseObjective], list[str]]:
    """Open a finished run; all of its objectives, to which those named are added; and the names of those asked for.

    Parameters
    ----------
    names : sequence of str
        As given on the command line: of the run, shipped, FILE.yaml, FILE.yaml:NAME or written out; all where none.

    Raises
    ------
    UserError
        No finished run, no objective in it or named, or as ``choose`` and ``remember``.
    """
    run = load(path)
    try:
        objectives = recall(run)
        asked = choose(names, objectives) if names else objectives
        if not asked:
            raise UserError(f"The run in {path} has no objective yet: name one with --objective.")
        if names:
            objectives = remember(run, asked)
        return run, objectives, [objective.name for objective in asked]
    except BaseException:
        run.close()
        raise
