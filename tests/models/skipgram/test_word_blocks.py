"""Word blocks against the dense Hessian by autograd: tiles, weights, products, solves, float32."""

import pytest
import torch

import small
from crossloss.core import UserError
from crossloss.models.skipgram import curvature as curvature_module
from crossloss.models.skipgram.curvature import WordBlocks
from crossloss.models.skipgram.field import SkipGramField
from crossloss.models.skipgram.settings import make_settings

D = 2


@pytest.fixture(scope="module")
def case():
    return small.skipgram(torch.float64)


def with_tile(case, tile, dtype="float64"):
    field, own = case.run.field, case.run.weights.numpy()
    settings = make_settings(dimension=D, negatives=3.5, prior=0.0, dtype=dtype)
    return SkipGramField(field.counts, field.vocabulary, own, settings, tile)


def dense_blocks(case, theta, w):
    hessian = torch.autograd.functional.jacobian(lambda theta: case.g(theta, w, 0), theta)
    return hessian * torch.block_diag(*[torch.ones(D, D)] * (len(theta) // D))


@pytest.mark.parametrize("at_once", [512, 7])
@pytest.mark.parametrize("tile", [(512, 1024), (3, 4), (1, 10), (10, 1)])
def test_blocks_are_those_of_the_hessian_at_any_weights_and_tiling(case, tile, at_once, monkeypatch):
    monkeypatch.setattr(curvature_module, "BLOCKS_AT_ONCE", at_once)
    generator = torch.Generator().manual_seed(4)
    theta = torch.randn(case.run.field.parameters, generator=generator, dtype=torch.float64)
    w = torch.rand(len(case.run.weights), generator=generator, dtype=torch.float64)
    blocks = WordBlocks(with_tile(case, tile), theta, w)
    expected = dense_blocks(case, theta, w)
    found = blocks.product(torch.eye(len(theta), dtype=torch.float64))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)
    b = torch.randn(3, len(theta), generator=generator, dtype=torch.float64)
    damped = expected + 0.01 * torch.eye(len(theta), dtype=torch.float64)
    torch.testing.assert_close(blocks.factorise(0.01)(b), torch.linalg.solve(damped, b.T).T, rtol=1e-10, atol=1e-12)


def test_float32_agrees_to_rounding(case):
    field, b = case.run.field, torch.ones(1, case.run.field.parameters, dtype=torch.float64)
    exact = WordBlocks(field, case.run.theta, case.run.weights).factorise(0.01)(b)
    single = with_tile(case, (4, 7), "float32")
    found = WordBlocks(single, case.run.theta.float(), case.run.weights).factorise(0.01)(b.float())
    assert (found - exact).norm() < 1e-4 * exact.norm()


def test_it_is_found_by_its_name_only(case):
    field, theta, w = case.run.field, case.run.theta, case.run.weights
    assert isinstance(field.curvature("word-blocks", theta, w), WordBlocks)
    with pytest.raises(UserError, match="there are: jacobian, absolute, word-blocks"):
        field.curvature("ekfac", theta, w)


def test_a_word_without_pairs_needs_damping(case):
    field, theta = case.run.field, case.run.theta
    w = torch.zeros_like(case.run.weights)
    w[3] = 1  # one sentence: the other words have no curvature
    blocks, b = WordBlocks(field, theta, w), torch.ones(1, len(theta), dtype=torch.float64)
    seen = {word for pair in field.counts.pairs[field.counts.matrix[3].indices] for word in pair.tolist()}
    first = next(word for i, word in enumerate(field.vocabulary.words) if i not in seen)
    with pytest.raises(UserError, match=f"block of word '{first}' is singular with damping 0: give a larger damping"):
        blocks.factorise(0.0)
    assert blocks.factorise(0.1)(b).isfinite().all()


def test_a_context_without_words_is_named(case):
    field, theta = case.run.field, case.run.theta.clone()
    theta.view(2, field.size, D)[0] = 0  # no word vector bends the block of a context
    with pytest.raises(UserError, match=f"block of context '{field.vocabulary.words[0]}' is singular"):
        WordBlocks(field, theta, case.run.weights).factorise(0.0)
