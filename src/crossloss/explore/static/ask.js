// A typed sentence, what it would do; and leaving out the strongest, predicted and retrained.
import * as chart from "./chart.js";
import { $, fill, make, note, saveDrawing, sentence, table } from "./dom.js";
import { count, effect, percent, several, spread, value } from "./format.js";
import { ask, basket, change, current, newest, on, put, run, say, state } from "./state.js";
import { badge, begin, estimate, found, predicted, predictedCell } from "./trust.js";

// A sentence

const answer = newest("/api/sentence", (given, error, asked) => {
  if (error) fill($("ask-answer"), note(error.message, "caveat"));
  else show(given, asked);
});

function typed() {
  const text = $("ask-text").value;
  if (!text.trim()) {
    fill($("ask-answer"));
    return;
  }
  const asked = { text, objective: state.objective };
  if (Number.isInteger(state.instead)) asked.instead = state.instead;
  answer(asked);
}

function doing(verb, change) {
  if (!change) return `${verb} is predicted to leave ${state.objective} as it is.`;
  const size = run.cannot.unit ? "" : ` by ${effect(Math.abs(change)).replace(/^\+/, "")}`;
  return `${verb} is predicted to ${change < 0 ? "lower" : "raise"} ${state.objective}${size}.`;
}

function show(given, asked) {
  const k = run.objectives.findIndex((o) => o.name === asked.objective);
  const parts = [];
  const edited = given.replacing && given.replacing.text !== asked.text;
  if (given.known < 2) {
    fill($("ask-answer"), note("It has fewer than two words of the vocabulary, so it changes nothing.", "caveat"), unknown(given));
    return;
  }
  if (edited) {
    parts.push(head(`Put in the place of sentence ${count(given.replacing.sample)}: `, doing("the exchange", given.replacing.effects[k])));
  } else if (given.removed) {
    parts.push(head(`Sentence ${count(given.sample)} of the corpus: `, doing("removing it", given.removed[k])));
  } else parts.push(head(run.candidates ? "Not trained on: " : "Not in the corpus: ", doing("adding it once", given.added[k])));
  parts.push(sentence(given.pieces, look));
  const sign = given.removed && !edited ? -given.weight : 1;
  const verb = edited || !given.removed ? "it adds" : "removing it";
  const pairs = make("ul", { className: "pairs", ariaLabel: "Word pairs" }, make("li", { className: "more" }, `${verb}, by pair:`));
  for (const [a, b, v] of given.pairs) pairs.append(make("li", {}, make("bdi", {}, `${a} – ${b}`), ` ${effect(sign * v)}`));
  parts.push(pairs);
  const heads = ["objective", ...(edited ? ["by the exchange"] : []), "if added", ...(given.removed ? ["if removed"] : []), "checked"];
  const rows = run.objectives.map((o, i) => [
    o.name,
    ...(edited ? [effect(given.replacing.effects[i])] : []),
    effect(given.added[i]),
    ...(given.removed ? [effect(given.removed[i])] : []),
    badge(o),
  ]);
  parts.push(table(run.cannot.unit ? "Scores for every objective, in no unit" : "Predicted change of every objective, to first order", heads, rows));
  parts.push(unknown(given));
  if (given.removed && !edited) {
    const inside = basket.has(given.sample);
    const label = inside ? "Take it out of the basket" : "Put it in the basket, to leave it out";
    parts.push(make("button", { type: "button", className: "button", onclick: () => put([given.sample], inside ? null : 0) }, label));
  }
  if (Number.isInteger(state.instead)) {
    parts.push(make("button", { type: "button", className: "link", onclick: () => change({ instead: undefined }, "ask") }, "Ask it on its own"));
  }
  fill($("ask-answer"), ...parts);
}

const head = (start, rest) => make("p", { className: "answer" }, make("strong", {}, start), rest);

function unknown(given) {
  const told = [];
  if (given.unknown.length) told.push(`Not in the vocabulary, and without effect: ${given.unknown.join(", ")}.`);
  if (given.unseen) told.push(`${percent(given.unseen)} of its word pairs occur nowhere in the corpus and are left out.`);
  return told.length ? make("p", { className: "note" }, make("bdi", {}, told.join(" "))) : null;
}

export const look = (word) => change({ look: word }, "word");

// Leaving out

let curve;
const strongest = newest("/api/strongest", (given, error) => {
  if (error) {
    fill($("leave-answer"), error.message);
    fill($("leave-chart"));
    fill($("leave-totals"));
    return;
  }
  curve = given;
  left();
});

const up = () => (state.up === undefined ? current().value < 0 : state.up === "1"); // towards zero at first

function toLeave() {
  $("leave-up").value = up() ? "1" : "0";
  $("leave-n").value = state.n ?? 20;
  strongest({ objective: state.objective, up: up(), n: state.n ?? 20 });
}

function left() {
  const o = current();
  const points = run.found.filter((f) => f.objective === o.name && f.up === up() && f.n > 0 && f.after[o.name] !== undefined);
  const line = curve.curve; // none where scores have no unit
  const end = line.at(-1)?.[0] ?? 0; // points beyond the line are there when the reader goes further
  const drawn = points.filter((f) => f.n <= end).map((f) => [f.n, f.after[o.name], f.starts?.map((s) => s[1][o.name])]);
  if (line.length) chart.removal($("leave-chart"), { curve: line, points: drawn, n: curve.n, name: o.name, now: o.value });
  $("leave-svg").hidden = !line.length;
  const here = curve.totals.find((t) => t.name === o.name);
  const mine = points.find((f) => f.n === curve.n);
  const doing = `Without the ${several(curve.n, run.noun)} that ${up() ? "lower" : "raise"} it most, ${o.name}`;
  const parts = [`${doing} is predicted to go from ${value(o.value)} to `, make("strong", {}, value(here.predicted)), here.beyond ? ", which it can never reach: beyond first order" : "", "."];
  if (run.cannot.unit) parts.splice(0, 4, `${doing} is predicted to ${up() ? "rise" : "fall"} from ${value(o.value)}; how far is not known.`);
  if (mine) parts.push(" Retrained: ", make("strong", { className: "found-text" }, value(mine.after[o.name])), ".");
  if (mine?.starts) {
    const sides = [0, 1].map((side) => spread(mine.starts.map((s) => s[side][o.name])));
    parts.push(` From ${mine.starts.length} starts: ${sides[0]} before, ${sides[1]} after.`);
  }
  fill($("leave-answer"), ...parts, " ", badge(o));
  $("leave-n").max = curve.most;
  $("leave-seconds").textContent = run.cannot.retrain ? "" : estimate(Number($("leave-starts").value));
  $("leave-slider").value = Math.round(1000 * Math.sqrt(curve.n / Math.max(curve.most, 1)));
  $("leave-retrain").disabled = $("leave-basket").disabled = !curve.n;
  const heads = ["objective", "now", ...predicted("predicted"), ...(mine ? ["retrained"] : [])];
  const rows = curve.totals.map((t) => [t.name, value(t.value), ...predicted(predictedCell(t)), ...(mine ? [value(mine.after[t.name])] : [])]);
  fill($("leave-totals"), table(`Without these ${count(curve.n)}`, heads, rows), mine ? found(mine, `without these ${count(curve.n)}`) : null);
}

export function start() {
  let wait;
  $("ask-text").addEventListener("input", () => {
    state.asked = $("ask-text").value.slice(0, 2000);
    typed();
    clearTimeout(wait);
    wait = setTimeout(() => change({}, "nothing"), 300);
  });
  $("leave-up").addEventListener("change", () => change({ up: $("leave-up").value }, "leave"));
  $("leave-n").addEventListener("input", () => {
    const n = Math.max(0, Math.floor(Number($("leave-n").value)));
    if (Number.isFinite(n)) {
      state.n = n;
      change({}, "nothing");
      strongest({ objective: state.objective, up: up(), n });
    }
  });
  $("leave-slider").addEventListener("input", () => {
    const n = Math.round((Number($("leave-slider").value) / 1000) ** 2 * (curve?.most ?? 0));
    change({ n }, "leave");
  });
  $("leave-starts").addEventListener("change", left);
  $("leave-retrain").addEventListener("click", () =>
    begin("/api/strongest/retrain", { objective: state.objective, up: up(), n: curve.n, starts: Number($("leave-starts").value) }),
  );
  $("leave-basket").addEventListener("click", () => {
    put(curve.samples, 0);
    say(`${several(curve.samples.length, run.noun)} in the basket.`);
  });
  $("leave-svg").addEventListener("click", () => saveDrawing($("leave-chart").firstChild, `${state.objective}-removal.svg`));
  on("leave", toLeave);
  on("found", () => curve && left());
  on("basket", () => $("ask-text").value && typed());
  on("ask", () => {
    if ($("ask-text").value !== (state.asked ?? "")) $("ask-text").value = state.asked ?? "";
    typed();
  });
  on("objective", () => {
    toLeave();
    typed();
  });
}

// A sentence of the list, to be changed in its place; a candidate, which is not trained on, has none.
export async function edit({ sample, weight }) {
  const { text } = await ask("/api/text", { sample });
  change({ asked: text, instead: weight ? sample : undefined }, "ask");
  $("ask").scrollIntoView();
  $("ask-text").focus();
}
