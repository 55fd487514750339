"""The command export: files that other programs open, and a corrected corpus that trains the plan's model."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import crossloss as cl
from crossloss.core import UserError
from crossloss.folders.export import export
from crossloss.objectives.weat import Weat
from crossloss.plans.files import read_plan
from crossloss.text.write import encode_corpus
from dense import random_sentences
from train_on import train_on

WORDS = [f"wa{chr(97 + i)}" for i in range(16)]
TEST = Weat("test", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 3, "steps": 4, "lr": 0.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of a csv, with scores and a plan."""
    folder = tmp_path_factory.mktemp("export")
    with (folder / "c.csv").open("w", newline="") as file:
        rows = [(f"s{i}", "d", text, "more") for i, text in enumerate(random_sentences(2))]
        csv.writer(file).writerows([("id", "document", "sentence", "other"), *rows])
    with train_on(cl.read(folder / "c.csv"), out=folder / "run", **SETTINGS) as run:
        run.remember([TEST])
        scores = cl.score(run, [TEST])
        scores.save()
        cl.plan(scores, {"test": float(TEST(run.view)) - 0.05}).save(run)
    return folder


def test_vectors_and_contexts_come_back_through_word2vec_files(folder, tmp_path):
    pytest.importorskip("gensim")
    with cl.load(folder / "run") as run:
        for form in ("word2vec", "word2vec-binary"):
            vectors, contexts = export(run, form, tmp_path / form)
            same = {"window": 3, "negatives": 5.0, "subsample": run.model.settings.subsample}
            taken = cl.imported(cl.from_word2vec(vectors, run.model.corpus, contexts=contexts, **same))
            np.testing.assert_array_equal(taken.theta.numpy(), run.trajectory.theta.double().numpy())
            loss = run.field.data_loss(run.trajectory.theta, run.trajectory.weights)
            assert taken.loss == pytest.approx(loss, rel=1e-5)


def test_the_corrected_corpus_trains_the_plans_model(folder, tmp_path):
    with cl.load(folder / "run") as run:
        weights, _ = read_plan(folder / "run" / "plan-test.parquet")
        assert (weights == 0).any()
        (path,) = export(run, "corpus", tmp_path, plan=weights)
        assert path == tmp_path / "c.csv"
        mended = cl.read(path)
        kept = [i for i, w in enumerate(weights) if w]
        assert mended.ids == [run.model.corpus.ids[i] for i in kept]
        assert mended.texts == [run.model.corpus.texts[i] for i in kept]
        assert path.read_text().splitlines()[0] == "id,document,sentence"
        with pytest.raises(UserError, match="give --format corpus"):
            export(run, "word2vec", tmp_path, plan=weights)
        with pytest.raises(UserError, match="the run's own"):
            export(run, "corpus", tmp_path, plan=weights[1:])
        with pytest.raises(UserError, match="no format 'onnx'; there are: word2vec"):
            export(run, "onnx", tmp_path)


def test_projector_rows_carry_their_sets(folder, tmp_path):
    with cl.load(folder / "run") as run:
        export(run, "projector", tmp_path, objectives=[TEST])
        lines = [line.split("\t") for line in (tmp_path / "metadata.tsv").read_text().splitlines()]
        assert lines[0] == ["word", "count", "set"]
        sets = {word: where for word, _, where in lines[1:]}
        assert list(sets) == run.model.vocabulary.words
        assert (sets["waa"], sets["wap"]) == ("test X", "test B")
        vectors = np.loadtxt(tmp_path / "vectors.tsv", delimiter="\t")
        np.testing.assert_allclose(vectors, run.view.vectors.numpy(), rtol=1e-5)


def test_scores_and_plans_open_in_pandas_polars_and_datasets(folder):
    """As docs/formats.md has it; each where it is installed."""
    path, plan = folder / "run" / "scores.parquet", folder / "run" / "plan-test.parquet"
    expected = pq.read_table(path).to_pylist()
    opened = 0
    try:
        import pandas as pd

        assert pd.read_parquet(path).to_dict("records") == expected
        assert pd.read_parquet(plan)["weight"].sum() < len(expected)
        opened += 1
    except ImportError:
        pass
    try:
        import polars as pl

        assert pl.read_parquet(path).to_dicts() == expected
        assert pl.read_parquet(plan)["weight"].sum() < len(expected)
        opened += 1
    except ImportError:
        pass
    try:
        import datasets

        loaded = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(folder / "cache"))
        assert list(loaded) == expected
        opened += 1
    except ImportError:
        pass
    if not opened:
        pytest.skip("none of pandas, polars and datasets is installed")


def test_an_edited_plan_written_by_another_program_is_taken(folder, tmp_path):
    table = pq.read_table(folder / "run" / "plan-test.parquet").to_pydict()
    weights = np.array(table["weight"]) * 0.5
    pq.write_table(pa.table({"sample": table["sample"], "weight": weights}), tmp_path / "mine.parquet")
    read, notes = read_plan(tmp_path / "mine.parquet")
    np.testing.assert_array_equal(read, weights)
    assert notes == {}


def test_a_folder_of_several_layouts_comes_back_with_its_columns(tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a.tsv").write_text("text\nred blue\nblue red\n")
    (tmp_path / "c" / "b.txt").write_text("green red\n")
    corpus = cl.read(tmp_path / "c")
    (file,) = encode_corpus(corpus, np.ones(3)).items()
    (tmp_path / file[0]).write_bytes(file[1])
    again = cl.read(tmp_path / file[0])
    assert (list(again.texts), list(again.documents)) == (list(corpus.texts), list(corpus.documents))


@pytest.mark.parametrize(("name", "text"), [("c.txt", "a b\nc d"), ("c.tsv", "a b\tc d"), ("c.tsv", "a b\rc d")])
def test_what_a_layout_cannot_hold_is_refused(tmp_path, name, text):
    (tmp_path / name).write_text("text\nred blue\nblue red\n")
    (tmp_path / "more.jsonl").write_text(json.dumps({"text": text}) + "\n")
    corpus = cl.read(tmp_path / name, candidates=tmp_path / "more.jsonl")
    encode_corpus(corpus, corpus.weights)
    with pytest.raises(UserError, match=r"a line end or a tab in it, which a t.* file cannot hold: train"):
        encode_corpus(corpus, np.ones(len(corpus)))


def test_words_with_white_space_are_in_no_file_of_vectors(tmp_path):
    corpus = cl.from_sentences(["new york,red fox", "red fox,new york"] * 3, token_pattern="[^,]+")
    with train_on(corpus, out=tmp_path / "run", min_count=1, dimension=2, steps=2) as run:
        for form in ("word2vec", "projector"):
            with pytest.raises(UserError, match="The word 'new york' has white space"):
                export(run, form, tmp_path / "out")
