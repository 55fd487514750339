"""Every capability for every kind of model: it works, or one sentence says what to use (docs/capabilities.md)."""

import itertools
import os
import re
from functools import partial

import numpy as np
import pytest
import torch

import crossloss as cl
from capabilities import COLUMNS, IMPORTS, REFUSED, ROWS, TORCHES, WEAT, differences, held_out
from crossloss.core import FULL_BATCH, UserError
from crossloss.folders.export import export
from crossloss.objectives import Function, as_objective
from crossloss.run.trajectory import FileCheckpoint
from crossloss.scores import scoring
from crossloss.scores.baselines import BASELINES
from distributed_sample import results

DAMPING = 0.5


def small(column, tmp_path, **more):
    return column.run(tmp_path, **more)


def score(column, run, estimator=None):
    """By the estimator, or the one that fits the run."""
    estimator = estimator or ("unrolled" if run.steps else "inverse-hessian")
    damping = DAMPING if estimator.startswith("inverse-hessian") else 0.0
    return cl.score(run, [column.objective], estimator, damping=damping)


def train(column, tmp_path):
    field = column.field(tmp_path)
    run = column.train(field)
    assert run.loss < run.field.loss(run.trajectory.initial, run.trajectory.weights)
    assert torch.equal(run.theta, column.train(field).theta)


def record(column, tmp_path):
    field = column.field(tmp_path)
    model = getattr(field, "module", torch.nn.Linear(2, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = cl.Recorder(field, model, optimizer)
    weights = [p.detach().clone() for p in model.parameters()]
    recorder.batch([0, 3])
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    rows = field.rows
    out = model(rows["x"][[0, 3]])
    field.sample_loss(out, {"y": rows["y"][[0, 3]]}).mean().backward()
    slopes = [p.grad.clone() for p in model.parameters()]
    optimizer.step()
    run = recorder.finish()
    for before, slope, name in zip(weights, slopes, run.view, strict=True):
        torch.testing.assert_close(run.view[name], before - 0.1 * slope, rtol=1e-12, atol=1e-14)


def import_(column, tmp_path):
    field = column.field(tmp_path)
    run = cl.imported(field)
    assert run.steps == 0
    assert torch.equal(run.theta.double(), field.start(None).double())
    slope = run.field.gradient(run.theta, run.trajectory.weights, FULL_BATCH)
    gradient = torch.autograd.functional.jacobian(
        lambda t: as_objective(column.objective)(run.field.view(t)), run.theta
    )
    shift = torch.zeros(len(run.weights), dtype=torch.float64)
    shift[3] = 1
    more = run.field.gradient(run.theta, run.trajectory.weights + shift, FULL_BATCH) - slope
    assert score(column, run, "gradient-dot").of()[3] == pytest.approx(-float(gradient @ more), rel=1e-6)


def save(column, tmp_path):
    with small(column, tmp_path, out=tmp_path / "run") as run:
        plain = small(column, tmp_path)
        from safetensors.torch import load_file

        stored = load_file(tmp_path / "run" / "model.safetensors")
        for name, tensor in run.model.tensors(plain.view).items():
            assert torch.equal(stored[name], tensor)
        assert run.store.metrics["train.loss"] == pytest.approx(plain.loss, rel=1e-12)
    with pytest.raises(UserError, match="holds another run"):
        other(column, tmp_path, out=tmp_path / "run")
    other(column, tmp_path, out=tmp_path / "run", overwrite=True).close()


def other(column, tmp_path, **more):
    """A run that differs in its sample weights."""
    field = column.field(tmp_path)
    weights = np.linspace(0.5, 1.5, field.samples)
    return column.train(field, weights=weights, **more)


def load(column, tmp_path):
    with small(column, tmp_path, out=tmp_path / "run") as run:
        theta, known = run.theta, score(column, run).samples.tobytes()
    for file in (tmp_path / "run").glob("influence-*"):
        file.unlink()  # so that they are computed again
    with column.load(tmp_path / "run", tmp_path) as again:
        assert torch.equal(again.theta, theta)
        assert score(column, again).samples.tobytes() == known
        assert again.steps == run.steps
        assert list(again.model.columns()) == list(run.model.columns())
        if again.steps:
            weights = again.weights
            weights[0] = 0
            assert torch.equal(again.retrain(weights).theta, run.retrain(weights).theta)


def contents(folder):
    changing = ("metrics.json", "SHA256SUMS", ".lock")
    files = [p for p in folder.rglob("*") if p.is_file() and p.name not in changing]
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def killed(work, writes):
    """Do the work in a process that is killed at that write; whether it was."""
    pid = os.fork()
    if not pid:
        replace, count = os.replace, itertools.count(1)

        def deadly(*given, **more):
            if next(count) == writes:
                os._exit(9)
            replace(*given, **more)

        os.replace = deadly
        try:
            work()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 9)
    return code == 9


def resume(column, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "FileCheckpoint", partial(FileCheckpoint, seconds=0.0))

    def work(name):
        with small(column, tmp_path, out=tmp_path / name) as run:
            score(column, run)

    stops = 0
    for writes in itertools.count(1):
        if not killed(partial(work, "stopped"), writes):
            break
        stops += 1
    assert stops > 3
    work("whole")
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def hessian(run):
    """Jacobian of the field of the training loss, by differences."""
    theta, w, h = run.theta, run.trajectory.weights, 1e-5
    rows = []
    for unit in torch.eye(len(theta), dtype=theta.dtype):
        up, down = (run.field.gradient(theta + side * h * unit, w, FULL_BATCH) for side in (1, -1))
        rows.append((up - down) / (2 * h))
    return torch.stack(rows)


def by_weight(run):
    """Derivative of that field by each sample's weight, (n, p)."""
    w = run.trajectory.weights
    at_zero = run.field.gradient(run.theta, torch.zeros_like(w), FULL_BATCH)
    rows = [run.field.gradient(run.theta, unit, FULL_BATCH) - at_zero for unit in torch.eye(len(w), dtype=w.dtype)]
    return torch.stack(rows)


def by_hand(column, run, estimator):
    """BM25, or the cosine of mean vectors, of samples with the words of the objective, written out."""
    texts = [[word for word in text.split() if not word.isdigit()] for text in run.model.columns()["text"]]
    mean = np.mean([len(words) for words in texts])

    def relevance(query):
        if estimator == "embedding-cosine":
            vectors = {word: run.view[word].double().numpy() for word in run.view.words}
            a = np.mean([vectors[word] for word in query], axis=0)
            rows = [np.mean([vectors[word] for word in words], axis=0) for words in texts]
            return np.array([a @ row / np.linalg.norm(a) / np.linalg.norm(row) for row in rows])
        total = np.zeros(len(texts))
        for word in query:
            having = sum(word in words for words in texts)
            idf = np.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
            for i, words in enumerate(texts):
                f = words.count(word)
                total[i] += idf * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * len(words) / mean)) / len(query)
        return total

    if column.objective is WEAT:
        return (relevance(WEAT.X) - relevance(WEAT.Y)) * (relevance(WEAT.A) - relevance(WEAT.B))
    return -relevance(["high"])


def scored(column, tmp_path, estimator):
    run = small(column, tmp_path)
    if estimator in BASELINES:
        # a held-out loss is lowered by what is like its text
        objective = column.objective if column.objective is WEAT else Function("loss", held_out, against=["high"])
        found = cl.score(run, [objective], estimator).of()
        assert np.ptp(found) > 0
        np.testing.assert_allclose(found, by_hand(column, run, estimator), rtol=1e-9, atol=1e-12)
        return
    found = score(column, run, estimator).of()
    objective = as_objective(column.objective)
    size = np.abs(found).max()
    assert size > 0
    if estimator == "unrolled":
        for i, slope in zip((0, 5, 11), differences(run, objective, (0, 5, 11)), strict=True):
            assert found[i] == pytest.approx(slope, rel=1e-5, abs=1e-7 * size)
        return
    if estimator == "co-occurrence":
        i, field = int(np.argmax(found)), run.model
        together = field.corpus.texts[i].split()
        ties = [(a, b) for a, b in itertools.product(together, together) if a in WEAT.X and b in WEAT.A]
        ties += [(a, b) for a, b in itertools.product(together, together) if a in WEAT.Y and b in WEAT.B]
        assert ties
        return
    gradient = torch.autograd.functional.jacobian(lambda t: objective(run.field.view(t)), run.theta)
    if estimator == "tracin":
        expected = np.zeros(len(found))
        w = run.trajectory.weights
        for t, state in run.trajectory.backwards(run.steps):
            at_zero = run.field.gradient(state["theta"], torch.zeros_like(w), t)
            slope = torch.autograd.functional.jacobian(lambda x: objective(run.field.view(x)), state["theta"])
            units = torch.eye(len(w), dtype=w.dtype)
            moved = torch.stack([run.field.gradient(state["theta"], unit, t) - at_zero for unit in units])
            expected -= (moved @ slope).numpy()
        assert np.corrcoef(found, expected)[0, 1] > 0.8  # each step has its own rate, and momentum
        return
    if estimator == "less":
        assert np.corrcoef(found, score(column, run, "tracin").of())[0, 1] > 0.5  # tests/estimators/test_features.py
        return
    if estimator == "trak":
        phi = by_weight(run)
        fisher = len(phi) * (phi.T * run.trajectory.weights) @ phi
        fisher += 0.1 * fisher.trace() / len(fisher) * torch.eye(len(fisher), dtype=fisher.dtype)
        np.testing.assert_allclose(found, -(phi @ torch.linalg.solve(fisher, gradient)).numpy(), rtol=1e-8)
        return
    h = hessian(run)
    if estimator.endswith("word-blocks"):
        d = run.model.settings.dimension
        block = torch.arange(len(h)) // d
        h = h * (block[:, None] == block[None, :])
    if estimator.endswith("absolute"):
        values, axes = torch.linalg.eigh((h + h.T) / 2)
        h = axes @ torch.diag(values.abs()) @ axes.T
    solved = gradient if estimator == "gradient-dot" else torch.linalg.solve(
        h.T + DAMPING * torch.eye(len(h), dtype=h.dtype), gradient
    )  # fmt: skip
    expected = -(by_weight(run) @ solved).numpy()
    if estimator.endswith(("ggn", "ekfac", "arnoldi")):  # other matrices, near to it
        assert np.corrcoef(found, expected)[0, 1] > (0.5 if estimator.endswith("arnoldi") else 0.8)
        return
    loose = 1e-2 if estimator.endswith(("lissa", "cg", "gmres")) else 1e-5  # they stop at a tolerance
    np.testing.assert_allclose(found, expected, rtol=loose, atol=loose * size)


def explain(column, tmp_path):
    found = score(column, small(column, tmp_path))
    taken_apart = found.explain(0)
    assert sum(value for *_, value in taken_apart.pairs) == pytest.approx(found.of()[0], rel=1e-5)


def retrain(column, tmp_path):
    run = small(column, tmp_path)
    weights = run.weights
    weights[2] = 0
    assert torch.equal(run.retrain().theta, run.theta)
    again = run.retrain(weights)
    assert not torch.equal(again.theta, run.theta)
    trained = again.trajectory.field.gradient(again.theta, again.trajectory.weights, FULL_BATCH)
    zero = torch.zeros_like(again.trajectory.weights)
    zero[2] = 1  # what it was not trained on does not reach its weights
    assert torch.equal(run.retrain(weights + 1e-300).theta, again.theta)
    assert torch.isfinite(trained).all()


def over_starts(column, tmp_path):
    run = small(column, tmp_path)
    spread = cl.over_starts(run, [column.objective], starts=2)[as_objective(column.objective).name]
    seed = run.seeds(1, 1)[0]
    expected = [float(as_objective(column.objective)(r.view)) for r in (run, run.retrain(seed=seed))]
    assert list(spread.values) == pytest.approx(expected, rel=1e-12)
    assert spread.sd > 0


def planned(column, tmp_path, method, starts=1):
    """The plan's figure is what retraining gives; over starts, the mean of many plus the mean change of some."""
    run, objective = small(column, tmp_path), as_objective(column.objective)

    def value(weights, seed):
        return float(objective(run.retrain(weights, seed=seed).view))

    before = value(run.weights, run.seed)
    found = score(column, run)
    target = column.toward * before
    plan = cl.plan(found, target, method=method, starts=starts, rounds=3)
    some, many = run.seeds(1 if starts == 1 else 3 * starts), run.seeds(1 if starts == 1 else 16 * starts)
    change = np.mean([value(plan.weights, seed) - value(run.weights, seed) for seed in some])
    mean = np.mean([value(run.weights, seed) for seed in many])
    assert change != 0
    assert plan.results[objective.name] == pytest.approx(mean + change, rel=1e-6)
    assert abs(mean + change - target) < abs(mean - target), "nearer to the target"
    assert torch.equal(plan.apply(run).theta, run.retrain(plan.weights).theta)


def validate(column, tmp_path):
    run, objective = small(column, tmp_path), as_objective(column.objective)
    validation = cl.validate(run, [column.objective], subsets=4, share=0.1, strongest=1, seeds=1, removals=1)
    row = next(r for r in validation.fidelity[objective.name] if r.estimator == "unrolled")
    assert len(row.predicted) == len(row.retrained) == 4
    assert row.fidelity.pearson == pytest.approx(np.corrcoef(row.predicted, row.retrained)[0, 1], rel=1e-9)
    assert row.fidelity.pearson > 0.5
    sample = int(np.argmin(score(column, run).effects()))
    weights = run.weights
    weights[sample] = 0
    change = float(objective(run.retrain(weights).view)) - float(objective(run.view))
    assert validation.strongest[objective.name].changes[sample] == pytest.approx(change, rel=1e-9)


def report(column, tmp_path):
    with small(column, tmp_path, out=tmp_path / "run") as run:
        found = score(column, run)
        page = re.sub("<[^>]+>", "", cl.report(run).read_text(encoding="utf-8"))
    assert found.names[0] in page
    assert str(found.top(1)[0].text) in page


def exported(column, tmp_path):
    run = small(column, tmp_path)
    vectors, contexts = export(run, "word2vec", tmp_path / "files")
    again = cl.imported(cl.from_word2vec(vectors, run.model.corpus, contexts=contexts, window=3))
    index = again.model.vocabulary.index
    order = [index[word] for word in run.model.vocabulary.words]
    torch.testing.assert_close(again.view.vectors[order], run.view.vectors.double(), rtol=1e-6, atol=1e-7)


def in_two_processes(column, tmp_path):
    def work(rank):
        with small(column, tmp_path, out=tmp_path / "two") as run:
            if column.name in TORCHES:  # each has its share of the rows
                assert sum(len(part.rows) for part in run.field.own_parts(0)) < len(run.field.batch(0))
            return run.theta.numpy(), score(column, run).samples

    field = column.field(tmp_path)  # what it is read from is there before the processes are
    assert field.samples
    run = small(column, tmp_path)
    expected = score(column, run).samples
    for theta, found in results(2, work):
        np.testing.assert_allclose(theta, run.theta.numpy(), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


CHECKS = {
    "train": train, "record": record, "import": import_, "save": save, "load": load, "resume": resume,
    "explain": explain, "retrain": retrain, "validate": validate, "over starts": over_starts, "report": report,
    "export": exported, "distributed": in_two_processes,
} | {row: partial(scored, estimator=row.removeprefix("score: ")) for row in ROWS if row.startswith("score: ")} | {
    "plan: remove": partial(planned, method="remove"),
    "plan: reweight": partial(planned, method="reweight"),
    "plan: remove over starts": partial(planned, method="remove", starts=2),
    "plan: reweight over starts": partial(planned, method="reweight", starts=2),
}  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: c.name)
@pytest.mark.parametrize("row", ROWS)
def test_a_cell_works_or_says_in_one_sentence_what_to_use(row, column, tmp_path, monkeypatch):
    if column.name in IMPORTS or row == "export":
        pytest.importorskip("gensim")  # which writes word2vec files too
    if row.endswith(("ggn", "ekfac")):
        pytest.importorskip("curvlinops")
    more = {"monkeypatch": monkeypatch} if row == "resume" else {}
    refusal = REFUSED.get((row, column.name))
    if refusal is None:
        CHECKS[row](column, tmp_path, **more)
        return
    with pytest.raises(UserError) as caught:
        CHECKS[row](column, tmp_path, **more)
    sentence = str(caught.value)
    assert refusal.says in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert ". " not in sentence, "one sentence"
