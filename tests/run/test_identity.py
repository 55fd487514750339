"""What makes two runs different: a folder is never taken for the run of something else."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import crossloss as cl
from capabilities import Gensim, N, SkipGramExact, data, held_out, module, sample_loss, sentences
from crossloss.core import UserError


def field(**more):
    return cl.TorchField(module(0), sample_loss, data(), **more)


def train(out, optimiser=None, steps=12, seed=None, **more):
    return cl.train(field(**more), optimiser or cl.SGD(0.1), steps=steps, seed=seed, out=out)


class Plain:
    """A rule of the user's own."""

    needs = ()

    def __init__(self, lr):
        self.lr = lr

    def init(self, theta):
        return {"theta": theta}

    def step(self, state, g, t):
        return {"theta": state["theta"] - self.lr * g}

    def adjoint(self, state, t, bar):
        return bar, -self.lr * bar["theta"]


FIRST, LAST = [[0, 1, 2]] * 12, [*[[0, 1, 2]] * 11, [4, 5]]
OTHERS = {
    "the last of many given batches": ({"order": FIRST}, {"order": LAST}, "batches"),
    "what starts makes of a seed": (
        {"starts": module, "seed": 3}, {"starts": lambda seed: module(seed + 1), "seed": 3}, "start",
    ),
    "the seed": ({"starts": module, "seed": 3}, {"starts": module, "seed": 4}, "start"),
    "a schedule": ({"optimiser": cl.SGD(lambda t: 0.1)}, {"optimiser": cl.SGD(lambda t: 0.1 / (t + 1))}, "lr"),
    "settings of an own rule": ({"optimiser": Plain(0.1)}, {"optimiser": Plain(0.2)}, "lr"),
}  # fmt: skip


@pytest.mark.parametrize("first", [False, True])
def test_a_loader_that_drops_the_last_batch_is_another_one(first, tmp_path):
    """The first ten batches of an epoch are the same."""

    def run(drop_last, rows=90):
        torch.manual_seed(0)
        rows = TensorDataset(torch.randn(rows, 3), torch.randn(rows, 1))
        loader = DataLoader(rows, batch_size=8, shuffle=True, drop_last=drop_last)
        made = cl.TorchField(nn.Linear(3, 1), lambda out, batch: ((out - batch[1]) ** 2)[:, 0], loader)
        cl.train(made, cl.SGD(0.1), steps=12, out=tmp_path / f"run-{len(rows)}").close()

    run(first)
    with pytest.raises(UserError, match="holds another run"):
        run(not first)
    run(first)
    run(False, rows=88)
    run(True, rows=88)  # nothing is left to drop


@pytest.mark.parametrize("case", OTHERS)
def test_a_run_that_differs_is_not_taken_for_the_one_in_the_folder(case, tmp_path):
    first, second, name = OTHERS[case]
    train(tmp_path / "run", **first).close()
    with pytest.raises(UserError, match=rf"holds another run \(different: .*\b{name}\b"):
        train(tmp_path / "run", **second)
    train(tmp_path / "run", **first).close()


def test_loading_compares_the_optimiser_and_the_start(tmp_path):
    train(tmp_path / "run", starts=module, seed=3).close()
    for given, message in (
        ((field(starts=module), cl.SGD(0.2)), "another optimiser .different: lr"),
        ((field(starts=lambda seed: module(seed + 6)),), "another field .different: start"),
        ((SkipGramExact().field(tmp_path),), "holds a torch run"),
        ((module(0),), "cl.TorchField"),
    ):
        with pytest.raises(UserError, match=message):
            cl.load(tmp_path / "run", *given)
    with cl.load(tmp_path / "run", field(starts=module), cl.SGD(0.1)) as run:
        assert run.seed == 3


def test_what_was_refused_before_its_first_step_leaves_the_folder_free(tmp_path):
    with pytest.raises(UserError, match="one start"):
        train(tmp_path / "run", seed=2)
    with pytest.raises(UserError, match="raise memory="):
        cl.train(field(), cl.SGD(0.3), steps=12, memory="300B", out=tmp_path / "run")
    train(tmp_path / "run").close()


def recorded(out, scale=1.0, start=None):
    model = module(0)
    same = cl.TorchField(model, sample_loss, data())
    if start is not None:
        model.load_state_dict(module(start).state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder, rows = cl.Recorder(same, model, optimizer), data()
    for step in range(4):
        batch = (torch.arange(5) + step) % N
        recorder.batch(batch)
        optimizer.zero_grad()
        (scale * sample_loss(model(rows["x"][batch]), {"y": rows["y"][batch]}).mean()).backward()
        optimizer.step()
    return recorder.finish(out)


def test_a_refused_recording_leaves_its_folder_to_the_next(tmp_path):
    with pytest.raises(UserError, match="departs from your loop"):
        recorded(tmp_path / "run", scale=2.0)
    with recorded(tmp_path / "run") as run:
        theta = run.theta
    with recorded(tmp_path / "run") as again:
        assert torch.equal(again.theta, theta)
    with pytest.raises(UserError, match="different: start"):
        recorded(tmp_path / "run", start=5)


def test_a_recording_that_began_elsewhere_than_its_field_is_loaded_from_there(tmp_path):
    with recorded(tmp_path / "run", start=5) as run:
        known = cl.score(run, [held_out]).of()
    for file in (tmp_path / "run").glob("influence-*"):
        file.unlink()
    with cl.load(tmp_path / "run", field()) as again:
        np.testing.assert_array_equal(cl.score(again, [held_out]).of(), known)


def test_an_imported_model_keeps_its_weights_in_a_folder(tmp_path):
    weights = np.linspace(0.5, 1.5, N)
    cl.imported(field(), weights, out=tmp_path / "run").close()
    with cl.load(tmp_path / "run", field()) as run:
        np.testing.assert_array_equal(run.weights, weights)
        assert run.steps == 0
        with pytest.raises(UserError, match=r"cl\.train"):
            run.retrain(weights)
    with pytest.raises(UserError, match="leave the optimiser out"):
        cl.load(tmp_path / "run", field(), cl.SGD(0.1))
    with pytest.raises(UserError, match="holds another run"):
        train(tmp_path / "run")


def test_given_vectors_stay_with_changed_settings():
    pytest.importorskip("gensim")
    given = Gensim().field(None)
    other = given.changed(window=2, dtype="float32")
    assert other.vocabulary.words == given.vocabulary.words
    torch.testing.assert_close(other.start(None).double(), given.start(None))
    assert other.start(None).dtype == torch.float32
    for setting in ({"dimension": 5}, {"min_count": 3}, {"subsample": 0.1}):
        with pytest.raises(UserError, match=r"cl\.SkipGram"):
            given.changed(**setting)


def test_vectors_that_do_not_fit_are_refused():
    corpus = cl.from_sentences(sentences())
    with pytest.raises(UserError, match="24"):
        cl.imported(cl.SkipGram(corpus, vectors=torch.ones(5), min_count=1, dimension=1))
    with pytest.raises(UserError, match="not finite"):
        cl.SkipGram(corpus, vectors=np.full((2, 12, 1), np.nan), min_count=1, dimension=1)


SHOWN = {
    "texts": ([f"t{i}" for i in range(N)], "t3", ["text"]),
    "a function": (lambda i: f"t{i}", "t3", ["text"]),
    "rows": ([{"age": i, "sample": "x"} for i in range(N)], "age: 3, row.sample: x", ["age", "row.sample"]),
    "a table": (pa.table({"age": range(N)}), "age: 3", ["age"]),
    "rows with images": (lambda i: {"image": torch.rand(2, 2), "label": torch.tensor(i)}, "label: 3", ["label"]),
    "images": (torch.rand(N, 2, 2), "sample 3", []),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_samples_are_shown_by_what_the_user_gives(kind):
    show, text, columns = SHOWN[kind]
    scores = cl.score(cl.train(field(show=show), cl.SGD(0.1), steps=2), [held_out])
    assert scores.shown([3])[0].text == text
    assert scores.table().column_names[1:-5] == columns


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"show": "abc"}, "a list"),
        ({"show": ["a"]}, "one for each"),
        ({"show": {"a": 1}}, "a list"),
        ({"starts": nn.Linear(2, 2)}, "a function"),
    ],
)
def test_what_cannot_be_shown_or_started_is_refused_at_once(more, message):
    with pytest.raises(UserError, match=message):
        field(**more)


@pytest.mark.parametrize("rule", [cl.SGD, 0.1, torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)])
def test_no_optimiser_is_one_sentence(rule):
    with pytest.raises(UserError, match=r"cl\.SGD"):
        cl.train(field(), rule, steps=2)


def unseeded():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def untrained_part_differs(seed):
    made = module(0)
    made[0].bias.requires_grad_(False).fill_(seed)
    return made


def not_finite(seed):
    made = module(seed)
    made[0].weight.data[0, 0] = float("nan")
    return made


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        (lambda seed: module(0), "starts gives the same parameters for the seeds 3 and 4"),
        (lambda seed: module(seed // 10), "the same parameters"),
        (lambda seed: unseeded(), "other parameters each time"),
        (lambda seed: nn.Sequential(*reversed([unseeded()[2], *module(seed)[:2][::-1]])), "other parameters each time"),
        (lambda seed: module(seed)[:2], "the parameters of the field's own"),
        (not_finite, "'0.weight' of the model is not finite"),
    ],
    ids=["a constant", "tens", "no seed", "a layer without it", "another module", "nan"],
)
def test_starts_that_do_not_follow_their_seed_are_refused_before_training(starts, message):
    with pytest.raises(UserError, match=message):
        cl.train(field(starts=starts), cl.SGD(0.1), steps=2, seed=3)
    run = cl.train(field(starts=starts), cl.SGD(0.1), steps=2)
    with pytest.raises(UserError, match=message if starts is not not_finite else "not finite|diverged"):
        run.retrain(seed=3)


def test_starts_that_differ_only_in_what_is_not_trained_are_one_start():
    model = module(0)
    model[0].bias.requires_grad_(False)
    same = cl.TorchField(model, sample_loss, data(), starts=untrained_part_differs)
    with pytest.raises(UserError, match="the same parameters"):
        cl.train(same, cl.SGD(0.1), steps=2, seed=1)
