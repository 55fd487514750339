// The list of sentences: filters, the brushed chart, documents, rows a page at a time.
import * as chart from "./chart.js";
import { edit, look } from "./ask.js";
import { $, csv, fill, make, note, save, saveDrawing, sentence } from "./dom.js";
import { count, effect, several } from "./format.js";
import { ask, basket, change, filter, newest, on, put, run, say, state } from "./state.js";

const PAGE = 20;
let shown = [];
let total = 0;

const selection = (more = {}) => ({
  objective: state.objective,
  filter: filter(),
  order: state.order ?? "strongest",
  grouped: state.grouped !== "no",
  limit: PAGE,
  ...more,
});

const first = newest("/api/rows", (given, error) => {
  if (error) {
    shown = [];
    fill($("found"), "");
    fill($("rows"), make("li", {}, note(error.message, "caveat")));
    $("more").hidden = true;
    return;
  }
  shown = [];
  fill($("rows"));
  add(given);
});

function add(given) {
  total = given.total;
  shown.push(...given.rows);
  $("rows").append(...given.rows.map(row));
  $("more").hidden = !given.more;
  $("found").textContent = `${several(total, run.noun)} found`;
  $("found-basket").disabled = !total;
  if (!total) fill($("rows"), make("li", {}, note("Nothing is like that: clear a filter.")));
}

function row(r) {
  const k = run.objectives.findIndex((o) => o.name === state.objective);
  const candidate = r.weight === 0;
  const others = run.objectives
    .map((o, i) => [o.name, r.effects[i]])
    .filter((_, i) => i !== k)
    .map(([name, e]) => make("span", { className: "small" }, `${name} ${effect(e)}`));
  const toggle = make("button", { type: "button", className: "button toggle", onclick: () => toggled(r) });
  const text = sentence(r.pieces, run.cannot.words ? null : look);
  const meta = make("div", { className: "meta" });
  if (r.document) {
    meta.append(make("button", { type: "button", className: "link", title: "Only this document", onclick: () => change({ document: r.document }) }, make("bdi", {}, r.document)));
  }
  meta.append(make("bdi", {}, `id ${r.id}`), ...others);
  if (!run.cannot.sentence) {
    meta.append(make("button", { type: "button", className: "link edit", onclick: () => edit(r) }, "edit"));
  }
  if (r.alike.length) {
    const all = [r.sample, ...r.alike];
    meta.append(
      make("button", { type: "button", className: "link", onclick: () => put(all, candidate ? 1 : 0) }, `with ${several(r.alike.length, "near-duplicate")}, together ${effect(r.together)}: all in the basket`),
    );
  }
  const item = make("li", { className: "row", tabIndex: -1 }, make("div", { className: "effect" }, effect(r.effects[k]), make("span", { className: "count" }, candidate ? " if added" : " if removed"), toggle), make("div", { className: "body" }, text, meta));
  item.dataset.sample = r.sample;
  mark(item, r);
  return item;
}

function toggled(r) {
  put([r.sample], basket.has(r.sample) ? null : r.weight === 0 ? 1 : 0);
}

function mark(item, r) {
  const inside = basket.has(r.sample);
  const button = item.querySelector(".toggle");
  button.textContent = inside ? "in the basket" : r.weight === 0 ? "add" : "leave out";
  button.setAttribute("aria-pressed", inside);
  item.classList.toggle("inside", inside);
}

// Facets

const facets = newest("/api/facets", (given, error) => {
  if (error) {
    fill($("documents"));
    return;
  }
  if (!state.other) {
    drawn(chart.histogram($("chart"), given.histogram, [state.low, state.high], [state.objective, run.noun], (ends) =>
      change({ low: ends ? round(ends[0]) : undefined, high: ends ? round(ends[1]) : undefined }),
    ));
    const together = run.cannot.unit ? "" : `Together ${effect(given.sum)} on ${state.objective}, to first order.`;
    $("chart-note").textContent = `Draw over the chart to choose effects; a click chooses all. Heights are on a log scale. ${together}`;
  }
  documents(given.documents);
  lengths(given.lengths);
});

const cloud = newest("/api/scatter", (given, error) => {
  if (error || !state.other) return;
  drawn(chart.scatter($("chart"), given, [[state.low, state.high], [state.other_low, state.other_high]], [state.objective, state.other, run.noun], (ends) => {
    const [a, b] = ends ?? [[], []];
    const sorted = (i) => (ends ? [a[i], b[i]].sort((x, y) => x - y).map(round) : [undefined, undefined]);
    const [xs, ys] = [sorted(0), sorted(1)];
    change({ low: xs[0], high: xs[1], other_low: ys[0], other_high: ys[1] });
  }));
  const r = given.correlation;
  $("chart-note").textContent = `Draw a box over the chart to choose ${run.noun}s; a click chooses all.${r === null ? "" : ` Correlation of the two effects ${r.toFixed(2)}.`}`;
});

let drawing;
const drawn = (svg) => (drawing = svg);
const round = (x) => Number(x.toPrecision(4));

function documents(list) {
  if (state.document === undefined && list.length < 2) {
    fill($("documents"));
    return;
  }
  const chips = list.map(([name, size, e]) =>
    make("li", {}, make("button", { type: "button", className: "link", onclick: () => change({ document: name }) }, make("bdi", {}, name || "(no document)")), ` ${count(size)}, ${effect(e)} `, make("button", { type: "button", className: "link", title: "Put all of it in the basket", ariaLabel: `Put all of ${name} in the basket`, onclick: () => whole(name) }, "+ basket")),
  );
  const all = state.document === undefined ? null : make("button", { type: "button", className: "link", onclick: () => change({ document: undefined }) }, "All documents");
  const title = state.document === undefined ? "Documents that act most, with their sentences and their effect together" : "Document";
  const open = $("documents").querySelector("details")?.open ?? state.document !== undefined;
  fill($("documents"), make("details", { open }, make("summary", {}, title), make("ul", { className: "documents" }, ...chips)), all);
}

function lengths(list) {
  const some = list.filter(([, , n]) => n);
  const chosen = state.shortest !== undefined || state.longest !== undefined;
  if (run.cannot.words || (some.length < 2 && !chosen)) {
    fill($("lengths"));
    return;
  }
  const chips = some.map(([low, high, n]) =>
    make("li", {}, make("button", { type: "button", className: "link", onclick: () => change({ shortest: low || undefined, longest: high ?? undefined }) }, high === null ? `${low} or more` : `${low} to ${high}`), ` ${count(n)}`),
  );
  const open = $("lengths").querySelector("details")?.open ?? false;
  const all = chosen ? make("button", { type: "button", className: "link", onclick: () => change({ shortest: undefined, longest: undefined }) }, "All lengths") : null;
  fill($("lengths"), make("details", { open }, make("summary", {}, "Lengths in words"), make("ul", { className: "documents" }, ...chips)), all);
}

async function whole(name) {
  await toBasket({ ...filter(), document: name });
}

// Candidates are added, all others left out.
async function toBasket(wanted) {
  const added = wanted.kind === "candidates";
  try {
    const { samples } = await ask("/api/select", selection({ filter: { ...wanted, kind: added ? "candidates" : "trained" } }));
    put(samples, added ? 1 : 0);
    say(`${several(samples.length, run.noun)} put in the basket.`);
  } catch (error) {
    say(error.message);
  }
}

async function more() {
  try {
    add(await ask("/api/rows", selection({ offset: shown.length })));
  } catch (error) {
    say(error.message);
  }
}

const FIELDS = { text: "f-text", word: "f-word", shortest: "f-shortest", longest: "f-longest", low: "f-low", high: "f-high", other_low: "f-other-low", other_high: "f-other-high" };

function refresh() {
  for (const [name, id] of Object.entries(FIELDS)) {
    const field = $(id);
    if (field !== document.activeElement) field.value = state[name] ?? "";
  }
  $("f-order").value = state.order ?? "strongest";
  $("f-grouped").checked = state.grouped !== "no";
  $("f-kind").value = state.kind ?? "all";
  $("f-kind-label").hidden = !run.candidates;
  const others = run.objectives.filter((o) => o.name !== state.objective);
  fill($("f-other"), make("option", { value: "" }, "nothing else"), ...others.map((o) => make("option", { value: o.name }, o.name)));
  $("f-other").value = state.other ?? "";
  $("f-other").parentElement.hidden = others.length === 0;
  $("f-other-range").hidden = !state.other;
  first(selection());
  facets(selection());
  if (state.other) cloud(selection({ against: state.other }));
}

export function start() {
  $("filter").addEventListener("submit", (event) => event.preventDefault());
  let wait;
  let typed = {};
  for (const [name, id] of Object.entries(FIELDS)) {
    $(id).addEventListener("input", () => {
      const text = $(id).value.trim();
      typed[name] = text === "" ? undefined : $(id).type === "number" ? Number(text) : text;
      clearTimeout(wait);
      wait = setTimeout(() => {
        change(typed);
        typed = {};
      }, 150);
    });
  }
  $("f-order").addEventListener("change", () => change({ order: $("f-order").value }));
  $("f-kind").addEventListener("change", () => change({ kind: $("f-kind").value }));
  $("f-grouped").addEventListener("change", () => change({ grouped: $("f-grouped").checked ? undefined : "no" }));
  $("f-other").addEventListener("change", () => change({ other: $("f-other").value || undefined, other_low: undefined, other_high: undefined }));
  $("f-clear").addEventListener("click", () => {
    const none = ["text", "word", "document", "shortest", "longest", "low", "high", "other_low", "other_high", "kind"];
    document.activeElement.blur();
    change(Object.fromEntries(none.map((name) => [name, undefined])));
  });
  $("f-svg").addEventListener("click", () => saveDrawing(drawing, `${state.objective}-effects.svg`));
  $("found-basket").addEventListener("click", () => toBasket(filter()));
  $("found-csv").addEventListener("click", () => {
    const heads = ["sample", "id", "document", "text", "weight", "effect of", ...run.objectives.map((o) => o.name)];
    save("sentences.csv", "text/csv", csv([heads, ...shown.map((r) => [r.sample, r.id, r.document, r.pieces.map((p) => p[0]).join(""), r.weight, r.weight === 0 ? "adding" : "removing", ...r.effects])]));
  });
  $("more").addEventListener("click", more);
  on("list", refresh);
  on("objective", refresh);
  on("basket", () => [...$("rows").children].forEach((item, i) => shown[i] && item.dataset.sample && mark(item, shown[i])));
  document.addEventListener("keydown", keys);
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest?.("input, textarea, select");
  if (event.key === "Escape" && typing) typing.blur();
  if (typing) return;
  const items = [...$("rows").children];
  const at = items.indexOf(document.activeElement.closest?.("#rows > li"));
  const act = {
    "/": () => $("f-text").focus(),
    j: () => items[Math.min(at + 1, items.length - 1)]?.focus(),
    k: () => items[Math.max(at - 1, 0)]?.focus(),
    x: () => shown[at] && toggled(shown[at]),
    e: () => shown[at] && !run.cannot.sentence && edit(shown[at]),
  }[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
}
