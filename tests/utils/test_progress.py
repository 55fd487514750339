"""Progress: quiet by default; bars on the error stream; one inside of another is gone when it is done."""

import crossloss as cl
from crossloss.utils.progress import track


def work():
    with track("outer") as outer:
        for done in range(3):
            outer(done, 3)
            with track("inner") as inner:
                inner(5, 5)
        outer(3, 3)
    with track("next") as after:
        after(1, 1)


def test_nothing_is_shown_unasked(capsys):
    work()
    assert capsys.readouterr() == ("", "")


def test_a_bar_for_each_piece_of_work_and_none_left_of_its_parts(capsys):
    with cl.progress():
        work()
    out, errors = capsys.readouterr()
    assert out == ""
    assert (errors.count("outer"), errors.count("next"), errors.count("inner")) == (1, 1, 0)
    assert "3/3" in errors


def test_a_bar_that_broke_off_leaves_the_next_its_place(capsys):
    with cl.progress():
        try:
            with track("broken") as first:
                first(1, 2)
                raise ValueError
        except ValueError:
            pass
        work()
    assert capsys.readouterr().err.count("outer") == 1


def test_pieces_of_work_reach_a_tracker_of_ones_own():
    from contextlib import contextmanager

    seen = []

    @contextmanager
    def tracker(name):
        yield lambda done, total: seen.append((name, done, total))

    with cl.progress(tracker):
        work()
    assert seen[:2] == [("outer", 0, 3), ("inner", 5, 5)]
    assert seen[-1] == ("next", 1, 1)
