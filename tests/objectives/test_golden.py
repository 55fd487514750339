"""RIPA, MAC and ECT against wefe's golden values; separation and projection against loops."""

import json
from itertools import permutations

import numpy as np
import pytest
import torch
from every import WORDS, view

from crossloss.core import UserError
from crossloss.objectives import direct_bias, ect, mac, projection, ripa, separation


@pytest.fixture(scope="module")
def golden(shared):
    return json.loads((shared / "wefe_golden.json").read_text())


def seen_of(golden):
    return view(torch.tensor(golden["vectors"], dtype=torch.float64), words=golden["words"])


def test_wefe(golden):
    # wefe keeps vectors in float32, hence 1e-6.
    seen, x, y, a, b = seen_of(golden), *(golden[side] for side in "XYAB")
    assert float(ripa(a, list(zip(x, y, strict=True)))(seen)) == pytest.approx(golden["ripa"], abs=1e-6)
    assert float(mac(x + y, [a, b])(seen)) == pytest.approx(golden["mac"], abs=1e-6)
    assert ect(seen, x, y, a) == pytest.approx(golden["ect"], abs=1e-12)


def test_a_pair_with_an_absent_word_is_left_out():
    vectors = torch.randn(14, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for make in (ripa, projection):
        whole = make("w0", [("w1", "w2"), ("w3", "w4")])
        assert float(make("w0", [("w1", "w2"), ("w5", "gone"), ("w3", "w4")])(view(vectors))) == float(
            whole(view(vectors))
        )
        assert float(make("w0", [("w2", "w1"), ("w4", "w3")])(view(vectors))) == pytest.approx(
            -float(whole(view(vectors)))
        )
        with pytest.raises(UserError, match=r"0 of the 1 pairs whole \(w5/gone\)"):
            make("w0", [("w5", "gone")])(view(vectors))


def test_by_loops():
    vectors = np.random.default_rng(1).normal(size=(14, 5))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    seen = view(torch.from_numpy(vectors))
    apart = [1 - unit[i] @ unit[j] for i, j in permutations(range(4), 2)]
    assert float(separation(WORDS[:4])(seen)) == pytest.approx(np.mean(apart))
    direction = (unit[1] - unit[2] + unit[3] - unit[4]) / 2
    expected = unit[0] @ direction / np.linalg.norm(direction)
    pairs = [("w1", "w2"), ("w3", "w4")]
    assert float(projection("w0", pairs)(seen)) == pytest.approx(expected)
    cosines = unit[5:12] @ direction / np.linalg.norm(direction)
    assert float(direct_bias(WORDS[5:12], pairs)(seen)) == pytest.approx(np.mean(np.abs(cosines)))
    wide = direct_bias(WORDS[5:12], pairs, c=2)
    assert float(wide(seen)) == pytest.approx(np.mean(cosines**2))
    fitted, judged = wide.halves(seen.index, 3)
    assert sorted([*fitted.targets, *judged.targets]) == sorted(WORDS[5:12])
    assert (len(fitted.targets), len(judged.targets), fitted.pairs) == (4, 3, wide.pairs)
    parts = [float(half(seen)) * len(half.targets) for half in (fitted, judged)]
    assert sum(parts) / 7 == pytest.approx(float(wide(seen)))
    with pytest.raises(UserError, match="halves need four"):
        direct_bias(WORDS[5:8], pairs).halves(seen.index)


ZERO = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
REFUSED = {
    "no pair": (lambda: ripa("w0", []), "at least one pair"),
    "itself": (lambda: ripa("w0", [("w1", "W1")]), "no pair of two different"),
    "three": (lambda: projection("w0", [("w1", "w2", "w3")]), "no pair of two different"),
    "text": (lambda: projection("w0", ["it"]), "no pair of two different"),
    "one vector": (lambda: ripa("w2", [("w0", "w1")])(view(ZERO, words=WORDS[:4])), "no direction"),
    "cancel": (lambda: projection("w2", [("w0", "w1")])(view(ZERO, words=WORDS[:4])), "cancel"),
    "both": (lambda: mac(["a"], [["b"], ["a"]]), "'a' is target and attribute"),
    "no set": (lambda: mac(["a"], []), "no set of attributes"),
    "alone": (lambda: separation(["a"]), "the group has 1 word: give 2 or more"),
    "one left": (lambda: separation(["w0", "gone"])(view(ZERO, words=WORDS[:4])), "1 of the 2 words of group"),
    "two attributes": (lambda: ect(view(ZERO, words=WORDS[:4]), ["w0"], ["w1"], ["w2", "w3"]), "three of A"),
    "all alike": (lambda: ect(view(torch.ones(5, 2), words=WORDS[:5]), ["w0"], ["w1"], WORDS[2:5]), "undefined"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_measured_is_refused(case):
    make, message = REFUSED[case]
    with pytest.raises(UserError, match=message):
        make()
