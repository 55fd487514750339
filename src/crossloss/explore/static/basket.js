// The basket: what it is predicted to do to every objective, what retraining found, a plan of it, words swapped in it.
import { $, csv, fill, make, note, save, sentence, table } from "./dom.js";
import { count, effect, percent, several, spread, value } from "./format.js";
import { ask, basket, changes, empty, newest, on, put, run, say, state } from "./state.js";
import { badge, begin, estimate, found, predicted, predictedCell } from "./trust.js";

const SHOWN = 50;

const totals = newest("/api/basket", (given, error) => {
  if (error) fill($("basket-totals"), note(error.message, "caveat"));
  else show(given);
});

const listed = newest("/api/rows", (given, error) => {
  if (!error) fill($("basket-rows"), ...given.rows.map(line));
});

function show(given) {
  const mine = run.found.findLast((f) => f.key === given.key); // retrained with exactly these weights
  const parts = [
    given.out ? `${count(given.out)} out` : "",
    given.in ? `${count(given.in)} added` : "",
    given.other ? `${count(given.other)} weighed otherwise` : "",
  ].filter(Boolean);
  $("basket-what").textContent = parts.length ? `${several(basket.size, run.noun)}: ${parts.join(", ")}; ${percent(given.moved)} of the training weight.` : "Nothing in it changes a weight.";
  const spreads = mine?.starts;
  const heads = ["objective", "now", ...predicted("predicted"), ...(mine ? ["retrained"] : []), "checked"];
  const rows = given.totals.map((t, i) => [
    t.name,
    value(t.value),
    ...predicted(predictedCell(t)),
    ...(mine ? [make("strong", { className: "found-text" }, value(mine.after[t.name]))] : []),
    badge(run.objectives[i]),
  ]);
  const told = [table("Every objective with this basket", heads, rows)];
  if (given.totals.some((t) => t.beyond)) told.push(note("! First order goes beyond what the objective can ever be: retrain to see."));
  if (spreads) {
    const over = given.totals.map((t) => [t.name, ...[0, 1].map((side) => spread(spreads.map((s) => s[side][t.name])))]);
    told.push(table(`From ${spreads.length} starts, mean ± sd`, ["objective", "before", "after"], over));
  }
  if (mine) told.push(found(mine, "with this basket"));
  else if (!run.cannot.retrain) told.push(note(`Retrain to see what it really does${run.cannot.words ? "" : ", also to WordSim and SimLex"}.`));
  fill($("basket-totals"), ...told);
  const first = given.totals.find((t) => t.name === state.objective);
  const then = mine ? ` → ${value(mine.after[first.name])} retrained` : predicted(` → ${value(first.predicted)}`).join("");
  $("shortcut").textContent = `Basket ${count(basket.size)} · ${first.name} ${value(first.value)}${then}`;
}

function line(r) {
  const drop = make("button", { type: "button", className: "link", ariaLabel: `Take ${run.noun} ${r.sample} out of the basket`, onclick: () => put([r.sample], null) }, "drop");
  const w = basket.get(r.sample);
  const k = run.objectives.findIndex((o) => o.name === state.objective);
  const once = w === 0 || (r.weight === 0 && w === 1); // left out, or a candidate added
  const doing = w === r.weight ? "unchanged" : once ? effect(r.effects[k]) : `× ${w}`;
  return make("li", {}, make("span", { className: "effect" }, doing), sentence(r.pieces, null), drop);
}

function refresh() {
  const some = basket.size > 0;
  $("basket-tools").hidden = $("basket-rows").hidden = !some;
  $("shortcut").hidden = !some;
  $("basket-title").textContent = some ? `Basket (${count(basket.size)})` : "Basket";
  if (!some) {
    $("basket-what").textContent = `Empty. “Leave out” on any ${run.noun}, a whole document, or all that a search finds puts them here.`;
    fill($("basket-totals"));
    fill($("swap-answer"));
    fill($("plan-saved"));
    return;
  }
  const weights = new Set(basket.values());
  $("basket-weight").value = weights.size === 1 ? [...weights][0] : "";
  $("basket-weight").placeholder = weights.size === 1 ? "" : "several";
  $("basket-seconds").textContent = run.cannot.retrain ? "" : estimate(Number($("basket-starts").value));
  totals({ changes: changes() });
  const samples = [...basket.keys()];
  listed({ objective: state.objective, filter: { samples: samples.slice(-SHOWN) }, grouped: false, limit: SHOWN });
}

// Swapped words

async function swap() {
  const chosen = $("swap-pairs").value;
  const own = $("swap-own").value.split(",").map((pair) => pair.trim().split(/\s+/)).filter((pair) => pair[0]);
  try {
    const given = await ask("/api/basket/swap", { changes: changes(), objective: state.objective, pairs: chosen === "own" ? own : chosen });
    swapped(given);
  } catch (error) {
    fill($("swap-answer"), note(error.message, "caveat"));
  }
}

function swapped(given) {
  const rows = run.objectives.map((o, i) => [o.name, value(o.value), effect(given.effects[i]), ...predicted(value(given.predicted[i]))]);
  const parts = [table(`${several(given.sentences, "sentence")} with words exchanged instead of left out`, ["objective", "now", run.cannot.unit ? "change, in no unit" : "change", ...predicted("predicted")], rows)];
  if (given.unseen) parts.push(note(`${percent(given.unseen)} of their word pairs occur nowhere in the corpus and are left out.`));
  if (given.trainable === given.sentences) {
    parts.push(make("button", { type: "button", className: "button", onclick: () => exchange(given) }, "Exchange them in the basket"));
  } else parts.push(note("To retrain with these versions, make the run with --swap: they are candidates then."));
  const list = make("ul", { className: "edits" });
  for (const edit of given.edits) {
    const [before, after] = edit.versions;
    list.append(make("li", {}, make("span", { className: "effect" }, effect(edit.effect)), marked(before, "del"), marked(after, "ins")));
  }
  fill($("swap-answer"), ...parts, list);
}

function marked([text, spans], tag) {
  const made = make("bdi", { className: "text" });
  let at = 0;
  for (const [start, end] of spans) {
    const cut = (a, b) => [...text].slice(a, b).join("");
    made.append(cut(at, start), make(tag, {}, cut(start, end)));
    at = end;
  }
  made.append([...text].slice(at).join(""));
  return made;
}

function exchange(given) {
  empty();
  for (const [w, samples] of given.changes) put(samples, w);
}

export function start() {
  $("basket-retrain").addEventListener("click", () =>
    begin("/api/basket/retrain", { changes: changes(), starts: Number($("basket-starts").value) }),
  );
  $("basket-weight").addEventListener("change", () => {
    const given = $("basket-weight").value.trim();
    if (given !== "" && Number.isFinite(Number(given))) put([...basket.keys()], Math.min(Math.max(0, Number(given)), 1e6));
    else refresh();
  });
  $("basket-starts").addEventListener("change", refresh);
  $("basket-clear").addEventListener("click", empty);
  $("basket-csv").addEventListener("click", () =>
    save("basket.csv", "text/csv", csv([["sample", "weight"], ...[...basket].sort((a, b) => a[0] - b[0])])),
  );
  $("plan-save").addEventListener("click", async () => {
    try {
      const made = await ask("/api/basket/plan", { changes: changes(), name: $("plan-name").value });
      fill($("plan-saved"), note(`Written: ${made.file}. To train with it:`), make("pre", { tabIndex: 0 }, make("code", {}, made.command)));
      say("The plan is written.");
    } catch (error) {
      fill($("plan-saved"), note(error.message, "caveat"));
    }
  });
  $("swap-pairs").addEventListener("change", () => ($("swap-own-label").hidden = $("swap-pairs").value !== "own"));
  $("swap-own-label").hidden = true;
  $("swap-ask").addEventListener("click", swap);
  on("basket", refresh);
  on("objective", refresh);
  on("found", refresh);
}
