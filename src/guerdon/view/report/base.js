"use strict";
// Shared by all scripts of the page. Text from the run reaches the document only as text nodes, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const OK = 0;
const STATUS = [
  { name: "scored", sign: "●", css: "ok" },
  { name: "abstained", sign: "○", css: "abstained" },
  { name: "failed", sign: "✕", css: "failed" },
  { name: "timed out", sign: "◷", css: "timed-out" },
];

// h("p.muted.small", { title: "…" }, child, …): tag and classes, properties where there are some, children.
function make(create, what, ...children) {
  const [tag, ...classes] = what.split(".");
  const node = create(tag);
  if (classes.length) node.setAttribute("class", classes.join(" "));
  const properties = children[0]?.constructor === Object ? children.shift() : {};
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [name, v] of Object.entries(value)) node.style.setProperty(name, v);
    else node.setAttribute(key, value === true ? "" : value);
  }
  return fill(node, children);
}
// Children may be nodes, text, lists of them, and false or null for nothing.
function fill(node, children) {
  node.replaceChildren(...[children].flat(Infinity).filter((child) => child || child === 0));
  return node;
}
const h = (...parts) => make((tag) => document.createElement(tag), ...parts);
const svg = (...parts) => make((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag), ...parts);

// -- numbers as text

const count = (n) => n.toLocaleString("en-US");
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;
function num(x, digits = 3) {
  if (x === null || x === undefined) return "–";
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e6))
    return Number(x.toPrecision(3)).toExponential().replace("e+", "e").replaceAll("-", "−");
  return String(Number(x.toPrecision(Math.max(digits, size >= 1000 ? 6 : 0)))).replace("-", "−");
}
const divisor = data.limits.ddof ? `n − ${data.limits.ddof}` : "n";
const signed = (x) => (x > 0 ? "+" : "") + num(x);
const percent = (part, whole) => (whole ? `${Number(((100 * part) / whole).toPrecision(3))}%` : "–");
function time(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1e-3) return `${num(seconds * 1e6)} µs`;
  if (seconds < 1) return `${num(seconds * 1e3)} ms`;
  if (seconds < 120) return `${num(seconds)} s`;
  return seconds < 7200 ? `${num(seconds / 60)} min` : `${num(seconds / 3600)} h`;
}

// -- channels: the total and every part

const channelName = (k) => (k === 0 ? "total" : data.channels[k].path.join(" › "));
const PART_COLOURS = 7;
function channelColour(k) {
  if (k === 0) return "var(--total)";
  const outer = data.channels.filter((c, i) => i < k && c.path.length === 1).length;
  const own = data.channels[k].path.length === 1;
  return `var(--part-${(outer - (own ? 0 : 1)) % PART_COLOURS})`;
}
const badge = (code) =>
  h("span", { class: `badge ${STATUS[code].css}` },
    h("i", { "aria-hidden": true }, STATUS[code].sign),
    STATUS[code].name);

// -- the tooltip: any element with data-tip has one, on hover and on focus

const tip = document.getElementById("tip");
function showTip(text, x, y) {
  // An open dialog is above everything else, so the tooltip has to be inside of it.
  (document.querySelector("dialog[open]") ?? document.body).append(tip);
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(6, Math.min(x + 12, innerWidth - width - 6))}px`;
  tip.style.top = `${y + 18 + height > innerHeight ? y - height - 10 : y + 18}px`;
}
const hideTip = () => (tip.hidden = true);
document.addEventListener("pointermove", (event) => {
  const target = event.target.closest?.("[data-tip]");
  if (target) showTip(target.dataset.tip, event.clientX, event.clientY);
  else hideTip();
});
document.addEventListener("focusin", (event) => {
  const box = event.target.getBoundingClientRect();
  if (event.target.dataset?.tip) showTip(event.target.dataset.tip, box.left, box.bottom - 10);
  else hideTip();
});
