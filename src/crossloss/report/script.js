// Tables that sort by a click on a heading, and those of sentences that fold and filter. The page is whole without it.
(() => {
  "use strict";
  const SHOWN = 5;

  function make(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  // Figures are written for people: a true minus, thousands, an interval behind them, a dash for none.
  function number(text) {
    const value = parseFloat(text.replaceAll("\u2212", "-").replaceAll(",", ""));
    return Number.isNaN(value) ? -Infinity : value;
  }

  function sort(table, column, numeric, descending) {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [row, row.cells[column].textContent.trim()]);
    const order = numeric ? (a, b) => number(a[1]) - number(b[1]) : (a, b) => a[1].localeCompare(b[1]);
    rows.sort((a, b) => (descending ? order(b, a) : order(a, b)));
    body.append(...rows.map(([row]) => row));
  }

  function sortable(table, changed) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (head.classList.contains("unsorted")) return;
      const numeric = head.classList.contains("n");
      const button = make("button", { type: "button" }, ...head.childNodes);
      button.addEventListener("click", () => {
        const was = head.getAttribute("aria-sort");
        const descending = was ? was === "ascending" : numeric;
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(table, column, numeric, descending);
        changed();
      });
      head.append(button);
    });
  }

  function foldable(table) {
    const total = table.tBodies[0].rows.length;
    const input = make("input", { type: "search", autocomplete: "off" });
    const state = make("span", { role: "status" });
    const more = make("button", { type: "button" });
    let whole = total <= SHOWN;

    function show() {
      const wanted = input.value.trim().toLowerCase();
      let shown = 0;
      let found = 0;
      for (const row of table.tBodies[0].rows) {
        const fits = !wanted || row.textContent.toLowerCase().includes(wanted);
        found += fits;
        row.hidden = !fits || (!whole && !wanted && found > SHOWN);
        shown += !row.hidden;
      }
      state.textContent = wanted ? `${found} of ${total} hold this` : `${shown} of ${total} shown`;
      more.hidden = Boolean(wanted) || total <= SHOWN;
      more.textContent = whole ? `Show the first ${SHOWN}` : `Show all ${total}`;
    }

    input.addEventListener("input", show);
    more.addEventListener("click", () => {
      whole = !whole;
      show();
    });
    table.before(make("div", { className: "tools" }, make("label", {}, "Filter", input), state, more));
    show();
    return show;
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    sortable(table, table.classList.contains("sentences") ? foldable(table) : () => {});
  }
})();
