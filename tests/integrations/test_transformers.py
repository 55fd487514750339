"""transformers' Trainer with its defaults, recorded: replayed to the bit, scores against differences of retraining."""

import copy

import numpy as np
import pytest
import torch

import crossloss as cl
from crossloss.core import UserError
from distributed_sample import results

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
from crossloss.integrations.transformers import record  # noqa: E402
from trainers import CASES, ROWS, Rows, bert, classes, following, gpt2, trainer  # noqa: E402


@pytest.mark.parametrize("more", [{}, {"gradient_accumulation_steps": 2}], ids=["defaults", "accumulated"])
@pytest.mark.parametrize("case", CASES)
def test_a_trainer_with_its_defaults_is_taken_again_to_the_bit(case, more, tmp_path):
    plain = CASES[case](tmp_path, optim="adamw_torch", **more)
    plain.train()
    recorded = CASES[case](tmp_path, optim="adamw_torch", **more)
    recorder = record(recorded)
    recorded.train()
    run = recorder.finish()
    for a, b in zip(plain.model.parameters(), recorded.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    names = dict(recorded.model.named_parameters())
    for name in run.view:
        torch.testing.assert_close(run.view[name], names[name], rtol=0, atol=0)
    assert run.steps == (10 if not more else 6)


@pytest.mark.parametrize("case", ["BERT, masked", "GPT-2", "BERT, classes"])
def test_scores_are_the_derivative_of_retraining(case, tmp_path):
    """Float64 and a larger eps: central differences of the weighted loop, through clipping, decay and dropout."""
    made = CASES[case](tmp_path, adam_epsilon=1e-3, weight_decay=0.1, max_grad_norm=0.5, warmup_steps=2)
    made.model.double()
    recorder = record(made)
    made.train()
    run = recorder.finish(accept=1e-6)  # the loss of GPT-2 is in float32, whatever the model

    def objective(model):
        ids = torch.tensor([[7, 8, 9, 10]])
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.square().mean()

    scores = cl.score(run, [objective])
    direction = np.random.default_rng(1).normal(size=ROWS)
    up, down = (float(objective(run.retrain(run.weights + h * direction).view)) for h in (1e-4, -1e-4))
    assert float(scores.of() @ direction) == pytest.approx((up - down) / 2e-4, rel=1e-5)


def test_a_fused_optimizer_is_taken_unfused(tmp_path):
    """Trainer's default; the same up to rounding."""
    made = CASES["GPT-2"](tmp_path)
    assert "fused" in made.args.optim
    recorder = record(made)
    made.train()
    assert recorder.finish().steps == 10


def test_lora_and_rows_of_a_dataset(tmp_path):
    """Adapters alone are trained; rows and their texts are the dataset's, whatever order and epoch."""
    peft, datasets = pytest.importorskip("peft"), pytest.importorskip("datasets")
    model = peft.get_peft_model(gpt2(), peft.LoraConfig(r=2, target_modules=["c_attn"], task_type="CAUSAL_LM"))
    made = trainer(tmp_path, model, following, optim="adamw_torch", learning_rate=1e-2)
    made.train_dataset = datasets.Dataset.from_list([row | {"text": f"row {i}"} for i, row in enumerate(Rows().rows)])
    recorder = record(made)
    made.train()
    run = recorder.finish(tmp_path / "run")
    assert all("lora" in name for name in run.view)
    drawn = np.concatenate([part.rows.numpy() for parts in run.field.order.steps for part in parts])
    assert np.bincount(drawn).tolist() == [2] * ROWS
    scores = cl.score(run, [lambda m: sum(p.square().sum() for name, p in m.items())])
    assert scores.amplifiers(1)[0].text.startswith("row ")
    run.close()
    with cl.load(tmp_path / "run", recorder.field) as again:
        torch.testing.assert_close(again.theta, run.theta, rtol=0, atol=0)


def test_the_trainer_is_as_it_was(tmp_path):
    made = CASES["BERT, classes"](tmp_path, optim="adamw_torch")
    callbacks = len(made.callback_handler.callbacks)
    recorder = record(made)
    made.train()
    assert recorder.finish().steps == 10
    assert not {"compute_loss", "get_train_dataloader"} & set(vars(made))
    assert len(made.callback_handler.callbacks) == callbacks
    made.train()


def test_evaluation_between_steps_is_not_recorded(tmp_path):
    made = CASES["BERT, masked"](tmp_path, optim="adamw_torch", eval_strategy="epoch", evaluated=Rows())
    recorder = record(made)
    made.train()
    assert recorder.finish().steps == 10


REFUSED = {
    "no Trainer": (lambda p: object(), "no transformers.Trainer"),
    "smoothing": (lambda p: CASES["GPT-2"](p, label_smoothing_factor=0.1), "label_smoothing_factor"),
    "half precision": (lambda p: CASES["GPT-2"](p, bf16=True), "leave bf16 out"),
    "checkpointing": (lambda p: CASES["GPT-2"](p, gradient_checkpointing=True), "leave gradient_checkpointing out"),
    "another head": (lambda p: trainer(p, bert("MultipleChoice"), classes), "give each row's, record"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_recorded_is_refused_before_the_training(what, tmp_path):
    make, why = REFUSED[what]
    with pytest.raises(UserError, match=why):
        record(make(tmp_path))


def test_nothing_was_trained(tmp_path):
    recorder = record(CASES["GPT-2"](tmp_path))
    with pytest.raises(UserError, match="Nothing was trained"):
        recorder.finish()


def test_several_threads_and_keys_without_a_gradient(tmp_path):
    """The key's bias moves by noise, at eps 1e-8 as far as any other parameter; all others are taken again."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        made = CASES["BERT, masked"](tmp_path, num_train_epochs=6)
        recorder = record(made)
        made.train()
        run = recorder.finish()
    finally:
        torch.set_num_threads(threads)
    names = dict(made.model.named_parameters())
    assert any(name.endswith("key.bias") for name in run.view)
    for name in run.view:
        if not name.endswith("key.bias"):
            torch.testing.assert_close(run.view[name], names[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", ["BERT, masked", "GPT-2"])
def test_scores_of_tokens_add_up_to_those_of_their_rows(case, tmp_path):
    """Batches are padded to different widths; padding and tokens that were never masked have 0."""
    made = CASES[case](tmp_path, optim="adamw_torch", adam_epsilon=1e-3)
    recorder = record(made)
    made.train()
    run = recorder.finish()

    def objective(model):
        ids = torch.tensor([[7, 8, 9, 10]])
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.square().mean()

    scores = cl.score(run, [objective])
    tokens = scores.tokens([3, 0, 8], length=8)
    np.testing.assert_allclose(tokens.sum(1), scores.of()[[3, 0, 8]], rtol=1e-4, atol=1e-7 * np.abs(scores.of()).max())
    for row, found in zip((3, 0, 8), tokens, strict=True):
        assert not found[len(made.train_dataset[row]["input_ids"]) :].any()
        assert found.any()
    with pytest.raises(UserError, match="give length="):
        scores.tokens([3], length=2)


def test_a_run_opens_again_in_a_process_that_trains_nothing(tmp_path):
    recorder = record(CASES["BERT, classes"](tmp_path))
    recorder._trainer.train()
    recorder.finish(tmp_path / "run").close()
    with cl.load(tmp_path / "run", record(CASES["BERT, classes"](tmp_path)).field) as run:
        assert run.steps == 10
        assert len(cl.score(run, [lambda m: m["classifier.weight"].square().sum()]).of()) == ROWS


@pytest.mark.parametrize("case", ["BERT, masked", "GPT-2", "BERT, classes"])
def test_a_batch_in_pieces_with_dropout_is_the_whole(case, tmp_path):
    trainer = CASES[case](tmp_path, gradient_accumulation_steps=2, num_train_epochs=1)
    recorder = record(trainer)
    trainer.train()
    run = recorder.finish()
    whole = run.field.double()
    pieces = copy.copy(whole)
    pieces.chunk = 3
    assert [len(p.rows) for p in pieces.parts(0)] == [2, 2, 2, 2]
    theta, w = run.trajectory.initial.double(), torch.linspace(0.5, 1.5, ROWS, dtype=torch.float64)
    a, found = torch.ones(1, len(theta), dtype=torch.float64), []
    for field in (whole, pieces):
        into = field.accumulator(1)
        found.append([field.gradient(theta, w, 1), field.at(theta, w, 1).pullback(a, into), into.samples()])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-9)  # transformers has some float32 inside


def test_a_recorded_folder_is_scored_and_retrained_in_two_processes(tmp_path):
    def objective(model):
        ids = torch.arange(5, 13)[None]
        return model(input_ids=ids).logits[0, 2, 7]

    trainer = CASES["GPT-2"](tmp_path / "trainer", optim="adamw_torch", num_train_epochs=1, adam_epsilon=1e-6)
    recorder = record(trainer)
    trainer.train()

    def figures(run):
        weights = run.weights
        weights[:2] = 0
        return run.retrain(weights).theta.numpy(), cl.score(run, [objective]).samples

    with recorder.finish(tmp_path / "run") as run:
        theta, scores = figures(run)
    for file in (tmp_path / "run").glob("influence-*"):
        file.unlink()

    def work(rank):
        with cl.load(tmp_path / "run", recorder.field) as again:
            assert [len(part.rows) for part in again.field.own_parts(0)] == [2]
            return figures(again)

    for other_theta, other in results(2, work):
        np.testing.assert_allclose(other_theta, theta, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(other, scores, rtol=1e-2, atol=2e-3 * np.abs(scores).max())


def test_a_trainer_of_several_processes_is_refused_when_it_starts(tmp_path):
    trainer = CASES["GPT-2"](tmp_path)
    trainer.args.__class__ = type("Two", (type(trainer.args),), {"world_size": 2})
    recorder = record(trainer)
    assert recorder.field.samples == ROWS
    with pytest.raises(UserError, match="Recording is of one process: train in one"):
        recorder._start(trainer.model, trainer.create_optimizer())
