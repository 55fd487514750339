"""The worker: one thing at a time, cancelled between two steps, and the folder as it was."""

import threading
import time

import pytest
from explored import MINE, NEAR, explored, make_run

import crossloss as cl
from crossloss.core import UserError
from crossloss.explore.worker import Busy, Worker
from crossloss.utils.progress import track


def waiting(begun, go, steps=1000):
    def work():
        with track("stepping") as step:
            for done in range(steps):
                step(done + 1, steps)
                begun.set()
                go.wait(0.005)
        return "all"

    return work


def test_one_thing_at_a_time_and_cancelled_at_the_next_step():
    worker, begun = Worker(), threading.Event()
    job = worker.start("first", waiting(begun, threading.Event()))
    assert begun.wait(10)
    with pytest.raises(Busy, match="first"):
        worker.start("second", lambda: None)
    with pytest.raises(Busy), worker.idle():
        pass
    worker.cancel()
    worker.wait(10)
    assert (job.state, job.result) == ("cancelled", None)
    assert 0 < job.done < 1000
    again = worker.start("third", lambda: 3)
    worker.wait(10)
    assert (again.state, again.result) == ("done", 3)
    with worker.idle():
        pass


def test_progress_and_the_time_left_are_told():
    worker, begun, go = Worker(), threading.Event(), threading.Event()
    job = worker.start("it", waiting(begun, go, steps=200))
    end = time.monotonic() + 10
    while job.plain()["done"] < 5 and time.monotonic() < end:
        time.sleep(0.002)
    seen = job.plain()
    assert (seen["state"], seen["stage"], seen["total"]) == ("running", "stepping", 200)
    assert seen["left"] > 0
    go.set()
    worker.wait(10)
    assert job.plain()["state"] == "done"
    assert job.plain()["left"] is None


@pytest.mark.parametrize(
    ("error", "told"), [(UserError("Do this."), "Do this."), (ZeroDivisionError("x"), "crossloss itself")]
)
def test_what_fails_says_so(error, told, capsys):
    worker = Worker()

    def work():
        raise error

    job = worker.start("it", work)
    worker.wait(10)
    assert job.state == "failed"
    assert told in job.error


def test_a_cancelled_retraining_leaves_the_run_as_it_was(tmp_path):
    run = make_run(tmp_path / "run", steps=50)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p.name != ".lock"}
    body = {"changes": [{"weight": 0, "samples": [1, 2]}], "starts": 20}
    with explored(run) as own:
        status, job = own.ask("/api/basket/retrain", body)
        assert (status, job["state"]) == (200, "running")
        status, refused = own.ask("/api/basket/retrain", body)
        assert status == 409
        assert "wait for retraining with 2 sentences changed" in refused["error"]
        assert own.ask("/api/basket/plan", body)[0] == 409
        assert own.ask("/api/rows", {"objective": "mine"})[0] == 200
        own.ask("/api/job/cancel", {})
        end = time.monotonic() + 20
        while (job := own.ask("/api/job")[1])["state"] == "running":
            assert time.monotonic() < end
            time.sleep(0.01)
        assert job["state"] == "cancelled"
        _, about = own.ask("/api/run")
        assert about["found"] == []
    after = {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p.name != ".lock"}
    changed = {p.name for p in after if before.get(p) != after[p]}
    assert changed <= {"SHA256SUMS"} | {p.name for p in after if p.parent.name == "retrains"}
    with cl.load(run) as opened:
        cl.score(opened, [MINE, NEAR])


def test_closing_cancels_and_a_run_can_be_opened_at_once(tmp_path):
    run = make_run(tmp_path / "run", steps=50)
    with explored(run) as own:
        own.ask("/api/basket/retrain", {"changes": [{"weight": 0, "samples": [1]}], "starts": 20})
    with cl.load(run) as opened:
        assert opened.steps == 50
