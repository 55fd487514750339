// Elements made of text that is never read as mark-up, and the files that a reader saves.
const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, given] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), given);
    else if (name in element && name !== "list") element[name] = given;
    else element.setAttribute(name, given);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, given] of Object.entries(attributes)) element.setAttribute(name, given);
  element.append(...children);
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}

// Pieces of a sentence: [characters, level of what they add to the score, characters left out]. Words can be clicked.
export function sentence(pieces, word) {
  const text = make("bdi", { className: "text" });
  for (const [part, level, left] of pieces) {
    if (left) text.append(make("span", { className: "cut" }, `… ${left} more …`));
    else if (!level || !word) text.append(level ? make("mark", { className: tone(level) }, part) : part);
    else text.append(make("mark", { className: tone(level) }, part));
  }
  if (word) {
    text.addEventListener("click", (event) => {
      const chosen = wordAt(event, text);
      if (chosen) word(chosen);
    });
  }
  return text;
}

function tone(level) {
  return (level > 0 ? "up" : "down") + Math.abs(level);
}

function wordAt(event, text) {
  const range = document.caretRangeFromPoint
    ? document.caretRangeFromPoint(event.clientX, event.clientY)
    : document.caretPositionFromPoint?.(event.clientX, event.clientY);
  const node = range?.startContainer ?? range?.offsetNode;
  const at = range?.startOffset ?? range?.offset;
  if (!node || node.nodeType !== Node.TEXT_NODE || !text.contains(node)) return "";
  const letter = /[\p{L}\p{M}\p{N}]/u;
  const characters = node.data;
  let start = at;
  let end = at;
  while (start > 0 && letter.test(characters[start - 1])) start -= 1;
  while (end < characters.length && letter.test(characters[end])) end += 1;
  return characters.slice(start, end);
}

export function table(caption, heads, rows) {
  const cell = (content, i) =>
    i === 0 ? make("th", { scope: "row" }, content) : make("td", { className: "n" }, content);
  return make(
    "div",
    { className: "scroll", tabIndex: 0, role: "region", ariaLabel: caption },
    make(
      "table",
      {},
      make("caption", {}, caption),
      make("thead", {}, make("tr", {}, ...heads.map((h, i) => make("th", { scope: "col", className: i ? "n" : "" }, h)))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell)))),
    ),
  );
}

export function note(text, name = "note") {
  return make("p", { className: name }, text);
}

export function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

// A cell that a spreadsheet would take for a formula gets a quotation mark before it; numbers stay numbers.
export function csv(rows) {
  const cell = (x) => {
    if (typeof x === "number") return String(x);
    const text = /^[=+\-@\t\r]/.test(x) ? `'${x}` : String(x);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

const STYLED = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-family", "text-anchor"];

export function saveDrawing(svg, name) {
  if (!svg) return;
  const copy = svg.cloneNode(true);
  const [from, to] = [svg, copy].map((root) => [root, ...root.querySelectorAll("*")]);
  from.forEach((element, i) => {
    const style = getComputedStyle(element);
    for (const property of STYLED) to[i].setAttribute(property, style.getPropertyValue(property));
    to[i].removeAttribute("class");
  });
  copy.setAttribute("xmlns", SVG);
  save(name, "image/svg+xml", new XMLSerializer().serializeToString(copy));
}
