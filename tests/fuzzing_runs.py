"""Commands and run folders under inputs made to break them: the other half of fuzzing.py."""

import io
import json
import os
import shutil
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random

import crossloss as cl
from crossloss import cli
from crossloss.objectives.weat import Weat
from dense import random_sentences
from fuzzing import (
    FORBIDDEN,
    corpus_file,
    corpus_folder,
    damaged,
    objective,
    other_layout,
    sentences_at_hand,
    text,
    versions,
    word2vec,
    word_sets,
)
from train_on import train_on

WORDS = [f"wa{chr(97 + i)}" for i in range(16)]
TEST = Weat("mine", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 3, "steps": 3, "lr": 0.5}


class Hung(BaseException):
    """An input took too long."""


def command(arguments: list[str], seconds: int = 300) -> tuple[int, str, str]:
    """Exit code, output and errors of a command in this process, written to streams that take UTF-8 only."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors=kind) for kind in ("strict", "backslashreplace"))

    def late(*unused):
        raise Hung(f"took more than {seconds} s")

    before = (sys.argv, signal.signal, signal.getsignal(signal.SIGALRM))
    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    code = 0
    try:
        sys.argv, signal.signal = ["crossloss", *arguments], lambda *unused: None
        with redirect_stdout(out), redirect_stderr(err):
            cli.main()
    except SystemExit as stopped:
        code = 0 if stopped.code is None else int(stopped.code)
    finally:
        sys.argv, signal.signal = before[:2]
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before[2])
    streams = []
    for stream in (out, err):
        stream.flush()
        streams.append(stream.buffer.getvalue().decode())
    return code, *streams


def judged(arguments: list[str]) -> str:
    code, out, err = command(arguments)
    assert code in (0, 2), f"exit code {code}"
    assert "Traceback" not in err
    for told in (out, err):
        assert not FORBIDDEN.search(told.replace("\r", "")), "control characters reach the terminal"
    if code == 2:
        error = err[err.rfind("Error: ") :].strip()
        assert error.startswith("Error: "), err
        assert len(error.splitlines()) == 1, "more than one line"
        assert len(error) <= 2000, "too long"
        if os.environ.get("SHOW"):
            print(error[:200])
    return "read" if code == 0 else "refused"


VALUES = [
    "-1", "0", "1", "2", "3", "0.5", "nan", "inf", "-inf", "1e400", "x", "", " ", "--", "None", "[]", "é", "\x1b[31m",
    "\u202e", "\udcff", "a" * 5000, "../..", ".", "/dev/null", "mine", "weat6", "4GB", "1KB", "9e9TB",
]  # fmt: skip
SMALL = ["-1", "0", "1", "2", "3", "0.5", "nan", "x", "", "-inf"]  # of options whose large values only take long
OPTIONS = {
    "train": ["--objective", "--weights", "--memory", "--out", "--overwrite", "--text", "--split", "--candidates"],
    "score": ["--objective", "--estimator", "--damping", "--count", "--model", "--contexts", "--out"],
    "show": [
        "--objective",
        "--word",
        "--document",
        "--documents",
        "--concepts",
        "--words",
        "--html",
        "--info",
        "--count",
    ],
    "plan": ["--objective", "--target", "--method", "--min-count", "--robustness"],
    "edits": ["--objective", "--check", "--apply", "--count"],
    "export": ["--format", "--out", "--plan"],
    "validate": ["--subsets", "--share", "--starts", "--removals"],
    "run": [
        "--objective",
        "--out",
        "--target",
        "--memory",
        "--text",
        "--count",
        "--dry-run",
        "--document",
        "--id",
        "--token-pattern",
        "--candidates",
        "--split",
    ],
}
NUMBERS = ["min-count", "max-words", "subsample", "window", "negatives", "exponent", "dimension", "steps", "lr",
           "momentum", "seed", "dtype", "device"]  # fmt: skip
TAKES_LONG = {"--steps", "--subsets", "--starts", "--removals", "--dimension", "--count"}
FLAGS = {"--split", "--overwrite", "--documents", "--concepts", "--html", "--info", "--robustness", "--check",
         "--apply", "--dry-run"}  # fmt: skip


def options() -> list[str]:
    """The settings as a command has them."""
    return [part for name, value in SETTINGS.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def made(folder: Path) -> Path:
    """A small run, a corpus, a test and a plan, made once in a folder."""
    home = folder / "made"
    if not home.exists():
        home.mkdir(parents=True)
        (home / "c.txt").write_text("\n".join(random_sentences(3, sentences=60)) + "\n")
        (home / "t.yaml").write_text(json.dumps({"mine": {side: getattr(TEST, side) for side in "XYAB"}}))
        with train_on(cl.read(home / "c.txt"), keep_words=TEST.words, out=home / "run", **SETTINGS) as run:
            run.remember([TEST])
            scores = cl.score(run, [TEST])
            scores.save()
            cl.plan(scores, {"mine": 0.0}).save(run)
    return home


def arguments(rng: Random, folder: Path) -> str:
    home = made(folder)
    run = folder / "run"
    if not run.exists():
        shutil.copytree(home / "run", run)
    new = str(folder / "new")
    good = {
        "--objective": f"{home}/t.yaml:mine", "--out": new, "--format": rng.choice(["word2vec", "projector", "corpus"]),
        "--method": "remove", "--plan": str(home / "run" / "plan-mine.parquet"), "--estimator": "gradient-dot",
        "--weights": str(home / "run" / "plan-mine.parquet"), "--candidates": f"{home}/c.txt", "--memory": "4GB",
    }  # fmt: skip
    verb = rng.choice([*OPTIONS, "train", "run", text(rng, 1)])
    argv = [verb]
    on_corpus = verb in ("train", "run")
    place = [f"{home}/c.txt", f"{home}/t.yaml", str(home)] if on_corpus else [str(run), str(run), f"{home}/c.txt"]
    if rng.random() < 0.95:
        argv.append(rng.choice([*place[:1] * 5, *place, text(rng), rng.choice(VALUES)]))
    if verb in ("show", "edits") and rng.random() < 0.5:
        argv.append(rng.choice(["waa wab wai", text(rng), rng.choice(VALUES)]))
    named = [o for o in OPTIONS.get(verb, []) if rng.random() < 0.4]
    if on_corpus:
        named += [o for o in ("--objective", "--out") if o in OPTIONS[verb] and rng.random() < 0.9 and o not in named]
        argv += options()
        named += [f"--{rng.choice(NUMBERS)}" for _ in range(rng.choice([0, 0, 1, 2]))]
    for option in named:
        argv.append(option)
        if option not in FLAGS:
            values = SMALL if option in TAKES_LONG else VALUES
            argv.append(good[option] if option in good and rng.random() < 0.8 else rng.choice(values))
    if rng.random() < 0.05:
        rng.shuffle(argv)
    argv = [a for a in argv if "\x00" not in a]  # no program can be given one
    if verb == "validate":
        few = {"--subsets": "3", "--starts": "1", "--removals": "1"}
        argv += [part for option, value in few.items() if option not in argv for part in (option, value)]
    before = os.getcwd()
    (folder / "in" / "deep" / "down").mkdir(parents=True)
    os.chdir(folder / "in" / "deep" / "down")
    try:
        return judged(argv)
    except BaseException as error:
        error.add_note(f"argv: {argv!r}")
        raise
    finally:
        os.chdir(before)
        for path in (folder / "new", folder / "in"):
            shutil.rmtree(path, ignore_errors=True)


HOSTILE = [
    "waa <script>document.title='owned'</script> wab wai",
    "waa \x1b]0;owned\x07\x1b[31m\x1b[2J \x9b31m wab waj",
    "waa \u202egnirts\u202c \u2066wab\u2069 \u200f waj",
    "waa \x00 wab \x00\x00 wak",
    "waa \ud800 wab \udfff wai",
    "{{7*7}} {% raw %} ${x} [bold]waa[/bold] wab :smile: wai",
    "</title></style></bdi><img src=x onerror=alert(1)> waa wab wai",
]


def hostile_run(folder):
    """A run whose corpus holds every hostile text, as sentences and as documents, and its commands' output."""
    rows = [{"text": text, "document": text, "id": f"{i}{text}"} for i, text in enumerate(HOSTILE)]
    home = made(folder)
    plain = [{"text": line} for line in (home / "c.txt").read_text().splitlines()]
    path = folder / "\u202ehostile \x1b[31m<script>.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows + plain))
    out = folder / "<img src=x onerror=alert(1)>\x1b[31m"
    test = f"{home}/t.yaml"
    told = []
    run = ["run", str(path), "--objective", test, "--out", str(out), "--count", "70", *options()]
    for given in (["run", str(path), "--objective", test, "--dry-run", *options()], run, ["show", str(out), "--info"],
                  ["show", str(out), HOSTILE[1]], ["show", str(out), "waa wab wai \udcff"],
                  ["train", str(path), "--out", str(out), "--text", "\x1b[31m", *options()],
                  ["plan", str(out), "--objective", "\x1b[31m\u202e"]):  # fmt: skip
        told.append(command(given))
    return out, told


def run_folder(rng: Random, folder: Path) -> str:
    """One file of a finished run cut, edited, emptied, exchanged, deleted, doubled; then a command."""
    home, run, other = made(folder), folder / "run", folder / "other"
    if not other.exists():
        with train_on(cl.from_sentences(random_sentences(4, sentences=60)), out=other, **SETTINGS) as made_:
            made_.remember([TEST])
            cl.score(made_, [TEST]).save()
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(home / "run", run)
    if rng.random() < 0.5:
        next(run.glob("influence-unrolled-*.safetensors")).unlink()  # so that states are read
    files = sorted(p for p in run.rglob("*") if p.is_file() and p.name != ".lock")
    victim = rng.choice(files)
    kind = rng.randrange(7)
    if kind == 0:
        victim.write_bytes(damaged(rng, victim.read_bytes()))
    elif kind == 1:
        victim.write_bytes(victim.read_bytes()[: rng.randrange(victim.stat().st_size)])
    elif kind == 2:
        victim.write_bytes(rng.choice([b"", b"{}", b"[]", b"null", rng.randbytes(50)]))
    elif kind == 3:
        shutil.copy(rng.choice([p for p in files if p != victim]), victim)
    elif kind == 4:
        victim.unlink()
    elif kind == 5 and (other / victim.relative_to(run)).exists():
        shutil.copy(other / victim.relative_to(run), victim)
    else:
        shutil.copy(victim, victim.with_name(f"0{victim.name}"))
    told = f"{kind} {victim.relative_to(run)}"
    scored = ["score", str(run), "--show", "1"]
    again = ["train", f"{home}/c.txt", "--out", str(run), "--objective", f"{home}/t.yaml", *options()]
    exported = ["export", str(run), "--format", "projector", "--out", str(folder / "new")]
    command_ = rng.choice([scored, scored, scored, ["info", str(run)], ["plan", str(run)], exported, again])
    try:
        said = judged(command_)
        if said == "read" and command_ is scored:
            same = (run / "scores.parquet").read_bytes() == (home / "run" / "scores.parquet").read_bytes()
            assert same or victim.name == "scores.parquet", "other scores"
        if said == "read" and command_[0] == "train":
            model = (run / "model.safetensors").read_bytes() == (home / "run" / "model.safetensors").read_bytes()
            assert model or victim.name == "model.safetensors", "another model"
    except BaseException as error:
        error.add_note(f"{told}; {command_[0]}")
        raise
    return said


TARGETS = {
    "corpus file": (corpus_file, 46),
    "sentences": (sentences_at_hand, 10),
    "other layout": (other_layout, 10),
    "corpus folder": (corpus_folder, 5),
    "word2vec": (word2vec, 8),
    "word sets": (word_sets, 13),
    "objective": (objective, 10),
    "versions": (versions, 6),
    "arguments": (arguments, 4),
    "run folder": (run_folder, 4),
}


def chosen(seed: int, number: int):
    """The generator of an input, and the name of its target."""
    rng = Random(f"{seed}:{number}")
    names, shares = list(TARGETS), [share for _, share in TARGETS.values()]
    return rng, rng.choices(names, shares)[0]
