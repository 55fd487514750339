// One word; and other objectives: a test's word sets edited, or one written.
import { edit } from "./ask.js";
import { $, fill, make, note, table } from "./dom.js";
import { count, duration, effect, probability, several, value } from "./format.js";
import { basket, change, changes, current, newest, on, run, state } from "./state.js";
import { begin } from "./trust.js";

const word = newest("/api/word", (given, error) => {
  if (error) fill($("word-answer"), note(error.message, "caveat"));
  else show(given);
});

function show(given) {
  const link = (w) => make("button", { type: "button", className: "link", onclick: () => change({ look: w }, "word") }, make("bdi", {}, w));
  const parts = [];
  const sets = given.sets.length ? ` Of ${state.objective}: ${given.sets.join(", ")}.` : "";
  const out = basket.size ? ` The basket takes ${count(given.out)} of them away.` : "";
  parts.push(make("p", {}, make("strong", {}, make("bdi", {}, given.word)), `: ${several(given.count, "time")} in ${several(given.sentences, "sentence")}.${sets}${out}`));
  const rows = given.before.map(([w, cosine], i) => {
    const after = given.after?.[i];
    return [link(w), cosine.toFixed(2), ...(after ? [link(after[0]), after[1].toFixed(2)] : [])];
  });
  parts.push(table("Nearest words, by cosine", given.after ? ["before the basket", "cosine", "after it", "cosine"] : ["now", "cosine"], rows));
  if (!given.after && basket.size) parts.push(note("Retrain with the basket to see its neighbours after it."));
  if (given.acting.length) {
    parts.push(note(`By its pairs with other words, ${given.word} acts on ${state.objective} most in (effect if these pairs went):`));
    parts.push(
      make("ul", { className: "edits" }, ...given.acting.map((a) => make("li", {}, make("span", { className: "effect" }, effect(a.effect)), make("button", { type: "button", className: "plain", title: "Take it apart", onclick: () => edit({ sample: a.sample, weight: 1 }) }, make("bdi", { className: "text" }, a.text))))),
    );
  } else parts.push(note(`It acts on ${state.objective} in no sentence.`));
  parts.push(make("button", { type: "button", className: "button", onclick: () => change({ word: given.word }) }, "List its sentences"));
  fill($("word-answer"), ...parts);
}

function refresh() {
  $("word").hidden = Boolean(run.cannot.words);
  if (!state.look || run.cannot.words) return;
  $("word-text").value = state.look;
  word({ word: state.look, objective: state.objective, changes: changes() });
}

// Another objective

let asked = null;

const measured = newest("/api/objective", (given, error) => {
  $("objective-score").hidden = Boolean(error) || given.known;
  if (error) {
    fill($("objective-answer"), note(error.message, "caveat"));
    return;
  }
  const tested = given.p === undefined ? "" : `; p ${probability(given.p)} one-sided, ${probability(given.two)} two-sided`;
  const parts = [make("p", { className: "answer" }, make("strong", {}, `${given.name} is ${value(given.value)}`), `${tested}.`), note(given.meaning)];
  if (given.missing.length) parts.push(note(`Missing in the corpus, left out: ${given.missing.join(", ")}.`));
  if (given.known) parts.push(note("The run has an objective of this name already: to score yours, give it another name."));
  else if (given.seconds) parts.push(note(`Scoring every ${run.noun} for it takes about ${duration(given.seconds)}, or less.`));
  fill($("objective-answer"), ...parts);
});

function measure(body) {
  asked = body;
  measured(body);
}

function fields() {
  $("objective").hidden = Boolean(run.cannot.words);
  const o = current();
  const test = o.test ? o : run.objectives.find((other) => other.test);
  $("sets").hidden = !test;
  if (!test) return;
  const given = edited();
  const name = make("input", { type: "text", maxLength: 80, value: given.name ?? free(`${test.name}-edited`) });
  const areas = test.sets.map(({ side, label, words }) => [
    side,
    make("textarea", { rows: 2, spellcheck: false, value: (given.sets[side] ?? words.map(([w]) => w)).join(", ") }),
    `${side}${label === side ? "" : `, ${label}`}`,
  ]);
  const changed = () => {
    const sets = Object.fromEntries(areas.map(([side, area]) => [side, area.value.split(/[\s,]+/).filter(Boolean)]));
    change({ edited: JSON.stringify({ name: name.value.trim(), sets }), written: undefined }, "nothing");
    measure({ name: name.value.trim(), sets });
  };
  let wait;
  for (const field of [name, ...areas.map((a) => a[1])]) {
    field.addEventListener("input", () => {
      clearTimeout(wait);
      wait = setTimeout(changed, 200);
    });
  }
  fill($("sets-fields"), make("label", { className: "field" }, "Name ", name), ...areas.map(([, area, label]) => make("label", { className: "field" }, label, area)));
  if (given.name !== undefined) {
    $("sets").open = true;
    changed();
  }
}

// The word sets in the address; what is not of that form is as if it were not there.
function edited() {
  try {
    const { name, sets } = JSON.parse(state.edited);
    const lists = Object.entries(sets).filter(([, words]) => Array.isArray(words));
    return { name: String(name), sets: Object.fromEntries(lists) };
  } catch {
    return { sets: {} };
  }
}

function written() {
  $("written").value = state.written ?? "";
  if (!state.written || run.cannot.words) return;
  $("written-part").open = true;
  measure({ written: state.written });
}

function free(name) {
  const taken = new Set(run.objectives.map((o) => o.name));
  let made = name;
  for (let i = 2; taken.has(made); i += 1) made = `${name}-${i}`;
  return made;
}

export function start() {
  $("word-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if ($("word-text").value.trim()) change({ look: $("word-text").value.trim() }, "word");
  });
  let wait;
  $("written").addEventListener("input", () => {
    clearTimeout(wait);
    wait = setTimeout(() => {
      const text = $("written").value.trim();
      change({ written: text || undefined, edited: undefined }, "nothing");
      if (text) measure({ written: text });
    }, 200);
  });
  $("objective-score").addEventListener("click", () => asked && begin("/api/objective/score", asked));
  for (const what of ["word", "basket", "objective", "found"]) on(what, refresh);
  on("objective", fields);
  on("written", written);
  on("scored", () => {
    $("objective-score").hidden = true;
    fill($("objective-answer"));
  });
}
