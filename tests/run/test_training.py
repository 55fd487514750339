"""Stored states, spacing, settings, estimates and starts."""

import itertools

import numpy as np
import pytest
import torch

import crossloss as cl
from crossloss.core import UserError
from crossloss.models.skipgram.embeddings import initial_vectors
from crossloss.models.skipgram.estimate import estimate
from crossloss.models.skipgram.settings import make_settings, split_settings
from crossloss.text.vocabulary import build_vocabulary
from crossloss.utils.files import LEDGER
from crossloss.utils.memory import Footprint, parse_bytes
from dense import random_sentences
from train_on import train_on

SETTINGS = {"min_count": 1, "window": 3, "dimension": 4, "steps": 8, "lr": 0.5}


def test_spacing_is_the_smallest_that_fits():
    wanted = Footprint(fixed=0, direction=0, state=10, replayed=5, theta=5)
    assert wanted.spacing(100, 10**6) == 1
    for memory in (400, 500, 700):
        s = wanted.spacing(100, memory)

        def need(s):
            return (-(-100 // s) + 1) * 10 + s * 5

        assert need(s) <= memory < need(s - 1)
    with pytest.raises(UserError, match="raise memory="):
        wanted.spacing(100, 100)


def test_sizes_of_memory():
    assert parse_bytes("6GB") == 6_000_000_000
    assert parse_bytes("500 MB") == 500_000_000
    assert parse_bytes("1.5GiB") == int(1.5 * 2**30)
    assert parse_bytes("64") == 64
    for text in ("", "GB", "-1GB", "6 apples"):
        with pytest.raises(UserError, match="no size of memory"):
            parse_bytes(text)


@pytest.mark.parametrize(
    "bad", [{"lr": 0}, {"momentum": 1.0}, {"steps": 0}, {"seed": -1}, {"negatives": float("nan")}, {"windows": 3}]
)
def test_settings_out_of_range_are_one_sentence(bad):
    def make():
        field, _ = split_settings(**bad)
        make_settings(**field)

    with pytest.raises(UserError, match=f"Setting {next(iter(bad))}"):
        make()


def test_a_word_starts_in_the_same_place_whatever_else_is_there():
    few, many = initial_vectors(["red", "blue"], 6, 3), initial_vectors(["green", "blue", "red"], 6, 3)
    assert np.array_equal(few[:, 0], many[:, 2])
    assert np.array_equal(few[:, 1], many[:, 1])
    assert not np.array_equal(few, initial_vectors(["red", "blue"], 6, 4))
    wide = initial_vectors([f"w{i}" for i in range(500)], 50, 0)
    assert wide.std() == pytest.approx(0.1, rel=0.02)
    assert abs(wide.mean()) < 0.002


def test_training_lowers_the_loss_and_weights_matter():
    corpus = cl.from_sentences(random_sentences(0))
    run = train_on(corpus, **SETTINGS)
    first = run.field.loss(run.trajectory.initial, run.trajectory.weights)
    assert run.loss < first
    weights = np.ones(len(corpus))
    weights[:5] = 0
    less = train_on(corpus, weights=weights, like=run)
    assert not torch.equal(less.trajectory.theta, run.trajectory.theta)
    assert torch.equal(less.trajectory.theta, run.retrain(weights).theta)
    assert less.field.noise is run.field.noise, "constants of the run are those of the corpus's own weights"


def test_bad_weights_and_bad_likeness():
    corpus = cl.from_sentences(random_sentences(0))
    run = train_on(corpus, **SETTINGS)
    n = len(corpus)
    for weights, message in (
        (np.ones(n + 1), "the corpus has"),
        (np.full(n, np.nan), "finite"),
        (-np.ones(n), "must not be negative"),
        (np.zeros(n), "All sample weights are zero"),
    ):
        with pytest.raises(UserError, match=message):
            train_on(corpus, weights=weights, like=run)
    assert run.model.changed(dimension=2).counts is run.model.counts
    assert run.model.changed(window=2).counts is not run.model.counts


def test_a_run_in_a_folder_comes_back_as_it_was(tmp_path):
    corpus = cl.from_sentences(random_sentences(0), candidates=["waa wab wac"])
    weights = np.where(np.arange(len(corpus)) == 2, 0.0, corpus.weights)
    with train_on(corpus, weights=weights, out=tmp_path / "run", **SETTINGS) as run:
        theta = run.trajectory.theta.clone()
    with cl.load(tmp_path / "run") as again:
        assert torch.equal(again.trajectory.theta, theta)
        assert np.array_equal(again.weights, weights)
        assert again.model.corpus.digest == corpus.digest
        assert again.origin == run.origin
        assert again.model.settings.stored() == run.model.settings.stored()
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="holds no run"):
        cl.load(tmp_path / "other")


def test_damaged_and_foreign_folders_are_refused(tmp_path):
    corpus = cl.from_sentences(random_sentences(0))
    train_on(corpus, out=tmp_path / "run", **SETTINGS).close()
    (tmp_path / "run" / "states" / "000008.safetensors").write_bytes(b"cut")
    with cl.load(tmp_path / "run") as run, pytest.raises(UserError, match="was changed"):
        _ = run.view
    (tmp_path / "run" / LEDGER).unlink()
    with cl.load(tmp_path / "run") as run, pytest.raises(UserError, match="damaged"):
        _ = run.view
    (tmp_path / "run" / LEDGER).unlink()
    (tmp_path / "run" / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(UserError, match="another version"):
        cl.load(tmp_path / "run")


def test_the_estimate_grows_with_what_it_pays_for():
    corpus = cl.from_sentences(random_sentences(0))
    vocabulary = build_vocabulary(corpus, min_count=1)
    base = estimate(make_settings(), corpus, vocabulary, steps=50, objectives=1, memory=10**10)
    twice = estimate(make_settings(), corpus, vocabulary, steps=200, objectives=1, memory=10**10)
    four = estimate(make_settings(), corpus, vocabulary, steps=50, objectives=4, memory=10**10)
    assert twice.train_seconds > 1.5 * base.train_seconds
    assert four.score_seconds > 1.5 * base.score_seconds
    assert four.memory_bytes > base.memory_bytes


def test_drawn_negatives_cost_less_where_words_are_many_and_pairs_few():
    words = ["".join(letters) for letters in itertools.product("abcdefghijklmnop", repeat=3)]
    corpus = cl.from_sentences([f"{a} {b}" for a, b in itertools.pairwise(words)])
    vocabulary = build_vocabulary(corpus, min_count=1)
    names = ("train_seconds", "score_seconds", "memory_bytes")
    exact, drawn = (
        [
            getattr(
                estimate(
                    make_settings(negative_columns=m, negative_control="none"),
                    corpus,
                    vocabulary,
                    steps=50,
                    objectives=1,
                    memory=10**10,
                ),
                n,
            )
            for n in names
        ]
        for m in (0, 64)
    )
    assert drawn[0] < exact[0] / 5
    assert drawn[1] < exact[1] / 5
    assert drawn[2] > exact[2]


def test_a_control_variate_of_degree_two_costs_more_time_and_memory_than_a_linear_one_or_none():
    corpus = cl.from_sentences(random_sentences(0))
    vocabulary = build_vocabulary(corpus, min_count=1)
    none, linear, quadratic = (
        estimate(
            make_settings(negative_columns=8, negative_control=c), corpus, vocabulary, steps=50, objectives=1,
            memory=10**10,
        )
        for c in ("none", "linear", "quadratic")
    )  # fmt: skip
    assert quadratic.train_seconds > 2 * linear.train_seconds > 2 * none.train_seconds
    assert quadratic.score_seconds > 2 * linear.score_seconds > 2 * none.score_seconds
    assert quadratic.memory_bytes > linear.memory_bytes == none.memory_bytes


def test_a_device_that_is_not_there_is_one_sentence_and_one_that_is_gives_the_same(tmp_path):
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="not available"):
            make_settings(device="cuda")
        pytest.skip("no GPU here")
    corpus = cl.from_sentences(random_sentences(0))
    cpu = train_on(corpus, **SETTINGS, dtype="float64")
    gpu = train_on(corpus, **SETTINGS, dtype="float64", device="cuda")
    torch.testing.assert_close(gpu.trajectory.theta.cpu(), cpu.trajectory.theta, rtol=1e-10, atol=1e-12)


def test_a_run_that_ends_above_its_start_is_refused_though_finite():
    corpus = cl.from_sentences(random_sentences(0))
    with pytest.raises(UserError, match="Training diverged"):
        train_on(corpus, **(SETTINGS | {"lr": 30.0, "momentum": 0.9}))


def test_refusals_name_arguments_of_python_and_no_options(tmp_path):
    corpus = cl.from_sentences(random_sentences(2))
    train_on(corpus, out=tmp_path / "run", **SETTINGS).close()
    (tmp_path / "file").write_text("a file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    small = SETTINGS | {"steps": 3}
    refused = {
        "smaller lr=": lambda: train_on(corpus, **SETTINGS | {"lr": 1e30}),
        "raise memory=": lambda: train_on(corpus, memory="1kB", **SETTINGS),
        "lower min_count=": lambda: train_on(corpus, **SETTINGS | {"min_count": 10**6}),
        "or overwrite=True": lambda: train_on(corpus, out=tmp_path / "run", **small),
        "is a file, not a run folder: choose another folder": lambda: train_on(corpus, out=tmp_path / "file", **small),
        "no manifest.json.: choose another folder": lambda: train_on(corpus, out=tmp_path / "full", **small),
        r"make a run there with cl\.train\(": lambda: cl.load(tmp_path / "none"),
        r"make one with cl\.train\(": lambda: cl.load(make_empty(tmp_path / "empty")),
    }
    for message, act in refused.items():
        with pytest.raises(UserError, match=message) as caught:
            act()
        assert "--" not in str(caught.value)


def make_empty(folder):
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("times", "why"), [(5.0, "the loss ends at inf, above its start"), (40.0, "at step 28")])
def test_much_more_text_does_not_diverge_and_what_diverges_is_refused(times, why, monkeypatch):
    # A third of the corpus many times, with the default optimiser, whose steps suit the corpus as it was.
    run = cl.train(cl.SkipGram(cl.from_sentences(random_sentences(5, sentences=300)), min_count=1, dimension=8))
    weights = run.weights.copy()
    weights[:100] = times
    w = torch.from_numpy(weights)
    assert run.retrain(weights).loss < run.field.loss(run.trajectory.initial, w)
    monkeypatch.setattr("crossloss.models.skipgram.field.GROWTH", float("inf"))
    with pytest.raises(UserError, match=f"Training diverged:? {why}"):
        run.retrain(weights)
