"""Clipped gradients against torch.nn.utils, autograd and finite differences, clipping or not, and at the kink."""

import loops
import pytest
import torch

from crossloss.core import UserError
from crossloss.optimisers import SGD, Adam, AdamW, ClipNorm, ClipValue, ParameterGroups, from_dict, to_dict

CLIPS = {"always": 0.7, "sometimes": 6.0, "never": 1e3}
NORMS = [2.0, 1.0, 3.0, float("inf")]


def norms(on, rule, norm_type=2.0):
    """Norm of the gradient before every step."""
    thetas = torch.cat([loops.start()[None], loops.ours(rule, on)[:-1]])
    w = torch.ones(loops.N, dtype=loops.F64)
    return [float(torch.linalg.vector_norm(on.gradient(x, w, t), norm_type)) for t, x in enumerate(thetas)]


@pytest.mark.parametrize("norm_type", NORMS)
@pytest.mark.parametrize("max_norm", CLIPS.values(), ids=CLIPS)
@pytest.mark.parametrize("parts", [None, loops.SLICES], ids=["flat", "by parameter"])
def test_steps_and_scores_of_clipping_by_norm(max_norm, norm_type, parts):
    rule, on = ClipNorm(AdamW(0.05, eps=1e-3), max_norm, norm_type, parts), loops.field()
    loops.same_steps(
        rule,
        on,
        lambda p: [torch.optim.AdamW(p, lr=0.05, eps=1e-3)],
        before=lambda p: torch.nn.utils.clip_grad_norm_(p, max_norm, norm_type),
    )
    loops.same_scores(rule, on)
    if norm_type == 2:
        active = [norm > max_norm for norm in norms(on, rule)]
        assert (all(active), any(active)) == {0.7: (True, True), 6.0: (False, True), 1e3: (False, False)}[max_norm]


@pytest.mark.parametrize("value", [0.5, 1.5, 1e3])
def test_steps_and_scores_of_clipping_by_value(value):
    rule, on = ClipValue(SGD(0.05, momentum=0.9, weight_decay=0.1), value), loops.field()
    loops.same_steps(
        rule,
        on,
        lambda p: [torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.1)],
        before=lambda p: torch.nn.utils.clip_grad_value_(p, value),
    )
    loops.same_scores(rule, on)


def test_of_some_parameters_only():
    parts = [(6, 10), (0, 2)]
    rule, on = ClipNorm(SGD(0.1), 0.5, parts=parts), loops.field()

    def before(p):
        half = torch.nn.Parameter(p[0].data[0, :2])
        half.grad = p[0].grad[0, :2]
        torch.nn.utils.clip_grad_norm_([p[1], half], 0.5)

    loops.same_steps(rule, on, lambda p: [torch.optim.SGD(p, lr=0.1)], before=before)
    loops.same_scores(rule, on)


def test_around_and_within_groups():
    rule = ClipNorm(ParameterGroups([([(0, 6)], Adam(0.05, eps=1e-3)), ([(6, 12)], ClipNorm(SGD(0.1), 0.3))]), 2.0)

    def before(p):
        torch.nn.utils.clip_grad_norm_(p, 2.0)
        torch.nn.utils.clip_grad_norm_(p[1:], 0.3)

    on = loops.field()
    loops.same_steps(
        rule,
        on,
        lambda p: [torch.optim.Adam(p[:1], lr=0.05, eps=1e-3), torch.optim.SGD(p[1:], lr=0.1)],
        before=before,
    )
    loops.same_scores(rule, on)


@pytest.mark.parametrize("max_norm", [0.7, 6.0])
def test_scores_equal_finite_differences_of_retraining(max_norm):
    rule, on, h = ClipNorm(SGD(0.05, momentum=0.9), max_norm), loops.field(), 1e-6
    found = loops.unrolled(loops.trained(rule, on), loops.objectives()).samples()
    for i in range(loops.N):
        ends = []
        for sign in (1, -1):
            w = torch.ones(loops.N, dtype=loops.F64)
            w[i] += sign * h
            ends.append(loops.trained(rule, on, weights=w).theta)
        for j, f in enumerate(loops.objectives()):
            slope = float(f(ends[0]) - f(ends[1])) / (2 * h)
            assert slope == pytest.approx(float(found[j, i]), rel=1e-6, abs=1e-8)


def test_at_a_tie_the_branch_is_torchs():
    g = torch.tensor([3.0, 4.0, -1.0], dtype=loops.F64)
    value = ClipValue(SGD(0.1), 3.0)
    assert value.back(g, torch.ones(1, 3, dtype=loops.F64)).tolist() == [[1.0, 0.0, 1.0]]
    leaf = g.clone().requires_grad_()
    leaf.clamp(-3.0, 3.0).sum().backward()
    assert leaf.grad.tolist() == [1.0, 0.0, 1.0]
    norm = 5.0 + 1e-6
    leaf = torch.tensor([3.0, 4.0], dtype=loops.F64, requires_grad=True)
    clipped = leaf * torch.clamp(norm / (torch.linalg.vector_norm(leaf) + 1e-6), max=1.0)
    assert torch.equal(clipped, leaf), "neither side: exactly at the kink"
    rows = torch.eye(2, dtype=loops.F64)
    expected = torch.stack([torch.autograd.grad(clipped, leaf, row, retain_graph=True)[0] for row in rows])
    torch.testing.assert_close(ClipNorm(SGD(0.1), norm).back(leaf.detach(), rows), expected, rtol=1e-14, atol=0)
    assert not torch.equal(expected, rows)


def test_a_zero_gradient_is_not_divided_by():
    g, a = torch.zeros(3, dtype=loops.F64), torch.ones(2, 3, dtype=loops.F64)
    for rule in (ClipNorm(SGD(0.1), 1.0), ClipNorm(SGD(0.1), 1e-9), ClipValue(SGD(0.1), 1.0)):
        assert torch.isfinite(rule.back(g, a)).all()
        assert not rule.clipped(g).any()


def test_a_fault_is_seen():
    class ForgetsTheNorm(ClipNorm):
        def back(self, g, a):
            return a * self._factor(g)

    with pytest.raises(AssertionError):
        loops.same_scores(ForgetsTheNorm(SGD(0.1), 0.7), loops.field())


@pytest.mark.parametrize("norm_type", [2.0, float("inf")])
def test_a_manifest_holds_them(norm_type):
    rule = ClipNorm(ClipValue(AdamW(lambda t: 0.1 / (1 + t), eps=1e-3), 0.9), 1.0, norm_type, loops.SLICES)
    value = to_dict(rule, loops.STEPS)
    again = from_dict(value)
    assert to_dict(again, loops.STEPS) == value
    assert torch.equal(loops.ours(again, loops.field()), loops.ours(rule, loops.field()))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ClipNorm(SGD(0.1), 0.0),
        lambda: ClipNorm(SGD(0.1), float("inf")),
        lambda: ClipNorm(SGD(0.1), 1.0, norm_type=0.0),
        lambda: ClipValue(SGD(0.1), -1.0),
    ],
)
def test_settings_out_of_range_are_one_sentence(make):
    with pytest.raises(UserError, match="needs"):
        make()


@pytest.mark.parametrize("parts", [[(0, 3), (50, 60)], [(0, 10)]])
def test_slices_beyond_the_parameters_are_refused(parts):
    with pytest.raises(UserError, match=r"ends at (60|10), and there are 4 parameters"):
        ClipNorm(SGD(1.0), 1.0, parts=parts).init(torch.zeros(4))
