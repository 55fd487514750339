// The page: reads what the run is, then lets each part answer what the address asks.
import * as asking from "./ask.js";
import * as baskets from "./basket.js";
import { $, fill, make } from "./dom.js";
import { probability, value } from "./format.js";
import * as panels from "./panels.js";
import * as rows from "./rows.js";
import { ask, change, on, read, run, say, state, tell } from "./state.js";
import { headline, watch } from "./trust.js";

let tests = {};

function tabs() {
  fill(
    $("objectives"),
    ...run.objectives.map((o) => {
      const p = tests[o.name]?.p;
      const told = `${o.name} ${value(o.value)}${p === undefined ? "" : `, p ${probability(p)}`}`;
      const chosen = o.name === state.objective;
      return make("button", { type: "button", className: "tab", ariaPressed: String(chosen), onclick: () => change({ objective: o.name, low: undefined, high: undefined, other: undefined, up: undefined, edited: undefined }, "objective") }, told);
    }),
  );
}

function limits() {
  $("ask").hidden = Boolean(run.cannot.sentence);
  const ofWords = [$("f-word").parentElement, $("f-length"), $("f-grouped").parentElement, $("swap"), $("f-order").querySelector("[value=diverse]")];
  for (const part of ofWords) part.hidden = Boolean(run.cannot.words);
  for (const id of ["leave-retrain", "basket-retrain"]) {
    $(id).hidden = Boolean(run.cannot.retrain);
    $(id).nextElementSibling.hidden = Boolean(run.cannot.retrain || run.cannot.starts);
    $(id).nextElementSibling.nextElementSibling.hidden = Boolean(run.cannot.retrain);
  }
  const reasons = [...new Set(Object.values(run.cannot))];
  if (reasons.length) $("ask").before(make("section", {}, make("h2", {}, "What this run cannot do"), ...reasons.map((reason) => make("p", { className: "caveat" }, reason))));
  const title = run.noun[0].toUpperCase() + run.noun.slice(1);
  $("sentences-title").textContent = `${title}s`;
  document.querySelector(".skip").textContent = `Skip to the ${run.noun}s`;
}

function shown() {
  read();
  tell("ask");
  tell("objective");
  tell("basket");
  tell("written");
}

async function start() {
  try {
    Object.assign(run, await ask("/api/run"));
  } catch (error) {
    $("title").textContent = "The explorer cannot show this run";
    fill($("meaning"), error.message);
    document.querySelector("main").hidden = true;
    return;
  }
  on("objective", () => {
    headline();
    tabs();
  });
  on("scored", (job) => {
    headline();
    change({ objective: job.objective, edited: undefined, written: undefined }, "objective");
  });
  asking.start();
  rows.start();
  baskets.start();
  panels.start();
  limits();
  shown();
  window.addEventListener("hashchange", shown);
  document.documentElement.classList.add("ready");
  $("job-cancel").addEventListener("click", () => ask("/api/job/cancel", {}).catch((error) => say(error.message)));
  ask("/api/job").then((job) => job?.state === "running" && watch(job)).catch(() => {});
  try {
    tests = await ask("/api/tests");
    tabs();
  } catch {
    tests = {};
  }
}

start();
