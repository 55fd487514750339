// What the reader has chosen: all of it is in the address, so that a copied address opens the same page.
const token = new URLSearchParams(location.search).get("token") ?? "";
const FILTER = ["text", "word", "document", "shortest", "longest", "low", "high", "other", "other_low", "other_high", "kind"];
const NUMBERS = new Set(["shortest", "longest", "low", "high", "other_low", "other_high", "n", "instead"]);
const KEPT = ["objective", "asked", "instead", "up", "n", "order", "grouped", "look", "edited", "written"];

export const state = {};
export const run = {};
export let basket = new Map(); // weight by sample

const listeners = {};
export const on = (what, listener) => (listeners[what] ??= []).push(listener);
export const tell = (what, ...news) => (listeners[what] ?? []).forEach((listener) => listener(...news));

export async function ask(path, body) {
  const sent = { headers: { "X-Crossloss-Token": token } };
  if (body !== undefined) {
    sent.method = "POST";
    sent.headers["Content-Type"] = "application/json";
    sent.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, sent);
  } catch {
    throw new Error("The explorer does not answer: it was stopped. Start it again with crossloss explore.");
  }
  const given = await answer.json().catch(() => ({ error: `The explorer answered ${answer.status}.` }));
  if (!answer.ok) throw new Error(given.error);
  return given;
}

// The newest question wins: while one is under way the next waits, and those between are never sent.
export function newest(path, shown) {
  let waiting;
  let busy = false;
  return async (body) => {
    waiting = body;
    if (busy) return;
    busy = true;
    while (waiting !== undefined) {
      const next = waiting;
      waiting = undefined;
      let given;
      try {
        given = [await ask(path, next), null];
      } catch (error) {
        given = [null, error];
      }
      if (waiting === undefined) shown(given[0], given[1], next);
    }
    busy = false;
  };
}

let quiet;
export function say(text) {
  const status = document.getElementById("status");
  status.textContent = text;
  status.classList.add("shown");
  clearTimeout(quiet);
  quiet = setTimeout(() => status.classList.remove("shown"), 6000);
}

export function filter() {
  const made = {};
  for (const name of FILTER) if (state[name] !== undefined && state[name] !== "") made[name] = state[name];
  if (!made.other) for (const name of ["other", "other_low", "other_high"]) delete made[name];
  return made;
}

export function change(news, what = "list") {
  Object.assign(state, news);
  write();
  tell(what);
}

export function changes() {
  const by = new Map();
  for (const [sample, weight] of basket) by.set(weight, [...(by.get(weight) ?? []), sample]);
  return [...by].map(([weight, samples]) => ({ weight, samples }));
}

export function put(samples, weight) {
  for (const sample of samples) {
    if (weight === null) basket.delete(sample);
    else basket.set(sample, weight);
  }
  write();
  tell("basket");
}

export function empty() {
  basket = new Map();
  write();
  tell("basket");
}

function packed() {
  return changes()
    .map(({ weight, samples }) => {
      let before = 0;
      const steps = samples.sort((a, b) => a - b).map((sample) => {
        const step = sample - before;
        before = sample;
        return step.toString(36);
      });
      return `${weight}*${steps.join(".")}`;
    })
    .join("_");
}

function unpack(text) {
  const made = new Map();
  for (const part of text.split("_").filter(Boolean)) {
    const [weight, steps] = part.split("*");
    let at = 0;
    for (const step of (steps ?? "").split(".")) {
      at += Number.parseInt(step, 36);
      const known = Number.isInteger(at) && at >= 0 && at < run.samples;
      if (known && Number(weight) >= 0) made.set(at, Number(weight));
    }
  }
  return made;
}

let pending;
export function write() {
  clearTimeout(pending);
  pending = setTimeout(() => {
    const kept = new URLSearchParams();
    for (const name of [...KEPT, ...FILTER]) {
      if (state[name] !== undefined && state[name] !== "" && state[name] !== null) kept.set(name, state[name]);
    }
    if (basket.size) kept.set("basket", packed());
    const hash = `#${kept}`;
    if (hash !== location.hash) history.replaceState(null, "", hash);
  }, 150);
}

export function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(state)) delete state[name];
  for (const name of [...KEPT, ...FILTER]) {
    if (!given.has(name)) continue;
    const text = given.get(name);
    if (!NUMBERS.has(name)) state[name] = text;
    else if (text !== "" && Number.isFinite(Number(text))) state[name] = Number(text);
  }
  const names = run.objectives.map((o) => o.name);
  if (!names.includes(state.objective)) state.objective = names[0];
  if (!names.includes(state.other)) delete state.other;
  basket = unpack(given.get("basket") ?? "");
}

export const current = () => run.objectives.find((o) => o.name === state.objective);
