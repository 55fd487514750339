"""Every number that the explorer answers is that of scores, plans and retraining."""

import numpy as np
import pytest
from explored import MINE, NEAR, explored, make_run

import crossloss as cl
from crossloss.objectives.permutation import permutation_test
from crossloss.plans import read_plan


@pytest.fixture(scope="module")
def known(explorer, tmp_path_factory):
    """The same run, trained and scored again elsewhere."""
    run = cl.load(make_run(tmp_path_factory.mktemp("known") / "run"))
    return run, cl.score(run, [MINE, NEAR])


def test_a_new_sentence_is_only_added_and_has_the_score_of_its_explanation(explorer, known):
    _, scores = known
    status, given = explorer.ask("/api/sentence", {"text": "waa wab wai", "objective": "mine"})
    assert status == 200
    assert given["removed"] is given["sample"] is None
    for name, added in zip(("mine", "near"), given["added"], strict=True):
        explained = scores.explain("waa wab wai", name)
        assert explained.sample is None
        assert added == explained.effect_if_added
    assert given["pairs"] == [list(pair) for pair in scores.explain("waa wab wai", "mine").pairs[:12]]


def test_a_sentence_of_the_corpus_is_removed_and_adding_it_is_the_opposite(explorer, known):
    run, scores = known
    text = run.model.corpus.texts[7]
    _, given = explorer.ask("/api/sentence", {"text": text, "objective": "mine"})
    assert given["sample"] == 7
    assert given["removed"] == pytest.approx([scores.effects(name)[7] for name in ("mine", "near")])
    assert given["added"] == pytest.approx([-x for x in given["removed"]], rel=1e-6)


def test_an_edited_sentence_has_the_effect_of_the_edit(explorer, known):
    run, scores = known
    before, after = run.model.corpus.texts[7], "waa wai waj wak"
    _, given = explorer.ask("/api/sentence", {"text": after, "objective": "mine", "instead": 7})
    edits = cl.score_edits(scores, [before], [after])
    assert given["replacing"]["effects"] == pytest.approx(edits.effects[:, 0].tolist(), rel=1e-6)
    assert given["replacing"]["text"] == before


def test_rows_are_in_the_order_of_scores_with_their_effects(explorer, known):
    _, scores = known
    asked = {"objective": "near", "grouped": False, "limit": 10}
    _, given = explorer.ask("/api/rows", asked)
    top = scores.top(10, "near")
    assert [r["sample"] for r in given["rows"]] == [s.sample for s in top]
    for row, s in zip(given["rows"], top, strict=True):
        assert row["effects"][1] == s.effect_if_removed
        assert "".join(piece[0] for piece in row["pieces"]) == s.text
    _, rest = explorer.ask("/api/rows", asked | {"offset": 10})
    assert [r["sample"] for r in rest["rows"]] == [s.sample for s in scores.top(20, "near")[10:]]
    _, lowering = explorer.ask("/api/rows", asked | {"order": "lowering"})
    assert [r["sample"] for r in lowering["rows"]] == [s.sample for s in scores.amplifiers(10, "near")]


def test_filters_let_through_what_they_say(explorer, known):
    run, scores = known
    texts, effects = run.model.corpus.texts, scores.effects("mine")

    def found(**given):
        _, answer = explorer.ask("/api/select", {"objective": "mine", "order": "corpus", "filter": given})
        return answer["samples"]

    every = range(len(texts))
    assert found(word="WAD") == [i for i in every if "wad" in texts[i].split()]
    assert found(text="waa WAB") == [i for i in every if "waa" in texts[i] and "wab" in texts[i]]
    assert found(shortest=4, longest=6) == [i for i in every if 4 <= len(texts[i].split()) <= 6]
    low, high = (float(x) for x in np.quantile(effects, [0.2, 0.7]))
    assert found(low=low, high=high) == [i for i in every if low <= effects[i] <= high]
    near = scores.effects("near")
    assert found(other="near", other_low=0.0) == [i for i in every if near[i] >= 0]
    assert found(samples=[3, 1]) == [1, 3]
    _, facets = explorer.ask("/api/facets", {"objective": "mine", "filter": {"word": "wad"}})
    with_word = [i for i in every if "wad" in texts[i].split()]
    assert facets["total"] == sum(facets["histogram"]["selected"]) == len(with_word)
    assert facets["sum"] == pytest.approx(effects[with_word].sum())
    assert sum(size for _, _, size in facets["lengths"]) == len(with_word)
    _, cells = explorer.ask("/api/scatter", {"objective": "mine", "against": "near"})
    assert sum(n for _, _, n in cells["cells"]) == len(texts)
    assert cells["correlation"] == pytest.approx(np.corrcoef(effects, near)[0, 1])


def test_the_different_ones_first_are_strong_and_by_other_pairs_than_those_before(explorer, known):
    # Maximal marginal relevance (Carbonell and Goldstein 1998) from dense profiles, one sample after the other.
    run, scores = known
    chosen = {"objective": "mine", "order": "diverse", "filter": {"word": "wad"}}
    _, given = explorer.ask("/api/select", chosen)
    _, strongest = explorer.ask("/api/select", chosen | {"order": "strongest"})
    left, atoms = strongest["samples"], scores.atoms[scores.index_of("mine")]
    profiles = {i: run.model.counts.matrix[[i]].toarray()[0] * atoms for i in left}
    most, expected = max(abs(scores.effects("mine")[i]) for i in left), []

    def gain(i):
        alike = [
            abs(profiles[i] @ profiles[j]) / np.linalg.norm(profiles[i]) / np.linalg.norm(profiles[j]) for j in expected
        ]
        return 0.5 * abs(scores.effects("mine")[i]) / most - 0.5 * max(alike, default=0.0)

    while left:
        expected.append(max(left, key=gain))
        left = [i for i in left if i != expected[-1]]
    assert given["samples"] == expected
    assert expected != strongest["samples"]


def test_the_strongest_are_the_removal_and_its_curve(explorer, known):
    _, scores = known
    _, given = explorer.ask("/api/strongest", {"objective": "mine", "n": 5})
    top = scores.amplifiers(5, "mine")
    assert given["samples"] == [s.sample for s in top]
    value = scores.values["mine"] + sum(s.effect_if_removed for s in top)
    assert dict(map(tuple, given["curve"]))[5] == pytest.approx(value)
    assert given["totals"][0]["predicted"] == pytest.approx(value)
    _, up = explorer.ask("/api/strongest", {"objective": "mine", "n": 3, "up": True})
    assert up["samples"] == [s.sample for s in scores.mitigators(3, "mine")]
    _, most = explorer.ask("/api/strongest", {"objective": "mine", "n": 10**6})
    assert most["n"] == most["most"] == int((scores.of("mine") > 0).sum())


def test_a_basket_is_predicted_for_all_objectives_and_retrains_to_what_the_run_does(tmp_path):
    with explored(make_run(tmp_path / "run")) as own:
        changes = [{"weight": 0, "samples": [4, 9]}, {"weight": 2.5, "samples": [1]}]
        _, basket = own.ask("/api/basket", {"changes": changes})
        job = own.work("/api/basket/retrain", {"changes": changes, "starts": 2})
        assert job["state"] == "done", job
        _, saved = own.ask("/api/basket/plan", {"changes": changes, "name": "two"})
        _, word = own.ask("/api/word", {"word": "waa", "objective": "mine", "changes": changes})
        _, about = own.ask("/api/run")
    assert (basket["out"], basket["in"], basket["other"]) == (2, 0, 1)
    assert basket["key"] == job["result"]["key"]
    with cl.load(own.folder) as run:
        scores = cl.score(run, [MINE, NEAR])
        weights = run.weights.copy()
        weights[[4, 9]], weights[1] = 0, 2.5
        after = run.retrain(weights)
        for i, o in enumerate((MINE, NEAR)):
            predicted = scores.values[o.name] + float(scores.of(o) @ (weights - run.weights))
            assert basket["totals"][i]["predicted"] == pytest.approx(predicted)
            assert job["result"]["before"][o.name] == float(o(run.view))
            assert job["result"]["after"][o.name] == float(o(after.view))
            (second,) = run.seeds(1, 1)
            assert job["result"]["starts"][1][1][o.name] == float(o(run.retrain(weights, seed=second).view))
        keyed = cl.keyed_vectors(run.view.words, run.view.vectors.numpy())
        assert [w for w, _ in word["before"]] == [w for w, _ in keyed.most_similar("waa", topn=10)]
        unit = after.view.vectors / after.view.vectors.norm(dim=1, keepdim=True)
        cosines = unit @ unit[after.view.index["waa"]]
        cosines[after.view.index["waa"]] = -1
        nearest = cosines.argsort(descending=True)[:10].tolist()
        assert [w for w, _ in word["after"]] == [after.view.words[i] for i in nearest]
        texts = [t.split() for t in run.model.corpus.texts]
        assert word["count"] == sum(t.count("waa") for t in texts)
        assert word["out"] == texts[4].count("waa") + texts[9].count("waa")
    assert about["found"][-1]["key"] == basket["key"]
    assert saved["file"].endswith("plan-basket-two.parquet")
    values, notes = read_plan(own.folder / "plan-basket-two.parquet")
    np.testing.assert_array_equal(values, weights)
    assert notes["predicted"]["mine"] == pytest.approx(basket["totals"][0]["predicted"])


def test_found_points_are_there_when_the_run_is_opened_again(tmp_path):
    with explored(make_run(tmp_path / "run")) as own:
        job = own.work("/api/strongest/retrain", {"objective": "mine", "n": 3})
    with explored(own.folder) as again:
        _, about = again.ask("/api/run")
    (found,) = about["found"]
    assert (found["objective"], found["n"], found["up"]) == ("mine", 3, False)
    assert found["after"] == job["result"]["after"]


def test_a_new_objective_has_its_value_its_p_and_then_its_scores(tmp_path):
    other = cl.objectives.Weat("other", MINE.X[:2], MINE.Y, MINE.A, MINE.B)
    asked = {"name": "other", "sets": {side: list(getattr(other, side)) for side in "XYAB"}}
    with explored(make_run(tmp_path / "run")) as own:
        _, value = own.ask("/api/objective", asked)
        assert own.work("/api/objective/score", asked)["state"] == "done"
        _, rows = own.ask("/api/rows", {"objective": "other", "limit": 5, "grouped": False})
        status, refused = own.ask("/api/objective/score", asked)
        assert status == 400
        assert "another name" in refused["error"]
    with cl.load(own.folder) as run:
        tested = permutation_test(other, run.view)
        assert (value["value"], value["p"]) == (tested.effect, tested.p_value)
        assert [o.name for o in run.objectives] == ["mine", "near", "other"]
        scores = cl.score(run, [other])
        assert [r["effects"][2] for r in rows["rows"]] == [s.effect_if_removed for s in scores.top(5)]


def test_swapped_words_have_the_effect_of_the_edits_and_candidates_can_be_trained(tmp_path):
    texts = ["waa wai waj wak", "wab wae wam wan", "wac waf wao wap", "wad wag wah wal waa wai"] * 3
    corpus = cl.with_swaps(cl.from_sentences(texts), [("waa", "wae")])
    with cl.train(cl.SkipGram(corpus, min_count=1, window=3, dimension=4), steps=6, out=tmp_path / "run") as run:
        run.remember([MINE])
        scores = cl.score(run, [MINE])
        edits = cl.score_edits(scores, texts[:1], ["wae wai waj wak"])
    with explored(tmp_path / "run") as own:
        changes = [{"weight": 0, "samples": [0]}]
        asked = {"changes": changes, "objective": "mine", "pairs": [["waa", "wae"]]}
        _, given = own.ask("/api/basket/swap", asked)
        assert given["effects"] == pytest.approx(edits.effects[:, 0].tolist())
        assert given["trainable"] == given["sentences"] == 1
        _, basket = own.ask("/api/basket", {"changes": [{"weight": w, "samples": s} for w, s in given["changes"]]})
        assert basket["totals"][0]["predicted"] == pytest.approx(given["predicted"][0], rel=1e-5)
        assert (basket["out"], basket["in"]) == (1, 1)
        candidate = given["changes"][1][1][0]  # has no place that another sentence could take
        _, edited = own.ask("/api/sentence", {"text": texts[1], "objective": "mine", "instead": candidate})
        assert edited["replacing"] is None
        status, refused = own.ask("/api/basket/swap", asked | {"pairs": [["zzz", "yyy"]]})
        assert (status, "no" in refused["error"].lower()) == (400, True)
