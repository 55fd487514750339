import shlex

import pytest
from report_sample import bare, check, fidelity, objective, plan, report

from crossloss.objectives import RareWords
from crossloss.report import words
from crossloss.report.page import Contents
from crossloss.utils import display
from crossloss.utils.statistics import Fidelity
from crossloss.validation.spread import Spread
from crossloss.validation.strongest import Strongest


@pytest.mark.parametrize(
    ("write", "number", "shown"),
    [
        (display.value, 1.5634, "1.56"), (display.value, -1.0452, "−1.05"), (display.value, -0.0061, "−0.006"),
        (display.value, -0.00001, "0.000"), (display.value, float("nan"), "not a number"),
        (display.effect, -0.0042, "−0.0042"), (display.effect, 0.00013, "+0.00013"), (display.effect, 0.0, "0.0000"),
        (display.effect, -0.000013, "−0.000013"), (display.effect, 1.5, "+1.5000"),
        (display.probability, 0.0496, "0.050"), (display.probability, 0.0000012, "0.0000012"),
        (display.probability, 1.0, "1.00"), (display.probability, None, "–"),
        (display.percent, 0.1, "10 %"), (display.percent, 0.00056, "0.056 %"), (display.percent, 1.0, "100 %"),
        (display.percent, 0.0, "0 %"),
        (display.duration, 0.42, "0.4 s"), (display.duration, 21.4, "21 s"), (display.duration, 59.9, "1 min 00 s"),
        (display.duration, 200, "3 min 20 s"), (display.duration, 3900, "1 h 05 min"),
        (display.count, 180153, "180,153"),
    ],
)  # fmt: skip
def test_numbers(write, number, shown):
    assert write(number) == shown


def test_figures_near_one_are_not_rounded_to_it():
    assert words.interval(0.978, 0.951, 0.9961) == "0.98 (0.95 to 0.996)"
    assert words.interval(0.01123, -0.002, 0.5) == "0.011 (−0.0020 to 0.50)"


def test_spread_is_mean_and_sample_deviation():
    assert display.spread([1.0, 2.0, 4.0]) == "2.33 ± 1.53"
    assert display.spread([1.0]) == "1.00"


NAME, VALUES = "paper-career", {"paper-career": 1.56}


def test_the_answer_in_words():
    made = plan(NAME, 1.56, size=100, predicted=1.15, retrained=0.99)
    assert words.answer(NAME, VALUES, made, check(retrained=0.99)) == (
        "Removing 100 of 180,153 sentences brings paper-career from 1.56 to 0.99 (predicted 1.15); from 5 other "
        "starts, which it was not fitted to, from 1.65 ± 0.04 to 0.17 ± 0.11."
    )
    alone = plan(NAME, 1.56, size=1, predicted=1.15, retrained=0.99)
    assert words.answer(NAME, VALUES, alone, noun="image") == (
        "Removing 1 of 180,153 images brings paper-career from 1.56 to 0.99 (predicted 1.15)."
    )


def test_the_answer_of_other_weights_says_what_changed():
    made = plan(NAME, 1.56, method="reweight", size=7, moved=0.031, predicted=1.15, retrained=0.99)
    assert words.answer(NAME, VALUES, made) == (
        "The plan reweight (weight changed 3.1 %, 7 of 180,153 sentences out) brings paper-career from 1.56 to 0.99 "
        "(predicted 1.15)."
    )


def test_a_plan_for_several_starts_is_of_their_mean():
    made = plan(NAME, 1.4, method="reweight", size=0, moved=0.031, predicted=0.1, retrained=0.02, starts=5)
    assert words.answer(NAME, VALUES, made).endswith("from 1.40 to 0.02 (predicted 0.10, mean of 5 starts).")


def test_hard_debias_acts_without_other_weights():
    made = plan(NAME, 1.56, method="hard", size=0, moved=0.0, retrained=0.3)
    assert "(hard) brings 1 of them to its target of 0. Retrained: paper-career 0.30" in words.answers(
        {**VALUES, "other": 0.5}, {NAME: made}, {}
    )


def test_a_spread_larger_than_the_value_is_said():
    assert Spread((0.5, 0.7)).sentence("f") == "From 2 starts f is 0.60 ± 0.14."
    unsure = Spread((0.9, -0.5, 0.1)).sentence("f")
    assert unsure.endswith(
        "0.17 ± 0.70. The starts differ by more than its size: not even its sign is a property of the data."
    )
    shown = words.all_starts(
        ["paper-career", "other", "more"], {"paper-career": Spread((0.1, -0.5, 0.9)), "other": Spread((1.5, 1.6))}
    )
    assert shown == (
        "Over 3 starts of the initial parameters (mean ± sd): paper-career 0.17 ± 0.70, other 1.55 ± 0.07. Of "
        "paper-career not even the sign is a property of the data."
    )
    assert words.all_starts(["f"], {}) == words.all_starts(["f"], {"f": Spread((0.1,))}) == ""


def test_rare_words_are_named_with_what_the_test_is_without_them():
    assert RareWords((("tia", 6),), 0.4, 0.03).sentence("f") == (
        "One word is rare in the corpus, fewer than 50 times: tia 6; a few sentences decide where they lie. Without it "
        "f is 0.40 (p 0.030)."
    )
    many = RareWords(tuple((f"w{i}", i) for i in range(1, 15))).sentence("f")
    assert "14 words are rare" in many
    assert "w12 12 and 2 more" in many
    assert "Without" not in many


def test_the_strongest_are_said_to_be_larger_than_predicted():
    def summary(r, slope):
        return Strongest([0] * 10, [], [], Fidelity(r, *[0.9] * 5, slope, 0.9, 1.1, 10)).summary("f")[0]

    assert summary(0.97, 1.1) == (
        "Each of the 10 strongest of f was left out alone and the model trained again: correlation of predicted with "
        "retrained effect 0.97, slope 1.10."
    )
    assert summary(0.9, 2.2).endswith("Single effects are larger than predicted.")
    assert summary(0.9, 0.5).endswith("Single effects are smaller than predicted.")


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"retrained": None}, "not yet retrained without them"),
        ({"size": 0, "retrained": None}, "already at the target of 0.00: nothing to remove"),
        ({"size": 0, "reached": False, "retrained": None}, "no removal that was tried brings it nearer to 0.00"),
        ({"reached": False}, "short of the target of 0.00"),
    ],
)
def test_the_answer_says_what_is_not_so(changes, part):
    assert part in words.answer(NAME, VALUES, plan(NAME, 1.56, **changes))


def test_without_a_plan_the_answer_is_the_value():
    assert words.answers(VALUES, {}, {}) == "paper-career is 1.56; no plan to change it yet."
    both = words.answers({**VALUES, "other": 0.5}, {}, {})
    assert both == "They are paper-career 1.56, other 0.50; there is no plan to change them yet."


def test_the_first_sentence_shown_is_one_the_plan_removes():
    o = objective()
    first = Contents(report(o)).first(NAME)
    assert (first.rank, first.id) == (1, "1000")
    o.plans = [plan(NAME, o.value, target=2.0)]
    assert Contents(report(o)).first(NAME).id == "1050"
    o = objective()
    o.amplifiers[0].candidate = True
    assert Contents(report(o)).first(NAME).id == "1001"


def test_verdicts_name_a_baseline_that_did_better():
    rows = [fidelity("unrolled", 0.70, 1), fidelity("gradient-dot", 0.90, 1), fidelity("co-occurrence", 0.2, 1)]
    assert words.verdicts(rows) == [
        "Without 10 % of the sentences, gradient-dot did better than unrolled: Pearson 0.90 against 0.70."
    ]


def test_verdicts_keep_sizes_apart_and_say_where_intervals_overlap():
    rows = [
        fidelity("unrolled", 0.90, 1, share=0.1), fidelity("gradient-dot", 0.88, 1, share=0.1),
        fidelity("unrolled", 0.95, 1, share=0.5), fidelity("gradient-dot", 0.50, 1, share=0.5),
    ]  # fmt: skip
    assert words.verdicts(rows) == [
        "Without 10 % of the sentences, unrolled predicted retraining best: Pearson 0.90, against 0.88 for "
        "gradient-dot, but their intervals overlap.",
        "Without 50 % of the sentences, unrolled predicted retraining best: Pearson 0.95, against 0.50 for "
        "gradient-dot.",
    ]


def test_trust_speaks_of_one_size_only():
    rows = [fidelity("unrolled", 0.978, 1), fidelity("unrolled", 0.6, 1, share=0.5)]
    text = words.trust({"f": rows})
    assert "30 times without a random 10 %" in text
    assert "0.98 (0.95 to 0.998)" in text
    assert "0.60" not in text
    assert words.trust({"f": []}) == words.trust({}) == words.trust({"f": rows}, "tracin") == ""


def test_effects_without_a_unit_are_said_to_have_none():
    assert words.guide("unrolled", "sentence")[1].endswith("The unit is the score’s own.")
    assert "have no unit" in words.guide("gradient-dot", "sentence")[1]


def test_scores_of_a_model_trained_elsewhere_are_a_ranking():
    assert "Use such scores as a ranking" in words.elsewhere("inverse-hessian", "torch")
    assert "a ranking and no exact effects" in words.elsewhere("inverse-hessian-word-blocks", "skip-gram")


def test_commands_are_quoted_for_a_shell():
    odd = "runs/my run; rm -rf ~"
    assert Contents(report(folder=odd)).command("validate") == "crossloss validate 'runs/my run; rm -rf ~'"
    shown = Contents(report(bare("a b"))).command("plan --target 0", "a b")
    assert shlex.split(shown) == ["crossloss", "plan", "runs/mine", "--objective", "a b", "--target", "0"]


def test_a_run_in_memory_names_python_in_place_of_commands():
    contents = Contents(report(bare("a'b"), folder=None))
    assert contents.command("validate") == "cl.validate(run)"
    assert contents.command("plan --target 0", "a'b") == """cl.plan(scores, {"a'b": 0.0})"""
