"""The pages written from the package itself, ``python docs/generate.py``: commands, Python names, capabilities."""

import doctest
import html
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import typer
from typer.cli import get_docs_for_click

import crossloss
from crossloss import estimators, losses, objectives
from crossloss.cli import app
from crossloss.scores import baselines

WIDTH = 120
PRELUDE = """\
import torch
from torch.nn import functional as F

import crossloss as cl

corpus = cl.read("corpus.txt")
weat = cl.objectives.weat("weat7")
run = cl.train(cl.SkipGram(corpus, keep_words=weat.words, dimension=8))
scores = cl.score(run, [weat])

x = torch.randn(60, 3)
y = x.argmax(1)
model = torch.nn.Linear(3, 3)
data = {"x": x, "y": y}


def loss(outputs, batch):  # one number a sample
    return F.cross_entropy(outputs, batch["y"], reduction="none")
"""
"""What the examples in docstrings start from; tests/docs/test_examples.py runs them after it."""
TRANSFORMERS = """\
from string import ascii_lowercase

from transformers import BertConfig, BertForMaskedLM, BertTokenizer

letters = [*ascii_lowercase, *("##" + letter for letter in ascii_lowercase)]
pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "he", "she", "nurse", "chef", *letters]
tokenizer = BertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)})
texts = ["he adores math and algebra.", "she adores art and poetry.", "him and her.", "his art is hers."]
config = BertConfig(
    vocab_size=len(pieces),
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=8,
    tie_word_embeddings=False,
)
rows = {"input_ids": tokenizer(texts, padding=True, return_tensors="pt")["input_ids"]}
field = cl.TorchField(
    BertForMaskedLM(config).eval(),
    lambda logits, batch: F.cross_entropy(logits.transpose(1, 2), batch["input_ids"], reduction="none").mean(1),
    rows,
    forward=lambda model, batch: model(**batch).logits,
)
bert = cl.train(field, cl.SGD(lr=0.1), steps=5)
gender = cl.objectives.Weat("gender", X=["math", "algebra"], Y=["art", "poetry"], A=["he", "him"], B=["she", "her"])
"""
"""What the examples of objectives of transformers models start from, after ``PRELUDE``."""

SECTIONS: tuple[tuple[str, str, ModuleType, str], ...] = (
    (
        "Corpus",
        "Text in: sentences, their documents and their words. See [formats](formats.md).",
        crossloss,
        "read from_sentences with_swaps Corpus",
    ),
    (
        "Fields: what is trained",
        "Word vectors on a corpus, or any torch model with its loss and data. Each has a training field.",
        crossloss,
        "SkipGram TorchField check_field",
    ),
    (
        "Losses of a batch",
        "In `cl.losses`, for `TorchField(model, data=..., loss=...)`: the weights of the samples are inside.",
        losses,
        "token_mean in_batch_negatives",
    ),
    (
        "Optimisers",
        "Update rules whose steps can be differentiated. Word vectors have a default of their own.",
        crossloss,
        "SGD Adam AdamW NAdam RMSprop Adagrad Muon HeavyBall ParameterGroups Frozen ClipNorm ClipValue Averaged",
    ),
    (
        "Train, record, import, load",
        "Four ways to a `Run`: train here, record your own loop, take a model as it is, open a run folder.",
        crossloss,
        "train Recorder imported from_gensim from_word2vec load Run",
    ),
    (
        "Scores",
        "Which samples moved an objective, and by how much. See [sign and unit](concepts.md).",
        crossloss,
        "score Scores token_scores",
    ),
    (
        "Edits and concepts",
        "What rewording a sentence does, and which words outside a test its strongest samples share. "
        "`scores.explain(...)` takes one sample apart.",
        crossloss,
        "score_edits Edits concepts",
    ),
    (
        "Plans",
        "What to train with next, so that an objective reaches a target.",
        crossloss,
        "plan Plan evaluate Evaluation smallest_flip SmallestFlip",
    ),
    (
        "Checks",
        "How well scores predict retraining, and how far a value depends on the start. See [trust](trust.md).",
        crossloss,
        "smoothness Smoothness validate Validation over_starts Spread measure Measures permutation_test",
    ),
    (
        "Report, vectors, progress",
        "What comes out. `crossloss export` writes files for other tools.",
        crossloss,
        "report keyed_vectors progress",
    ),
    ("Errors", "Every error that is the user's is of one class.", crossloss, "UserError"),
    (
        "Objectives",
        "In `cl.objectives`. Sums, differences and multiples of objectives are objectives. "
        "A lower-case name is the class of that name. See [units and signs](objectives.md).",
        objectives,
        "weat names Weat one_sided OneSided association Association margin Margin mac Mac projection Projection "
        "direct_bias DirectBias ripa Ripa similarity Similarity separation Separation displacement Displacement "
        "likelihood Likelihood Sum Absolute as_objective Function each ect",
    ),
    (
        "Objectives of transformers models",
        "In `cl.objectives`, for models of transformers in a `TorchField`. See [what they say](contextual.md).",
        objectives,
        "seat Seat SEAT_TESTS bland_sentences Sentence ceat Ceat CombinedEffect log_probability_bias "
        "LogProbabilityBias likelihood_difference LikelihoodDifference sentence_similarity sentence_association "
        "SentenceAssociation probe Probe",
    ),
    (
        "Objectives in files, and of your own",
        "In `cl.objectives`. See [my own objective](howto/objective.md).",
        objectives,
        "load load_objectives parse_objectives to_dict from_dict fingerprint register BaseObjective WordObjective "
        "TYPES SYNTAX",
    ),
    (
        "Tests of objectives",
        "In `cl.objectives`: significance, words that a corpus lacks, and rare words.",
        objectives,
        "permutation_test PermutationResult measured Measured Coverage rare_words RareWords RARE",
    ),
    (
        "Estimators",
        "In `crossloss.estimators`. Most users name one: `cl.score(run, objectives, NAME)`. See [trust](trust.md).",
        estimators,
        "ESTIMATORS get Unrolled TracIn GradientDot InverseHessian TRAK LESS predict Prediction",
    ),
    (
        "Baselines",
        "In `cl.baselines`: scores by texts alone, to compare with. Most users name one.",
        baselines,
        "BASELINES BM25 EmbeddingCosine",
    ),
    (
        "Solvers",
        "In `crossloss.estimators`, for `InverseHessian(solver=...)`.",
        estimators,
        "Dense ConjugateGradient GMRES LiSSA Arnoldi",
    ),
)
"""Every public name, in the order of use: a title, what it is for, the module, the names."""
FURTHER = {"Objectives of transformers models": TRANSFORMERS}
"""By section, what its examples start from beside ``PRELUDE``."""
MADE_BY = {
    "Run": "train",
    "Scores": "score",
    "Edits": "score_edits",
    "Plan": "plan",
    "Evaluation": "evaluate",
    "SmallestFlip": "smallest_flip",
    "Smoothness": "smoothness",
    "Validation": "validate",
    "Spread": "over_starts",
    "Measures": "measure",
}
"""Classes that no user makes: the function that gives them."""
SHOWN_WHOLE = {*MADE_BY, "Corpus", "Recorder"}
"""Classes whose methods are listed; those of fields, optimisers and objectives are for estimators."""


def commands() -> str:
    """Every command with its options, as its own help has them."""
    root = typer.main.get_command(app)
    context = typer.Context(root, info_name="crossloss")
    text = html.unescape(get_docs_for_click(obj=root, ctx=context, name="crossloss", title="Commands")).strip()
    return "\n".join(wrapped(line) for line in text.splitlines()) + "\n"


def capabilities() -> str:
    """The table that tests/test_capabilities.py runs, cell by cell."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    try:
        from capabilities import page
    finally:
        sys.path.pop(0)
    return page()


def wrapped(line: str) -> str:
    """Prose or an item of a list, in lines of at most WIDTH characters; no line ends within a piece of code."""
    indent = "  " if line.startswith(("* ", "- ")) else ""
    whole = re.sub(r"`[^`]+`", lambda code: code[0].replace(" ", "\0"), line)
    filled = textwrap.fill(whole, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return filled.replace("\0", " ")


def public() -> list[tuple[ModuleType, str]]:
    """Every public name with its module, in the order of the page."""
    return [(module, name) for _, _, module, names in SECTIONS for name in names.split()]


def further(name: str) -> str:
    """What the example of a name starts from beside ``PRELUDE``."""
    return "".join(FURTHER.get(title, "") for title, _, _, names in SECTIONS if name in names.split())


def is_described(thing: object) -> bool:
    """Whether it has a docstring of its own: a class or a function."""
    return inspect.isclass(thing) or inspect.isroutine(thing)


def example(thing: object) -> list[doctest.Example]:
    """The statements of the Examples section of a docstring."""
    _, _, text = inspect.cleandoc(thing.__doc__ or "").partition("\nExamples\n--------\n")
    return doctest.DocTestParser().get_examples(text)


def code(thing: object) -> str:
    """Its example as a file has it, laid out as ``ruff format`` does; what a statement gives stands below it."""
    text, before = "", ""
    for statement in example(thing):
        source = statement.source.rstrip("\n")
        first = source.split()[0]
        kind = "block" if first.startswith(("@", "class", "def")) else "import" if first in ("import", "from") else ""
        blank = 2 if "block" in (kind, before) else int(before == "import" != kind)
        text += "\n" * (blank if text else 0) + source + "\n"
        text += "".join(f"# {line}\n" for line in statement.want.splitlines())
        before = kind
    return text


def summary(thing: object) -> str:
    """The first sentence of a docstring, as Markdown."""
    first = " ".join(inspect.cleandoc(thing.__doc__ or "").partition("\n\n")[0].split())
    sentence = re.split(r"(?<=[^.]\.)\s(?=[A-Z(`])|; UserError", first)[0].replace("``", "`")
    sentence += "" if sentence.endswith((".", ":")) else "."
    code_apart = sentence.split("`")  # every second part is code
    code_apart[::2] = [part.replace("<", "&lt;").replace("*", r"\*") for part in code_apart[::2]]
    return "`".join(code_apart)


def typed(annotation: object) -> str:
    """A type as one reads it, without the modules that it comes from."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:\w+\.)+(?=\w)|~", "", text)


def parameter(p: inspect.Parameter) -> str:
    """A parameter with its type and its default; ``...`` stands for a long default."""
    text = str(p.replace(annotation=p.empty, default=p.empty))
    if p.annotation is not p.empty:
        text += f": {typed(p.annotation)}"
    if p.default is not p.empty:
        default = repr(p.default)
        text += f" = {'...' if len(default) > 24 or '<' in default else default}"
    return text


def signature(thing: object, called: str) -> str:
    """How it is called, a parameter a line where one line is too short."""
    try:
        takes = inspect.signature(thing)  # type: ignore[arg-type]
    except ValueError:  # an exception's
        return f"{called}(message)"
    parts: list[str] = []
    for p in takes.parameters.values():
        if p.kind is p.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        parts.append(parameter(p))
    gives = "" if inspect.isclass(thing) else typed(takes.return_annotation)
    end = f") -> {gives}" if gives not in ("", "None") else ")"
    line = f"{called}({', '.join(parts)}{end}"
    return line if len(line) <= 88 else "\n".join([f"{called}(", *(f"    {part}," for part in parts), end])


def methods(cls: type) -> Iterator[str]:
    """Public methods and properties of a class, with their first sentences."""
    known: dict[str, object] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("crossloss."):
            known |= {name: value for name, value in vars(base).items() if not name.startswith("_")}
    for name, value in known.items():
        inner = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if inspect.isfunction(inner) and inner.__doc__:
            takes = [p for p in inspect.signature(inner).parameters if p not in ("self", "cls")]
            call = "" if isinstance(value, property) else f"({', '.join(takes)})"
            yield wrapped(f"- `{name}{call}`: {summary(inner)}")


def entry(module: ModuleType, name: str) -> str:
    """A class or function: what it is, how it is called, an example, and of a class its methods."""
    thing = getattr(module, name)
    prefix = {crossloss: "cl.", losses: "cl.losses.", objectives: "cl.objectives."}
    called = prefix.get(module, "") + name
    parts = [f"### {called}", wrapped(summary(thing))]
    if name in MADE_BY:
        parts[1] += f"\nMade by `cl.{MADE_BY[name]}`; its fields:"
    parts.append(f"```python\n{signature(thing, called)}\n```")
    if text := code(thing):
        parts.append(f"```python\n{text}```")
    if name in SHOWN_WHOLE:
        parts += ["Methods and properties:", "\n".join(methods(thing))]
    return "\n\n".join(parts)


def section(title: str, text: str, module: ModuleType, names: str) -> str:
    """One section of the page."""
    things = {name: getattr(module, name) for name in names.split()}
    shown = {name: thing for name, thing in things.items() if is_described(thing)}
    # A class stands under the lower-case name that users call it by.
    shown = {n: t for n, t in shown.items() if n.islower() or list(things.values()).count(t) == 1}
    values = [name for name in things if not is_described(things[name])]
    start = (
        [f"Their examples start from these lines too:\n\n```python\n{FURTHER[title]}```"] if title in FURTHER else []
    )
    parts = [f"## {title}", wrapped(text), *start, *(entry(module, name) for name in shown)]
    if values:
        parts.append(wrapped(f"Tables and constants beside them: {', '.join(f'`{name}`' for name in values)}."))
    return "\n\n".join(parts)


def anchor(title: str) -> str:
    """Of a heading, as GitHub and the site make it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def api() -> str:
    """Every public name with its signature and an example, by use."""
    contents = [
        wrapped(f"- [{title}](#{anchor(title)}): {', '.join(f'`{name}`' for name in names.split())}")
        for title, _, _, names in SECTIONS
    ]
    head = [
        "# Python",
        wrapped(
            "Everything in `import crossloss as cl`, in the order of use. Shapes, units, parameters and the errors "
            "raised: `help(cl.score)`, or [the full reference](reference.md) on the site."
        ),
        "\n".join(contents),
        wrapped("The examples below start from these lines, and every one is run by `tests/docs/test_examples.py`:"),
        f"```python\n{PRELUDE}```",
    ]
    return "\n\n".join([*head, *(section(*given) for given in SECTIONS)]) + "\n"


def reference() -> str:
    """Every public name, to be filled in by mkdocstrings."""
    parts = [
        "# Python in full",
        "The docstring of every public name. They are filled in when the site is built (`make docs`); in the "
        "repository\nread [Python](api.md), or the sources.",
    ]
    seen = set()
    for title, _, module, names in SECTIONS:
        parts.append(f"## {title}")
        for name in names.split():
            thing = getattr(module, name)
            at = f"{thing.__module__ if is_described(thing) else module.__name__}.{name}"
            parts += [f"::: {at}"] if at not in seen else []
            seen.add(at)
    return "\n\n".join(parts) + "\n"


PAGES = {"commands.md": commands, "api.md": api, "reference.md": reference, "capabilities.md": capabilities}

if __name__ == "__main__":
    for page, write in PAGES.items():
        (Path(__file__).parent / page).write_text(write(), encoding="utf-8")
