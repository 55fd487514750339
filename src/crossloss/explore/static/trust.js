// How far a number can be trusted, beside it; the worker's progress; what retraining found.
import { $, fill, make, table } from "./dom.js";
import { agreement, duration, percent, several, spread, value } from "./format.js";
import { ask, current, run, say, tell } from "./state.js";

// Behind every predicted number: how well predictions of this run have agreed with retraining.
export function badge(objective) {
  const trust = objective.trust;
  if (trust?.pearson === undefined) {
    return make("span", { className: "chip", title: "First order, not checked by retraining: crossloss validate" }, "not checked");
  }
  const title = `First order. Checked ${trust.subsets} times without a random ${percent(trust.share)}: correlation ${agreement(trust.pearson)}, slope ${agreement(trust.slope)}`;
  return make("span", { className: "chip", title }, `r\u00a0${agreement(trust.pearson)}, slope\u00a0${agreement(trust.slope)}`);
}

// What is predicted, as a list; nothing where scores have no unit.
export const predicted = (cell) => (run.cannot.unit ? [] : [cell]);

export function predictedCell(total) {
  if (!total.beyond) return value(total.predicted);
  return make("span", {}, value(total.predicted), make("abbr", { title: "Beyond first order: the objective can never be this" }, " !"));
}

export function trustText(objective) {
  const { trust } = objective;
  const noun = run.noun;
  const told = [run.cannot.unit ? `${run.estimator} ranks ${noun}s, and has no unit.` : "Predictions are first order."];
  if (trust?.pearson !== undefined) {
    const interval = `${agreement(trust.pearson)} (${agreement(trust.pearson_low)} to ${agreement(trust.pearson_high)})`;
    told.push(
      `Checked by retraining ${several(trust.subsets, "time")} without a random ${percent(trust.share)} of the ${noun}s: correlation ${interval}, slope ${agreement(trust.slope)}.`,
    );
  } else told.push(`Nothing was checked by retraining yet${run.cannot.retrain ? "." : ": press Retrain, or crossloss validate."}`);
  if (trust?.single) {
    told.push(`The strongest one by one: correlation ${agreement(trust.single.pearson)}, slope ${agreement(trust.single.slope)}.`);
  }
  if (objective.spread?.length > 1) {
    told.push(`From ${several(objective.spread.length, "start")} it is ${spread(objective.spread)}.`);
  }
  return told.join(" ");
}

// Benchmarks before and after: what a repair costs.
const BENCHMARKS = { wordsim353: "WordSim-353", simlex999: "SimLex-999" };

export function found(one, where) {
  const names = Object.keys(BENCHMARKS).filter((name) => one.after[name] !== undefined && one.before[name] !== undefined);
  if (!names.length) return null;
  const rows = names.map((name) => [BENCHMARKS[name], one.before[name].toFixed(3), one.after[name].toFixed(3)]);
  return table(`Quality of the vectors ${where}, retrained`, ["benchmark", "before", "after"], rows);
}

// Work

// What retraining takes: every start but the run's own is trained twice, with its weights and with the changed ones.
export function estimate(starts) {
  return run.seconds ? `takes about ${duration(run.seconds * (2 * starts - 1))}` : "";
}

let watching = false;

export async function begin(path, body) {
  try {
    const job = await ask(path, body);
    say(`Begun: ${job.what}.`);
    watch(job);
  } catch (error) {
    say(error.message);
  }
}

export async function watch(job) {
  if (watching) return;
  watching = true;
  let seen = job;
  let silent = 0;
  while (seen && seen.state === "running") {
    progress(seen);
    await new Promise((resolve) => setTimeout(resolve, 250));
    try {
      seen = await ask("/api/job");
      silent = 0;
    } catch (error) {
      silent += 1;
      if (silent > 8) {
        say(error.message);
        break;
      }
    }
  }
  watching = false;
  $("job").hidden = true;
  working(false);
  if (!seen || seen.state === "running") return;
  if (seen.state === "failed") say(seen.error);
  else if (seen.state === "cancelled") say(`Cancelled: ${seen.what}. The run is as it was.`);
  else {
    Object.assign(run, await ask("/api/run"));
    say(`Done in ${duration(seen.seconds)}: ${seen.what}.`);
    tell(seen.result?.objective !== undefined && seen.result.after === undefined ? "scored" : "found", seen.result);
  }
}

function working(on) {
  for (const button of document.querySelectorAll(".button.main")) button.ariaDisabled = on ? "true" : null;
}

function progress(job) {
  $("job").hidden = false;
  working(true);
  $("job-what").textContent = `${job.what}${job.stage ? ` · ${job.stage}` : ""}`;
  const bar = $("job-progress");
  if (job.total) {
    bar.max = job.total;
    bar.value = job.done;
  } else bar.removeAttribute("value");
  $("job-left").textContent = job.left === null ? `${duration(job.seconds)}` : `${duration(job.left)} left`;
}

export function headline() {
  const o = current();
  $("source").textContent = `crossloss explorer · ${run.source} · ${run.counts}`;
  $("title").textContent = `Which ${run.noun}s made ${o.name} ${value(o.value)}?`;
  document.title = `${o.name} ${value(o.value)} – crossloss explorer`;
  fill($("meaning"), [o.question, o.meaning].filter(Boolean).join(" "));
  $("trust").textContent = run.note || trustText(o);
  fill($("sign"), "In the list: ", run.cannot.unit ? `the order counts, effects of ${run.estimator} have no unit.` : `the effect of removing a ${run.noun}, in the unit of the objective${run.candidates ? "; of a candidate, that of adding it" : ""}.`);
  if (run.cannot.words) return;
  $("sign").append(" ", make("mark", { className: "up3" }, "Words like this"), " raise the objective, ", make("mark", { className: "down3" }, "words like this"), " lower it.");
}
