"""Examples in docstrings run as they stand, after the lines that the page of Python names shows once."""

import doctest
import inspect
import io
from contextlib import redirect_stdout

import pytest
import torch
from pages import corpus
from test_generated import NAMES, generate

import crossloss

CHECKER = doctest.OutputChecker()
CLASSES = [name for name in crossloss.__all__ if inspect.isclass(getattr(crossloss, name))]
WITH_EXAMPLES = [(module, name) for module, name in NAMES if generate.example(getattr(module, name))]


@pytest.fixture
def names(tmp_path, monkeypatch):
    """What examples start from, in a folder with a corpus.txt."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus.txt").write_text("\n".join(corpus(200)), encoding="utf-8")
    torch.manual_seed(0)
    found = {}
    exec(compile(generate.PRELUDE, "docs/api.md", "exec"), found)
    return found


def execute(statements, names):
    """Run statements; where one says what it prints, it must."""
    for statement in statements:
        with redirect_stdout(io.StringIO()) as printed:
            exec(compile(statement.source, statement.source, "single"), names)
        if statement.want:
            assert CHECKER.check_output(statement.want, printed.getvalue(), 0), printed.getvalue()


@pytest.mark.parametrize(("module", "name"), WITH_EXAMPLES, ids=lambda x: x if isinstance(x, str) else "")
def test_an_example_runs(module, name, names):
    statements = generate.example(getattr(module, name))
    if any("gensim" in s.source for s in statements) or name == "keyed_vectors":
        pytest.importorskip("gensim")
    if generate.further(name):
        pytest.importorskip("transformers")
        exec(compile(generate.further(name), "docs/api.md", "exec"), names)
    execute(statements, names)


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_has_a_short_example(name):
    lines = [line for s in generate.example(getattr(crossloss, name)) for line in s.source.splitlines()]
    assert 1 <= len(lines) <= 8, f"{name} has an example of {len(lines)} lines"


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda x: x if isinstance(x, str) else "")
def test_a_public_name_has_an_example(module, name):
    thing = getattr(module, name)
    assert not generate.is_described(thing) or generate.example(thing)


@pytest.mark.parametrize("fault", ["1 / 0", "1 + 1\n3", "cl.none"])
def test_an_example_that_fails_is_seen(fault, names):
    source, _, want = fault.partition("\n")
    with pytest.raises((ZeroDivisionError, AssertionError, AttributeError)):
        execute([doctest.Example(source, want)], names)
