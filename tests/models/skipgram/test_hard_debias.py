"""Hard debias against golden values, its defining properties, and finite differences."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from crossloss.core import UserError
from crossloss.estimators.gradient import objective_gradients
from crossloss.models.skipgram.embeddings import Embeddings
from crossloss.models.skipgram.hard_debias import After, HardDebias, cluster_purity, hard_debias, most_biased
from crossloss.objectives.weat import Weat


@pytest.fixture(scope="module")
def golden(shared):
    return json.loads((shared / "wefe_golden.json").read_text())


def view_of(words, vectors):
    vectors = torch.as_tensor(np.asarray(vectors), dtype=torch.float64)
    return Embeddings(words, {w: i for i, w in enumerate(words)}, vectors, torch.zeros_like(vectors))


def of_golden(golden):
    pairs = (tuple(map(tuple, golden[k])) for k in ("definitional_pairs", "equalize_pairs"))
    return HardDebias("golden", *pairs, tuple(golden["ignore"])), view_of(golden["words"], golden["vectors"])


def random_case(seed=0, words=40, d=7):
    names = [f"w{i}" for i in range(words)]
    vectors = np.random.default_rng(seed).normal(size=(words, d))
    vectors[:12:2, 0] += 2
    vectors[1:12:2, 0] -= 2
    debias = HardDebias(
        "t", (("w0", "w1"), ("w2", "w3"), ("w4", "w5")), (("w6", "w7"), ("w8", "w9")), ("w0", "w1", "w10", "absent")
    )
    return debias, view_of(names, vectors)


def test_golden_values(golden):
    debias, view = of_golden(golden)
    direction, wanted = debias.direction(view).numpy(), np.array(golden["bias_direction"])
    assert abs(direction @ wanted) == pytest.approx(1, abs=1e-6)
    # The reference leaves equalised pairs with lengths other than 1 (it divides by lengths of before), so directions.
    expected = np.array(golden["hard_debiased"])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(debias(view).vectors.numpy(), expected, atol=1e-6)
    weat = Weat("g", *(tuple(golden[side]) for side in "XYAB"))
    assert float(weat(view)) == pytest.approx(golden["effect_size"], abs=1e-6)
    assert float(After(weat, (debias,))(view)) == pytest.approx(golden["effect_size_after"], abs=1e-6)


def test_neutralised_words_have_no_part_along_and_pairs_are_equalised():
    debias, view = random_case()
    g, after = debias.direction(view), debias(view)
    along = after.vectors @ g
    special = {"w0", "w1", "w6", "w7", "w8", "w9", "w10"}
    plain = [i for i, w in enumerate(view.words) if w not in special]
    assert along[plain].abs().max() < 1e-12
    assert along[[0, 1, 10]].abs().min() > 1e-3
    np.testing.assert_allclose(torch.linalg.vector_norm(after.vectors, dim=1), 1)
    for a, b in debias.equalise:
        assert float(after[a] @ g) == pytest.approx(-float(after[b] @ g))
        np.testing.assert_allclose(after.vectors[plain] @ after[a], after.vectors[plain] @ after[b], atol=1e-12)


def test_the_direction_is_the_first_principal_component():
    debias, view = random_case(3)
    unit = view.vectors / torch.linalg.vector_norm(view.vectors, dim=1, keepdim=True)
    rows = []
    for a, b in debias.definitional:
        centre = (unit[view.index[a]] + unit[view.index[b]]) / 2
        rows += [unit[view.index[a]] - centre, unit[view.index[b]] - centre]
    main = np.linalg.svd(torch.stack(rows).numpy())[2][0]
    found = debias.direction(view).numpy()
    assert abs(found @ main) == pytest.approx(1, abs=1e-12)
    differences = (
        unit[[view.index[a] for a, _ in debias.definitional]] - unit[[view.index[b] for _, b in debias.definitional]]
    )
    assert (differences.numpy() @ found).sum() > 0


def test_pairs_of_which_a_word_is_not_there_are_left_out():
    debias, view = random_case(2)
    lacking = (("w11", "absent"), ("absent", "w12"), ("no", "nay"))
    more = replace(debias, definitional=lacking + debias.definitional, equalise=debias.equalise + lacking)
    assert torch.equal(more.direction(view), debias.direction(view))
    assert torch.equal(more(view).vectors, debias(view).vectors)
    assert more(view).initial is None
    assert more(view).field is None


def test_the_objective_after_it_has_the_right_gradient():
    debias, view = random_case(5)
    sets = [tuple(f"w{i}" for i in range(s, s + 4)) for s in (0, 6, 20, 30)]
    objective = After(Weat("t", *sets), (debias,))

    class Field:
        def view(self, theta):
            return Embeddings(view.words, view.index, theta.view(view.vectors.shape), view.contexts)

    theta = view.vectors.reshape(-1)
    gradient = objective_gradients(Field(), theta, [objective])[0]
    direction = torch.from_numpy(np.random.default_rng(1).normal(size=len(theta)))
    h = 1e-6
    ends = [float(objective(Field().view(theta + s * h * direction))) for s in (1, -1)]
    assert float(gradient @ direction) == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6)


def test_purity_tells_what_is_left():
    rng = np.random.default_rng(0)
    # Two groups apart along axis 0 (the direction) and, less, along axis 1 (what hard debias cannot see).
    names = ["he", "she", *(f"m{i}" for i in range(100)), *(f"f{i}" for i in range(100))]
    side = np.repeat([1.0, -1.0], 100)
    vectors = rng.normal(scale=0.1, size=(202, 5))
    vectors[:, 2] += 1
    vectors[2:, 0] += side
    vectors[0, 0], vectors[1, 0] = 3, -3
    debias = HardDebias("t", (("he", "she"),), (), ("he", "she"))
    blind = view_of(names, vectors)
    first, second = most_biased(debias, blind, count=120)
    assert len(first) == len(second) == 60
    assert all(names[i].startswith("m") for i in first)
    assert all(names[i].startswith("f") for i in second)
    assert cluster_purity(blind, first, second) == 1.0
    assert cluster_purity(debias(blind), first, second) < 0.75
    vectors[2:, 1] += side
    seen = view_of(names, vectors)
    assert cluster_purity(debias(seen), first, second) > 0.95
    assert cluster_purity(seen, first, second, seed=3) == cluster_purity(seen, first, second, seed=3)
    assert all(len(rows) == 100 for rows in most_biased(debias, seen, count=10_000))


def test_what_cannot_be_debiased():
    _, view = random_case()
    with pytest.raises(UserError, match="needs one of these pairs"):
        HardDebias("t", (("no", "nay"),), (), ()).direction(view)
    with pytest.raises(UserError, match="no one main direction"):
        HardDebias("t", (("w0", "w0"),), (), ()).direction(view)
    with pytest.raises(UserError, match="there are: gender, race"):
        hard_debias("age")
    with pytest.raises(UserError, match="either side"):
        cluster_purity(view, np.array([], dtype=int), np.array([1]))


def test_shipped_lists_are_the_published_ones(shared):
    lists = json.loads((shared / "wordlists.json").read_text())
    gender, race = hard_debias("gender"), hard_debias("race")
    published = lists["bolukbasi_gender"]
    assert {tuple(p) for p in published["definitional_pairs"]} == set(gender.definitional)
    assert {w.lower() for w in published["gender_specific_seed"]} == set(gender.specific)
    lowered = {frozenset(w.lower() for w in pair) for pair in published["equalize_pairs"]}
    assert lowered == {frozenset(pair) for pair in gender.equalise}
    assert [list(p) for p in race.equalise] == lists["race_hard_debias"]["equalize_pairs"]
    assert list(race.specific) == lists["race_hard_debias"]["specific"]
    assert gender.source
    assert race.source
