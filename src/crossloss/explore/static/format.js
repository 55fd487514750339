// Numbers as people read them: the same as crossloss.utils.display writes them.
function figures(x) {
  if (!x) return "0";
  return x.toFixed(Math.max(0, Math.min(1 - Math.floor(Math.log10(Math.abs(x))), 9)));
}

function signed(text) {
  return /[1-9]/.test(text) ? text.replace("-", "\u2212") : text.replace(/^[+-]+/, "");
}

export function value(x) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "not a number" : x > 0 ? "∞" : "\u2212∞";
  return signed(Math.abs(x) >= 0.0095 || x === 0 ? x.toFixed(2) : x.toFixed(3));
}

export function effect(x) {
  if (!Number.isFinite(x)) return value(x);
  const plus = x > 0 ? "+" : "";
  return signed(plus + (Math.abs(x) >= 0.00095 || x === 0 ? x.toFixed(4) : figures(x)));
}

export function probability(p) {
  if (p === null || p === undefined || Number.isNaN(p)) return "–";
  return p >= 0.1 ? p.toFixed(2) : figures(p);
}

export function count(n) {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

export function several(n, noun) {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

export function percent(share) {
  const shown = share >= 0.095 ? (100 * share).toFixed(0) : figures(100 * share);
  return `${shown.includes(".") ? shown.replace(/0+$/, "").replace(/\.$/, "") : shown} %`;
}

export function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return seconds < 10 ? `${seconds.toFixed(1)} s` : `${whole} s`;
  const two = (n) => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

export function agreement(x) {
  if (Math.abs(x) >= 100) return signed(count(Math.round(x)));
  if (Math.abs(x) > 0 && Math.abs(x) < 0.095) return signed(figures(x));
  return signed(Math.abs(x) >= 0.995 && Math.abs(x) < 1 ? x.toFixed(3) : x.toFixed(2));
}

export function spread(values) {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  if (values.length < 2) return value(mean);
  const squares = values.reduce((a, b) => a + (b - mean) ** 2, 0);
  return `${value(mean)} ± ${Math.sqrt(squares / (values.length - 1)).toFixed(2)}`;
}
