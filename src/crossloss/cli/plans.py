"""The commands that plan and check by retraining: plan, validate."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import typer

import crossloss as cl
from crossloss.cli.options import Count, Named, RunArgument, only_one, opened
from crossloss.cli.printing import print_line, print_result, print_table
from crossloss.folders.restore import save_flip, stored_scores, stored_targets
from crossloss.models.skipgram.model import require_skipgram
from crossloss.objectives import Weat
from crossloss.objectives.bounds import check_target
from crossloss.plans import METHODS, transfer
from crossloss.plans.evaluate import FURTHER_STARTS, HALVES
from crossloss.plans.evaluation import metrics_of
from crossloss.plans.flip import VERDICTS
from crossloss.plans.update import ARMS
from crossloss.scores.reading import ranking
from crossloss.utils.display import Table, spread


def plan_and_validate(scores: cl.Scores, targets: Mapping[str, float], count: int, **settings: Any) -> None:
    """Plan for each target, validate, save all of it, and print it with the strongest sentences, and the report."""
    run, plans = scores.run, {name: cl.plan(scores, {name: target}) for name, target in targets.items()}
    for made in plans.values():
        made.save(run)
    validation = cl.validate(run, scores.objectives, plans=plans, **settings)
    scores.save()
    for name in scores.names:
        checked = validation.strongest.get(name)
        if count:
            print_table(*ranking(scores, name, count, retrained=checked.changes if checked else None))
        print_line(*checked.summary(name) if checked else ())
        print_result(plans[name])
    for name, check in validation.plans.items():
        print_line(*check.summary(plans[name]))
    print_result(validation)
    print_line(f"Report: {cl.report(run)}")


def plan(
    run: RunArgument,
    objective: Named = None,
    method: Annotated[str, typer.Option(help=f"{', '.join(METHODS)}.")] = "remove",
    target: Annotated[float, typer.Option(help="Where the objectives should go; away from 0: more biased.")] = 0.0,
    starts: Annotated[int, typer.Option(min=1, help="Starts to which remove, reweight and swap are fitted.")] = 1,
    group: Annotated[list[str] | None, typer.Option(help="Word sets of hard debias: gender, race.")] = None,
    share: Annotated[
        float | None, typer.Option(help="Of swap: this part, drawn at random, whatever scores say.")
    ] = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Of swap and remove: at most so many sentences.")] = None,
    copies: Annotated[bool, typer.Option("--copies", help="Of swap: add the versions; their sentences stay.")] = False,
    evaluation: Annotated[bool, typer.Option("--evaluate", help="Judge it on starts and words not fitted to.")] = False,
    held_out_starts: Annotated[int, typer.Option(min=2, help="Further starts that it is judged by.")] = FURTHER_STARTS,
    halves: Annotated[
        int, typer.Option(min=0, help="Times a half of the words is fitted to and the other half judged.")
    ] = HALVES,
    transferred: Annotated[bool, typer.Option("--transfer", help="Train gensim's Word2Vec before and after.")] = False,
    robustness: Annotated[bool, typer.Option("--robustness", help="How few sentences decide each test?")] = False,
    min_count: Annotated[int, typer.Option(min=0, help="Robustness of the tests without rarer words.")] = 0,
) -> None:
    """Plan which sentences to leave out or to weigh otherwise, so that objectives reach a target.

    Retrains on the way. A removal, undo, reinforce and both are one plan for each objective; other methods one for all.
    With --robustness no plan is made: it finds, by retraining, how few sentences decide each test.
    """
    made_by = method != "remove" or starts != 1 or share is not None or budget is not None or copies or target
    only_one({"--robustness": robustness, "what a plan is made by": made_by or evaluation or transferred})
    if not evaluation and (halves != HALVES or (held_out_starts != FURTHER_STARTS and not transferred)):
        raise cl.UserError("--held-out-starts and --halves say how a plan is judged: give --evaluate.")
    if min_count and not robustness:
        raise cl.UserError("--min-count leaves rarer words out of the tests of --robustness: give both.")
    if group and "hard" not in method.split("+"):
        raise cl.UserError("--group names word sets of hard debias: give a --method with hard in it.")
    with opened(run, objective) as (trained, objectives, names):
        chosen = [o for o in objectives if o.name in names]
        for o in chosen:
            check_target(o, target, trained.model.word_index)
        if robustness:
            _print_robustness(trained, chosen, min_count)
            return
        scores = stored_scores(trained, objectives)
        single = (method == "remove" and starts == 1) or method.rpartition("+")[2] in ARMS
        evaluations = []
        for wanted in [{name: target} for name in names] if single else [dict.fromkeys(names, target)]:
            made = cl.plan(
                scores, wanted, method=method, starts=starts, groups=group or ("gender",), share=share, budget=budget,
                copies=copies,
            )  # fmt: skip
            made.save(trained)
            print_result(made)
            if evaluation:
                evaluations.append(cl.evaluate(made, trained, chosen, seeds=held_out_starts, halves=halves))
                evaluations[-1].save(trained)
                print_result(evaluations[-1])
            path = run / f"plan-{made.name}.parquet"
            if method != "hard":
                swap = " --swap PAIRS" if len(made.added) else ""
                print_line(f"Train with it: crossloss train CORPUS{swap} --weights {path} --out FIXED")
                print_line(f"Or elsewhere: crossloss export {run} --format corpus --plan {path} --out FIXED")
            if transferred:
                _print_transfer(trained, chosen, made, held_out_starts)
        if evaluations:
            trained.store.log_metrics(metrics_of(evaluations))


def _print_transfer(run: cl.Run, objectives: list[Any], plan: cl.Plan, seeds: int) -> None:
    """Print, and log, whether a plan changes another trainer's model."""
    made = transfer(run, objectives, plan.weights, range(1, seeds + 1))
    for name, t in made.items():
        run.store.log_metrics(t.metrics(f"transfer.{plan.name}.{name}"))
    rows = [(name, spread(t.before), spread(t.after), t.verdict) for name, t in made.items()]
    headings = ("test", "before", "after", "carries over")
    print_table(Table("gensim's Word2Vec on the corpus before and after", headings, rows))


def _print_robustness(run: cl.Run, tests: list[Any], min_count: int) -> None:
    for o in tests:
        if not isinstance(o, Weat):
            raise cl.UserError(f"--robustness is for association tests, and {o.name} is none: name them (--objective).")
    owners = [o.name for o in tests]
    if min_count:
        counts = require_skipgram(run.model, "--min-count").vocabulary.occurrences
        label = f" (words of {min_count} occurrences or more)"
        tests = [replace(o.frequent(counts, min_count), name=f"{o.name}{label}") for o in tests]
    scores = cl.score(run, tests)
    for o, owner in zip(tests, owners, strict=True):
        for verdict in VERDICTS:
            first, *more = save_flip(run, cl.smallest_flip(scores, o, verdict), owner)
            print_line(first, *(f"  {line}" for line in more))


def validate(
    run: RunArgument,
    subsets: Annotated[int, typer.Option(min=3, help="Random subsets to retrain without.")] = 30,
    share: Annotated[float, typer.Option(help="Part of the sentences that each subset leaves out.")] = 0.1,
    starts: Annotated[int, typer.Option(min=0, help="Other starts to retrain the plans from.")] = 5,
    removals: Annotated[int, typer.Option(min=0, help="Random sets of each plan's size to retrain without.")] = 3,
    count: Count = 5,
) -> None:
    """Check scores by retraining: without random subsets, without each sentence shown, and with the plans."""
    if not 0 < share < 1:
        raise cl.UserError(f"A share of {share:g} leaves out nothing or everything: give one between 0 and 1.")
    with opened(run, None) as (trained, objectives, names):
        scores, targets = cl.score(trained, objectives), stored_targets(trained, names)
        more = {"subsets": subsets, "share": share, "seeds": starts, "removals": removals, "strongest": count}
        plan_and_validate(scores, targets, count, **more)
