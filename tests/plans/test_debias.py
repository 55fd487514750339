"""Every way through the one interface: it reaches, is judged by what it was not fitted to, and can be stopped."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

import crossloss as cl
from crossloss import pipeline
from crossloss.core import UserError
from crossloss.models.skipgram.hard_debias import After, HardDebias
from crossloss.objectives.weat import Weat
from crossloss.plans import debias as debiasing
from crossloss.plans.debias import WAYS, choose_kept, correct, held_out_words
from crossloss.plans.outcome import Outcome
from crossloss.plans.sweep import Cell
from crossloss.plans.table import read_plan
from dense import random_sentences
from train_on import train_on

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30)]
ONE = Weat("one", tuple(WORDS[:4]), tuple(WORDS[4:8]), tuple(WORDS[8:12]), tuple(WORDS[12:16]))
TWO = Weat("two", tuple(WORDS[1:5]), tuple(WORDS[16:20]), tuple(WORDS[20:24]), tuple(WORDS[24:28]))
HARD = HardDebias("gender", (("waa", "wae"), ("wab", "waf")), (("wac", "wag"),), ("waa", "wae", "wab"))
SETTINGS = {"min_count": 1, "window": 3, "dimension": 5, "steps": 20, "lr": 0.3, "momentum": 0.9, "dtype": "float64"}
SMALL = {"sizes": (2, 8), "passes": (2, 20)}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(debiasing, "hard_debias", lambda group: HARD)
    monkeypatch.setattr("crossloss.plans.outcome.hard_debias", lambda group: HARD)
    planted = ["waa wai wab waj wac wak"] * 20 + ["wae wam waf wan wag wao"] * 20
    with train_on(
        cl.from_sentences([*random_sentences(7, sentences=200), *planted]), out=tmp_path / "run", **SETTINGS
    ) as run:
        yield run


@pytest.mark.parametrize("how", WAYS)
def test_every_way_moves_the_objective_to_its_target(run, how):
    before = float(ONE(run.view))
    made = correct(run, [ONE], {"one": 0.0}, how, tolerance=1e-2, **SMALL if "+" in how or how not in WAYS[:2] else {})
    after = float(ONE(run.field.view(made.correction(run, 0))))
    if how in ("reweight", "hard+reweight"):
        assert made.fit.reached
        assert abs(after) <= 1e-2
    elif how != "hard":
        assert abs(after) < abs(before)
    if "hard" in how and how.split("+")[-1] in ("reweight", "remove"):
        assert after == pytest.approx(float(After(ONE, (HARD,))(run.retrain(made.fit.weights).view)))
    assert (made.table is None) == (how == "hard")
    if made.chosen:
        assert made.chosen in made.cells
        assert len(made.cells) == 4


def test_words_held_out_are_not_fitted(run):
    found = held_out_words(run, [ONE], {"one": 0.0}, "reweight", tolerance=1e-3)["one"]
    fitted, judged = ONE.halves(run.model.vocabulary.index)
    made = correct(run, [fitted], {fitted.name: 0.0}, "reweight", tolerance=1e-3)
    view = run.retrain(made.fit.weights).view
    assert abs(float(fitted(view))) <= 1e-3
    assert found[:2] == (float(judged(run.view)), float(judged(view)))
    assert abs(found[1]) > 1e-3


@pytest.mark.parametrize("how", ["reweight", "remove", "both", "hard"])
def test_the_stage_writes_plan_outcome_and_figures(run, how, monkeypatch):
    more = SMALL if how == "both" else {}
    outcomes = pipeline.debias(run, [ONE, TWO], how, starts=2, others=2, tolerance=0.05, **more)
    folder = run.store
    assert len(outcomes) == (2 if how == "both" else 1)
    for outcome in outcomes:
        assert Outcome.from_json(json.loads(folder.file(f"debias-{outcome.name}.json").read_text())) == outcome
        assert outcome.cost.seeds == [32, 33]
        plan = folder.file(f"plan-{outcome.name}.parquet")
        assert plan.exists() == (how != "hard")
        if plan.exists():
            weights, notes = read_plan(plan)
            assert notes["field"]["corpus"] == run.model.corpus.digest
            assert outcome.moved == pytest.approx(np.abs(weights - 1).sum() / len(weights))
        assert bool(outcome.held_out_words) == (how in ("reweight", "remove"))
        assert folder.file(f"sweep-{outcome.name}.csv").exists() == (how == "both")
        assert set(outcome.purity) == ({"gender"} if how == "hard" else set())
        for name, (before, after) in outcome.effects.items():
            assert folder.metrics[f"debias.{how}.{name}.effect"] == after
            assert folder.metrics[f"debias.original.{name}.effect"] == before
            others = outcome.cost.row(name).after
            assert folder.metrics[f"debias.{how}.{name}.other_seeds.mean"] == pytest.approx(np.mean(others))
    losses = [np.mean(outcome.cost.row("loss").after) for outcome in outcomes]
    assert folder.metrics[f"debias.{how}.loss"] == pytest.approx(np.mean(losses))
    assert folder.metrics[f"debias.{how}.seconds"] == pytest.approx(np.mean([o.seconds for o in outcomes]))
    retrain = type(run).retrain
    trained = []
    monkeypatch.setattr(type(run), "retrain", lambda self, *a, **b: trained.append(1) or retrain(self, *a, **b))
    again = pipeline.debias(run, [ONE, TWO], how, starts=2, others=2, tolerance=0.05, **more)
    assert [o.effects for o in again] == [o.effects for o in outcomes]
    assert [o.cost for o in again] == [o.cost for o in outcomes]
    assert len(trained) <= 4  # the corrected models from the own start; no fit, sweep or cost is done again
    settings = {"starts": 1, "others": 2, "words": False, "tolerance": 0.5}
    if how == "reweight":
        assert pipeline.debias(run, [ONE], how, **settings)[0].how == "reweight-one-start"


def test_a_target_turned_round_over_biases(run):
    before = float(TWO(run.view))
    assert abs(before) < 1
    for how in ("both", "reweight"):
        more = SMALL if how == "both" else {"words": False, "starts": 1}
        (outcome,) = pipeline.debias(run, [TWO], how, target=1.5 * np.sign(before), others=2, **more)
        assert outcome.effects["two"][1] * np.sign(before) > abs(before)


def test_robustness_and_transfer_write_their_figures(run, tmp_path, monkeypatch):
    pytest.importorskip("gensim")
    scores = pipeline.score_run(run, [ONE])
    found = pipeline.robustness(run, scores, [ONE])
    assert [result.verdict for result, _ in found] == ["zero", "insignificant"]
    if found[0][0].found:
        assert run.store.metrics["robustness.one.smallest_set"] == len(found[0][0].removed)
        assert run.store.metrics["robustness.one.retrained"] == found[0][0].after
    with monkeypatch.context() as patch:
        patch.setattr(type(run), "retrain", lambda *unused, **more: pytest.fail("trained again"))
        again = pipeline.robustness(run, scores, [ONE])
    assert [result.sentence() for result, _ in again] == [result.sentence() for result, _ in found]
    counts = run.model.vocabulary.counts[[run.model.vocabulary.index[w] for w in ONE.words]]
    twice = pipeline.robustness(run, scores, [ONE], least=int(sorted(counts)[1]))
    assert [r.name for r, _ in twice][:2] == ["one"] * 2
    assert all("or more" in r.name for r, _ in twice[2:])
    assert twice[2][0].before == pytest.approx(
        float(ONE.frequent(run.model.vocabulary.occurrences, int(sorted(counts)[1]))(run.view))
    )
    with pytest.raises(UserError, match="ask for fewer"):
        pipeline.robustness(run, scores, [ONE], least=10_000)
    pipeline.debias(run, [ONE], "remove", starts=1, others=2, words=False, tolerance=0.1)
    plan = run.store.file("plan-remove-one-start.parquet")
    moved = pipeline.transfer_run(run, [ONE], plan, seeds=2)["one"]
    assert run.store.metrics["transfer.remove-one-start.one.before"] == pytest.approx(np.mean(moved.before))
    assert run.store.metrics["transfer.remove-one-start.one.after_sd"] == moved.spread[1]
    table = pq.read_table(plan)
    notes = json.loads(table.schema.metadata[b"crossloss"]) | {"field": {"corpus": "another"}}
    elsewhere = tmp_path / "plan.parquet"
    pq.write_table(table.replace_schema_metadata({"crossloss": json.dumps(notes)}), elsewhere)
    with pytest.raises(UserError, match="made for another corpus"):
        pipeline.transfer_run(run, [ONE], elsewhere, seeds=2)


def test_quality_without_word_lists_is_the_loss():
    cells = [Cell("undo", s, 5, {"j": j, "loss": loss}, 0.0) for s, j, loss in ((5, 0.5, 2.0), (10, 0.1, 2.1))]
    cells.append(Cell("undo", 100, 5, {}, 0.0, "diverged"))
    assert choose_kept(cells, {"loss": 2.0}, judged="j", target=0.0) == (cells[0], True)
    assert choose_kept(cells, {"loss": 2.1}, judged="j", target=0.0) == (cells[1], True)
    assert choose_kept(cells, {"loss": 1.0}, judged="j", target=0.0) == (cells[0], False)
    liked = [replace(c, figures=c.figures | {"wordsim353": q}) for c, q in zip(cells, (0.5, 0.595), strict=False)]
    assert choose_kept(liked, {"loss": 2.0, "wordsim353": 0.6}, judged="j", target=0.5) == (liked[1], True)


def test_what_cannot_be_debiased(run):
    with pytest.raises(UserError, match="there are: remove, reweight"):
        correct(run, [ONE], {"one": 0.0}, "pray")
    with pytest.raises(UserError, match="one association test at a time"):
        correct(run, [ONE, TWO], {"one": 0.0, "two": 0.0}, "undo")
    with pytest.raises(UserError, match="at least two different starts"):
        pipeline.debias(run, [ONE], "reweight", others=1)
    with pytest.raises(UserError, match="at least one start"):
        pipeline.debias(run, [ONE], "reweight", starts=0)
    short = Weat("short", *(tuple(WORDS[2 * i : 2 * i + 2]) for i in range(4)))
    with pytest.raises(UserError, match="halves need four"):
        pipeline.debias(run, [short], "undo", others=2, **SMALL)
