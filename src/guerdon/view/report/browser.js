"use strict";
// Searching, filtering and listing the samples; and the page put together, from top to bottom.

// -- samples: search, filters, table

const filters = [];
let search = "";
const lowered = [];
function haystack(i) {
  const words = (piece) => (typeof piece === "string" ? piece : `${piece[0]} ${piece[2]}`);
  const d = data.details[i];
  return (lowered[i] ??= [
    nameOf(i),
    data.groups.label[S.group[i]] ?? "",
    ...["prompt", "completion"].flatMap((which) =>
      d[which] === undefined
        ? []
        : data.texts[d[which]].flatMap((m) => [
            words(m.text),
            ...(m.calls ?? []).flatMap((c) => [c.name, words(c.arguments)]),
          ])),
    ...[d.reasons, d.notes].flatMap((found) => Object.values(found ?? {}).map(words)),
    d.reference === undefined ? "" : words(d.reference),
  ]
    .join("\n")
    .toLowerCase());
}
function snippet(i) {
  const d = data.details[i];
  if (d.completion === undefined) return "";
  const first = data.texts[d.completion].find((m) => m.text.length) ?? {};
  const words = typeof first.text === "string" ? first.text : (first.text?.[0] ?? "");
  return words.slice(0, 160);
}
const chips = h("div.chips");
const found = h("span", { "aria-live": "polite", class: "muted" });
const MAX_COLUMNS = 6;
const columnsShown = data.channels
  .map((_, k) => k)
  .filter((k) => k > 0 && data.channels[k].path.length === 1)
  .slice(0, MAX_COLUMNS);
const sampleTable = makeTable(
  "Samples; a click opens one",
  [
    { label: "sample", value: (i) => S.row[i] + 1e9 * (S.set[i] ?? 0), cell: linkTo },
    { label: "status", value: (i) => S.status[0][i], cell: (i) => badge(S.status[0][i]) },
    { label: "total", numeric: true, value: (i) => S.values[0][i], cell: (i) => h("b", num(S.values[0][i])) },
    ...columnsShown.map((k) => ({
      label: channelName(k),
      numeric: true,
      value: (i) => S.values[k][i],
      cell: (i) => valueCell(i, k),
    })),
    S.seconds && { label: "time", numeric: true, value: (i) => S.seconds[i], cell: (i) => time(S.seconds[i]) },
    S.group.some((g) => g >= 0) && {
      label: "group",
      value: (i) => data.groups.label[S.group[i]] ?? null,
      cell: (i) => data.groups.label[S.group[i]] ?? "",
      css: "name",
    },
    { label: "completion", cell: snippet, css: "snippet" },
  ].filter(Boolean),
  { size: 25, open: (i) => (location.hash = `sample=${encodeURIComponent(keyOf(i))}`), sort: 0 });
neighbours = () => sampleTable.rows;

function applyFilters() {
  const words = search.toLowerCase();
  const rows = ALL.filter(
    (i) => inSet(S.set[i]) && filters.every((f) => f.test(i)) && (!words || haystack(i).includes(words)));
  fill(
    chips,
    filters.map((f) =>
      h("button.chip", { "aria-label": `Remove filter ${f.label}`, onclick: () => removeFilter(f) },
        h("span", f.label),
        " ✕")));
  found.textContent = `${count(rows.length)} of ${plural(ALL.filter((i) => inSet(S.set[i])).length, "sample")}`;
  sampleTable.show(rows);
}
function addFilter(label, test) {
  if (!filters.some((f) => f.label === label)) filters.push({ label, test });
  applyFilters();
  document
    .getElementById("samples")
    .scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}
function removeFilter(filter) {
  filters.splice(filters.indexOf(filter), 1);
  applyFilters();
}
function filterGroup(g) {
  addFilter(
    `group ${data.groups.label[g]}${severalSets ? ` of ${data.sets[data.groups.set[g] + 1].label}` : ""}`,
    (i) => S.group[i] === g);
}

function toolbar() {
  let pending;
  const columns = [...data.channels.map((_, k) => [channelName(k), (i) => S.values[k][i], (i) => S.status[k][i]])];
  if (S.seconds) columns.push(["seconds", (i) => S.seconds[i]]);
  const compare = {
    "≥": (a, b) => a >= b,
    "≤": (a, b) => a <= b,
    "=": (a, b) => Math.abs(a - b) <= 1e-5 * Math.max(1, Math.abs(b)),
    "≠": (a, b) => Math.abs(a - b) > 1e-5 * Math.max(1, Math.abs(b)),
  };
  const column = h("select", { "aria-label": "Column" },
    columns.map(([name], k) => h("option", { value: k }, name)));
  const relation = h("select",
    { "aria-label": "Relation", onchange: () => (bound.hidden = !compare[relation.value]) },
    Object.keys(compare).map((name) => h("option", name)),
    STATUS.map((s) => h("option", s.name)));
  const bound = h("input", { type: "number", step: "any", "aria-label": "Value", placeholder: "value" });
  const add = (event) => {
    event.preventDefault();
    const [name, value, status] = columns[column.value];
    const test = compare[relation.value];
    if (test && bound.value !== "")
      addFilter(
        `${name} ${relation.value} ${num(Number(bound.value), 6)}`,
        (i) => value(i) !== null && test(value(i), Number(bound.value)));
    if (!test && status) addFilter(`${name} ${relation.value}`, (i) => STATUS[status(i)].name === relation.value);
  };
  return h("div.toolbar",
    h("input", {
      type: "search",
      placeholder: "Search texts, reasons, groups",
      "aria-label": "Search samples",
      oninput: (event) => {
        clearTimeout(pending);
        pending = setTimeout(() => {
          search = event.target.value;
          applyFilters();
        }, 150);
      },
    }),
    h("form", { onsubmit: add }, column, relation, bound, h("button", "Filter")),
    found);
}

// -- everything, in order

function setChoice() {
  if (!severalSets) return null;
  const choice = h("select", { id: "set", onchange: () => choose(Number(choice.value)) },
    data.sets.map((set, k) => h("option", { value: k, selected: k === current }, `${set.label} (${count(set.n)})`)));
  return h("label", "Samples of ", choice);
}

head();
if (data.curves.length)
  section(
    "curves",
    "Learning curves",
    data.curvesFromRollouts
      ? "Reward curves are the means of the rollouts, since the metrics have none. Bands are ± one standard deviation."
      : "Bands are ± one standard deviation. Arrow keys move along a curve.",
    curveSections());
const L = data.limits;
const whichSamples = () => [
  `Over ${everySet() || !severalSets ? "all samples" : data.sets[current].label}; `,
  "samples that abstained or failed have no value and are counted below each chart.",
  severalSets && current > 1 && ` The outline is ${data.sets[1].label}.`,
];
const samplingRule = [
  `${count(L.samples)} of ${count(L.rows)} samples can be opened here: failed and timed-out ones first, then of each `,
  `set the ${count(L.extremes)} slowest, highest and lowest, then evenly spaced ones. Statistics above are over all.`,
];
if (L.rows) {
  section("distributions", "Distributions", live(whichSamples), live(distributions));
  groupSection();
  section(
    "trouble",
    "Slow, failed and abstained",
    "A part's reasons are listed where the sample was scored without it.",
    h("div.halves", h("div", h("h3", "Slowest"), live(slowest)), h("div", h("h3", "Reasons"), live(reasonList))));
  section(
    "samples",
    "Samples",
    L.samples < L.rows && samplingRule,
    toolbar(),
    chips,
    sampleTable.node,
    columnsShown.length < data.channels.length - 1 &&
      h("p.muted", "Further and nested parts are in the opened sample and in the filter."));
} else section("samples", "Samples", "There are no scored samples here.");
document.getElementById("nav").append(
  h("div",
    sections.map(([id, title]) => h("a", { href: `#${id}` }, title)),
    setChoice()));
main.append(
  h("footer",
    `Made ${data.made.replace("T", " ").replace("+00:00", " UTC")}. Standard deviations divide by ${divisor}. `,
    `A conversation of more than ${count(L.chars)} characters is shortened in the middle.`));
redraw.push(applyFilters);
choose(current);
openFromAddress();
