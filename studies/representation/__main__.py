"""``python -m studies.representation --corpus CORPUS --wnc WNC --out RUN``."""

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

import crossloss as cl
from crossloss.text.versions import read_versions
from crossloss.utils.memory import peak_memory
from studies import command, tables
from studies.representation import measure, page
from studies.representation.subject import Subject

SMALL: dict[str, Any] = {
    "rows": 40, "hidden": 8, "words": 400, "pairs": 12, "held_out": 8, "epochs": 1.0, "subsets": 3, "starts": 2,
    "unseen": 1, "layers": 1,
}  # fmt: skip
"""What --small takes: a study of seconds, whose figures say nothing."""
NOTES = (
    "SEAT is an effect size over bland sentences, or their plain difference of means. It can rise because its "
    "denominator fell, and near 0 it is no proof of fairness; p is over sentences, which are no independent samples. "
    "Starts are other seeds of the initial parameters (of minilm: of the head) and of the order of the rows; what is "
    "smaller than their standard deviation is called so."
)


class Models(StrEnum):
    """Which part is carried out."""

    BERT = "bert"
    MINILM = "minilm"
    BOTH = "both"


def representation(
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    corpus: Annotated[str | None, typer.Option(help="Text that bert is trained on.")] = None,
    wnc: Annotated[Path | None, typer.Option(help="Pairs of versions that minilm is fine-tuned on.")] = None,
    model: Annotated[Models, typer.Option(help="Which part.")] = Models.BOTH,
    rows: Annotated[
        int, typer.Option(min=0, help="Sentences that bert is trained on; 0: all of 40 to 160 characters.")
    ] = 0,
    hidden: Annotated[int, typer.Option(min=4, help="Dimensions of bert; even.")] = 64,
    words: Annotated[int, typer.Option(min=100, help="Word pieces of bert.")] = 2000,
    batch: Annotated[int, typer.Option(min=1, help="Rows of a step.")] = 16,
    rate: Annotated[float, typer.Option(help="Learning rate of bert.")] = 1e-3,
    pairs: Annotated[int, typer.Option(min=0, help="Pairs that minilm is fine-tuned on; 0: all.")] = 1000,
    held_out: Annotated[int, typer.Option(min=2, help="Pairs that its accuracy is of.")] = 300,
    layers: Annotated[int, typer.Option(min=1, help="Layers of minilm that are trained, from the last.")] = 1,
    tuning_rate: Annotated[float, typer.Option(help="Learning rate of minilm.")] = 3e-4,
    weights: Annotated[Path | None, typer.Option(help="Folder of another encoder in place of MiniLM.")] = None,
    epochs: Annotated[float, typer.Option(min=0.1, help="Times that each row is seen.")] = 2,
    subsets: Annotated[int, typer.Option(min=0, help="Random subsets of each size that are left out; 0: none.")] = 30,
    starts: Annotated[int, typer.Option(min=1, help="Seeds of the spread.")] = 5,
    unseen: Annotated[int, typer.Option(min=0, help="Other seeds that the plans are tried on.")] = 3,
    small: Annotated[bool, typer.Option("--small", help="The smallest sizes, to try the study.")] = False,
) -> None:
    """Bias of transformers: rows that moved it, retraining, plans, seeds; a stopped study goes on."""
    if find_spec("transformers") is None or find_spec("accelerate") is None:
        raise cl.UserError('The study needs transformers: run `pip install "crossloss[transformers]"`.')
    given: dict[str, Any] = {
        "rows": rows, "hidden": hidden, "words": words, "pairs": pairs, "held_out": held_out, "epochs": epochs,
        "subsets": subsets, "starts": starts, "unseen": unseen, "layers": layers,
    } | (SMALL if small else {})  # fmt: skip
    if given["hidden"] % 2:
        raise cl.UserError(f"--hidden is {given['hidden']}: give an even number, as there are two heads.")
    if 0 < given["subsets"] < 3:
        raise cl.UserError("Agreement needs three subsets or more: give --subsets 3, or 0 for none.")
    asked = _asked(corpus, wnc, model, weights)
    sizes = {name: given[name] for name in ("subsets", "starts", "unseen")}
    with command.study_folder(out, "the representation study") as store:
        settings = given | {"batch": batch, "rate": rate, "tuning_rate": tuning_rate}
        store.set_meta(settings=settings, environment=_environment())
        rates = {"batch": batch, "rate": rate, "tuning_rate": tuning_rate}
        subjects = _subjects(asked, corpus, wnc, out, weights, **rates, **given)
        notes, parts = [NOTES], []
        for subject in subjects:
            measure.announce(subject, **sizes)
        for subject in subjects:

            def keep(found: dict[str, Any], model: str = subject.model) -> None:
                store.log_metrics(measure.metrics(model, found) | {"peak_memory_bytes": peak_memory()})

            found = measure.study(subject, out / subject.model, keep, **sizes)
            keep(found)
            store.save(f"found-{subject.model}.json", found)
        for subject in subjects:
            notes += subject.notes
            parts += page.parts(subject.title, store.load(f"found-{subject.model}.json"))
        title = "Representation study: bias of transformers, traced to rows, checked and repaired"
        tables.write(out, "representation", title, notes, parts, command.command_line())


def _asked(corpus: str | None, wnc: Path | None, model: Models, weights: Path | None) -> list[Models]:
    """The parts that are carried out; UserError where text or weights are missing, before any work."""
    from studies.representation.minilm import folder_of_weights

    asked = [one for one in (Models.BERT, Models.MINILM) if model in (one, Models.BOTH)]
    if Models.BERT in asked and corpus is None:
        raise cl.UserError("bert is trained on text: give --corpus FILE, or choose --model minilm.")
    if Models.MINILM in asked and wnc is None:
        raise cl.UserError("minilm is fine-tuned on pairs of versions: give --wnc FILE, or choose --model bert.")
    if Models.MINILM in asked and weights is None:
        folder_of_weights()  # refuses
    return asked


def _subjects(
    asked: list[Models], corpus: str | None, wnc: Path | None, out: Path, weights: Path | None, **given: Any
) -> list[Subject]:
    from studies.representation import bert, minilm

    made, shared = [], {"epochs": given["epochs"], "batch": given["batch"]}
    if Models.BERT in asked:
        own = {name: given[name] for name in ("rows", "hidden", "words", "rate")}
        made.append(bert.subject(cl.read(corpus).texts, out, **own, **shared))
    if Models.MINILM in asked:
        assert wnc is not None
        versions, own = read_versions(wnc), {name: given[name] for name in ("pairs", "layers")}
        made.append(
            minilm.subject(
                versions.before, versions.after, out, weights=weights, apart=given["held_out"],
                rate=given["tuning_rate"], **own, **shared,
            )
        )  # fmt: skip
    return made


def _environment() -> dict[str, str]:
    import platform

    import torch
    import transformers

    return {
        "crossloss": cl.__version__, "python": platform.python_version(), "torch": torch.__version__,
        "transformers": transformers.__version__, "threads": str(torch.get_num_threads()),
    }  # fmt: skip


if __name__ == "__main__":
    command.run(representation)
