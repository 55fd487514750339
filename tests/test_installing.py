"""What installing brings: no torchvision, which replaces torch; nothing of Unix alone at import."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest

from crossloss.core import UserError
from crossloss.utils.extras import needed

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def of_extra(extra):
    """Requirements of an extra, those of its own extras in their place."""
    for requirement in PROJECT["optional-dependencies"][extra]:
        own = re.match(r"crossloss\[(.*)\]", requirement)
        if own:
            for other in own[1].split(","):
                yield from of_extra(other)
        else:
            yield requirement


def reached(requirements):
    """Names of all packages that these ask for, as their installed metadata says; torch's own aside."""
    seen, ahead = {}, [(name_of(r), "crossloss") for r in requirements]
    while ahead:
        name, asked_by = ahead.pop()
        if name in seen:
            continue
        seen[name] = asked_by
        try:
            more = requires(name) or []
        except PackageNotFoundError:
            continue  # not installed here: torchvision, for one
        if name != "torch":
            ahead += [(name_of(r), name) for r in more if "extra ==" not in r]
    return seen


def test_all_asks_for_nothing_that_fixes_the_version_of_torch():
    found = reached([*PROJECT["dependencies"], *of_extra("all")])
    assert not {"torchvision", "torchaudio", "triton"} & set(found)
    assert not [name for name in found if name.startswith(("nvidia", "cuda"))]
    assert {"gensim", "matplotlib", "jinja2", "torch", "filelock"} <= set(found)


def test_the_search_would_find_torchvision():
    pytest.importorskip("curvlinops")
    found = reached(of_extra("ekfac"))
    assert found["torchvision"] == "backpack-for-pytorch"


def test_every_dependency_is_pinned():
    pinned = {name_of(line) for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line}
    assert {name_of(r) for r in [*PROJECT["dependencies"], *of_extra("all"), *of_extra("ekfac")]} <= pinned


def test_the_extra_that_would_replace_torch_is_named_with_torch():
    here = re.escape(version("torch").partition("+")[0])
    with pytest.raises(UserError, match=rf"crossloss\[ekfac\]\" torch=={here}`"), needed("ekfac", "It"):
        raise ImportError(name="curvlinops")
    with pytest.raises(UserError, match=r"crossloss\[gensim\]\"`"), needed("gensim", "It"):
        raise ImportError(name="gensim")


UNIX = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "syslog")
WITHOUT = f"import sys; sys.modules |= dict.fromkeys({UNIX!r})"
RUN = """
import warnings; warnings.simplefilter("ignore")
import crossloss as cl, crossloss.cli
from crossloss.utils.memory import available_memory, peak_memory
assert available_memory() > 0 and peak_memory() is None
texts = ["he went to the office", "she went home to the family", "the man and the woman went home"] * 4
near = cl.objectives.similarity("he", "she")
with cl.train(cl.SkipGram(cl.from_sentences(texts), min_count=1, dimension=3), steps=3, out=OUT) as run:
    before = cl.score(run, [near]).of()
with cl.load(OUT) as again:
    assert (cl.score(again, [near]).of() == before).all()
"""


def test_a_run_needs_no_module_of_unix_alone(tmp_path):
    """As on Windows, as far as that can be had here."""
    code = f"{WITHOUT}\nOUT = {str(tmp_path / 'run')!r}\n{RUN}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
