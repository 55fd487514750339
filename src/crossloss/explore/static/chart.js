// Drawings: lines are predictions, points are retrainings. A drawing says in words what it shows.
import { draw, fill } from "./dom.js";
import { count, effect, value } from "./format.js";

const WIDTH = 640;
const LEFT = 62;
const RIGHT = 14;

function ticks(low, high, wanted = 5) {
  const rough = (high - low) / wanted;
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const made = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-6; t += step) made.push(Math.abs(t) < step * 1e-6 ? 0 : t);
  return made;
}

// Writes ticks with as many digits as tell them apart.
function written(all) {
  const step = all.length > 1 ? Math.abs(all[1] - all[0]) : Math.abs(all[0]) || 1;
  const digits = Math.min(Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)), 12);
  return (t) => String(Number(t.toFixed(digits))).replace("-", "\u2212");
}

const scale = (low, high, from, to) => (x) => from + ((x - low) / (high - low || 1)) * (to - from);

function canvas(height, label) {
  return draw("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label });
}

function axes(svg, x, y, [xs, ys], bottom, names) {
  for (const t of ys) {
    svg.append(draw("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(t), y2: y(t) }));
    svg.append(draw("text", { class: "tick", x: LEFT - 8, y: y(t) + 4, "text-anchor": "end" }, (names.y ?? written(ys))(t)));
  }
  for (const t of xs) {
    svg.append(draw("text", { class: "tick", x: x(t), y: bottom + 17, "text-anchor": "middle" }, (names.x ?? written(xs))(t)));
  }
  svg.append(draw("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: bottom, y2: bottom }));
  const middle = (LEFT + WIDTH - RIGHT) / 2;
  svg.append(draw("text", { class: "label", x: middle, y: bottom + 37, "text-anchor": "middle" }, names.below));
}

// curve: [[left out, predicted]]; points: [[left out, retrained, as retrained from several starts]]; n: where the reader is.
export function removal(place, { curve, points, n, name, now }) {
  const height = 300;
  const bottom = height - 46;
  const values = [...curve.map((c) => c[1]), ...points.flatMap((p) => [p[1], ...(p[2] ?? [])]), now];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = (high - low || 1) * 0.06;
  const most = Math.max(curve.at(-1)[0], ...points.map((p) => p[0]), 1);
  const x = scale(0, most, LEFT, WIDTH - RIGHT);
  const y = scale(low - pad, high + pad, bottom, 12);
  const told = points.map((p) => `${count(p[0])}: ${value(p[1])}`).join(", ");
  const svg = canvas(height, `${name} as predicted while the strongest are left out, from ${value(curve[0][1])} to ${value(curve.at(-1)[1])}${told ? `; retrained without ${told}` : ""}`);
  const whole = ticks(0, most).filter(Number.isInteger);
  axes(svg, x, y, [whole, ticks(low - pad, high + pad)], bottom, { below: "left out", x: count });
  svg.append(draw("line", { class: "here", x1: x(n), x2: x(n), y1: 12, y2: bottom }));
  svg.append(draw("path", { class: "predicted", d: `M${curve.map((c) => `${x(c[0]).toFixed(1)},${y(c[1]).toFixed(1)}`).join("L")}` }));
  for (const [at, found, starts] of points) {
    if (starts) svg.append(draw("line", { class: "spread", x1: x(at), x2: x(at), y1: y(Math.min(...starts)), y2: y(Math.max(...starts)) }));
    svg.append(draw("circle", { class: "found", cx: x(at), cy: y(found), r: 5.5 }, draw("title", {}, `${count(at)} left out, retrained: ${value(found)}`)));
  }
  const key = draw("g", {});
  const start = WIDTH - RIGHT - 272;
  const at = curve.at(-1)[1] > now ? bottom - 14 : 22;
  key.append(draw("line", { class: "predicted", x1: start, x2: start + 24, y1: at - 4, y2: at - 4 }));
  key.append(draw("text", { class: "tick", x: start + 30, y: at }, "predicted"));
  if (points.length) key.append(draw("circle", { class: "found", cx: start + 154, cy: at - 4, r: 5.5 }));
  if (points.length) key.append(draw("text", { class: "tick", x: start + 168, y: at }, "retrained"));
  svg.append(key);
  fill(place, svg);
  return svg;
}

// Where a pointer is pressed, moved and let go, in units of the axes.
function brush(svg, invert, chosen, two) {
  let from = null;
  const shade = draw("rect", { class: "brush", width: 0, height: 0 });
  svg.append(shade);
  const at = (event) => {
    const box = svg.getBoundingClientRect();
    const size = svg.viewBox.baseVal;
    return [((event.clientX - box.left) / box.width) * size.width, ((event.clientY - box.top) / box.height) * size.height];
  };
  svg.addEventListener("pointerdown", (event) => {
    from = at(event);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = at(event);
    shade.setAttribute("x", Math.min(from[0], to[0]));
    shade.setAttribute("width", Math.abs(from[0] - to[0]));
    shade.setAttribute("y", two ? Math.min(from[1], to[1]) : 8);
    shade.setAttribute("height", two ? Math.abs(from[1] - to[1]) : 110);
  });
  svg.addEventListener("pointerup", (event) => {
    if (!from) return;
    const to = at(event);
    const [a, b] = [invert(from), invert(to)];
    const moved = Math.abs(from[0] - to[0]) > 4;
    from = null;
    shade.setAttribute("width", 0);
    chosen(moved ? [a, b] : null);
  });
  svg.addEventListener("pointercancel", () => {
    from = null;
    shade.setAttribute("width", 0);
  });
}

export function histogram(place, { edges, all, selected }, range, [name, noun], chosen) {
  const height = 172;
  const bottom = height - 46;
  const most = Math.max(...all, 1);
  const x = scale(edges[0], edges.at(-1), LEFT, WIDTH - RIGHT);
  const y = scale(0, Math.log1p(most), bottom, 10);
  const svg = canvas(height, `How many ${noun}s have which effect on ${name}: from ${effect(edges[0])} to ${effect(edges.at(-1))}`);
  svg.classList.add("brushed");
  const tens = [];
  for (let t = 1; t <= most; t *= 10) tens.push(t);
  axes(svg, x, (t) => y(Math.log1p(t)), [ticks(edges[0], edges.at(-1), 6), tens], bottom, { below: `effect on ${name}`, y: count });
  all.forEach((n, i) => {
    for (const [size, kind] of [[n, "bar"], [selected[i], "bar inside"]]) {
      if (!size) continue;
      const top = y(Math.log1p(size));
      svg.append(draw("rect", { class: kind, x: x(edges[i]) + 0.5, width: x(edges[i + 1]) - x(edges[i]) - 1, y: top, height: bottom - top }));
    }
  });
  svg.append(draw("line", { class: "zero", x1: x(0), x2: x(0), y1: 8, y2: bottom }));
  for (const end of range.filter((e) => e !== undefined)) {
    svg.append(draw("line", { class: "here", x1: x(end), x2: x(end), y1: 8, y2: bottom }));
  }
  const back = scale(LEFT, WIDTH - RIGHT, edges[0], edges.at(-1));
  brush(svg, (p) => back(p[0]), (ends) => chosen(ends && [Math.min(...ends), Math.max(...ends)]), false);
  fill(place, svg);
  return svg;
}

// box: the chosen [low, high] of both, undefined where it is open.
export function scatter(place, { x: xs, y: ys, cells }, box, names, chosen) {
  const height = 420;
  const bottom = height - 46;
  const x = scale(xs[0], xs.at(-1), LEFT, WIDTH - RIGHT);
  const y = scale(ys[0], ys.at(-1), bottom, 24);
  const most = Math.log1p(Math.max(...cells.map((c) => c[2]), 1));
  const svg = canvas(height, `The ${names[2]}s by their effect on ${names[0]} and on ${names[1]}; darker where there are more`);
  svg.classList.add("brushed");
  axes(svg, x, y, [ticks(xs[0], xs.at(-1), 6), ticks(ys[0], ys.at(-1), 6)], bottom, { below: `effect on ${names[0]}` });
  svg.append(draw("text", { class: "label", x: LEFT, y: 14 }, `effect on ${names[1]}`));
  for (const [i, j, n] of cells) {
    const place = { x: x(xs[i]), width: x(xs[i + 1]) - x(xs[i]), y: y(ys[j + 1]), height: y(ys[j]) - y(ys[j + 1]) };
    svg.append(draw("rect", { class: "cell", "fill-opacity": (0.15 + (0.85 * Math.log1p(n)) / most).toFixed(2), ...place }));
  }
  svg.append(draw("line", { class: "zero", x1: x(0), x2: x(0), y1: 24, y2: bottom }));
  svg.append(draw("line", { class: "zero", x1: LEFT, x2: WIDTH - RIGHT, y1: y(0), y2: y(0) }));
  for (const end of box[0].filter((e) => e !== undefined)) svg.append(draw("line", { class: "here", x1: x(end), x2: x(end), y1: 24, y2: bottom }));
  for (const end of box[1].filter((e) => e !== undefined)) svg.append(draw("line", { class: "here", x1: LEFT, x2: WIDTH - RIGHT, y1: y(end), y2: y(end) }));
  const [backX, backY] = [scale(LEFT, WIDTH - RIGHT, xs[0], xs.at(-1)), scale(bottom, 24, ys[0], ys.at(-1))];
  brush(svg, (p) => [backX(p[0]), backY(p[1])], (ends) => chosen(ends), true);
  fill(place, svg);
  return svg;
}
