"use strict";
// What stands on the page above the samples: head, curves, distributions, groups, and what went wrong.

let current = data.training && severalSets ? data.sets.length - 1 : 0;
const redraw = [];
const everySet = () => severalSets && current === 0;
const inSet = (member) => everySet() || !severalSets || member === current - 1;
const main = document.getElementById("main");
const sections = [];

function section(id, title, lead, ...content) {
  sections.push([id, title]);
  main.append(
    h("section", { id, "aria-labelledby": `${id}-title` },
      h("h2", { id: `${id}-title` }, title),
      lead && h("p.lead", lead),
      content));
}
// A part of the page that is drawn again for every choice of set.
function live(draw, properties) {
  const node = h("div", properties);
  redraw.push(() => fill(node, draw()));
  return node;
}
function choose(set) {
  current = set;
  redraw.forEach((draw) => draw());
}

// -- head

function tile(label, value, detail) {
  return h("div.tile", h("dt", label), h("dd", value), detail && h("dd.detail", detail));
}
function statusBar(counts) {
  const n = counts.reduce((a, b) => a + b, 0);
  return h("div",
    {
      class: "status-bar",
      role: "img",
      "aria-label": counts.map((c, code) => `${c} ${STATUS[code].name}`).join(", "),
    },
    counts.map(
      (c, code) =>
        c > 0 &&
        h("i", {
          class: STATUS[code].css,
          "data-tip": `${STATUS[code].name}: ${count(c)} (${percent(c, n)})`,
          style: { "flex-grow": c },
        })));
}
const statusWords = (counts) =>
  counts.map(
    (c, code) =>
      c > 0 &&
      code !== OK &&
      h("span",
        h("i", { class: STATUS[code].css, "aria-hidden": true }, STATUS[code].sign),
        ` ${count(c)} ${STATUS[code].name}`));

function tiles() {
  const total = data.stats[current][0];
  const n = data.sets[current].n;
  const grouped = data.groupCounts.filter((_, k) => inSet(k));
  const sum = (name) => grouped.reduce((all, g) => all + g[name], 0);
  const timing = data.times[current];
  const inGroups = sum("groups") > 0 && `in ${plural(sum("groups"), "group")}`;
  const oneSet = severalSets ? data.sets[current].label : inGroups;
  const where = everySet() ? `in ${plural(data.sets.length - 1, "set")}` : oneSet;
  return [
    tile(
      "Mean reward",
      num(total.mean),
      total.n ? `± ${num(total.std)} · median ${num(total.quartiles[2])}` : "nothing is scored"),
    tile("Samples", count(n), where),
    tile("Scored", percent(total.counts[OK], n), [
      statusBar(total.counts),
      h("span.words", statusWords(total.counts)),
    ]),
    sum("sizable") > 0 &&
      tile(
        "Groups without signal",
        percent(sum("flat"), sum("sizable")),
        `${count(sum("flat"))} of ${plural(sum("sizable"), "group")} with equal rewards`),
    timing.n > 0 &&
      tile("Scoring time", time(timing.quartiles[2]), `median a sample · ${time(timing.total)} in all`),
  ];
}

function head() {
  const shown = new Set(["created", "started", "ended", "data", "format", "command", "version", "guerdon"]);
  const isShown = (name) => shown.has(name) || name.startsWith("versions.");
  const colourOf = (part) => {
    const k = data.channels.findIndex((c) => c.path.length === 1 && c.path[0] === part);
    return k < 0 ? null : { "border-color": channelColour(k) };
  };
  fill(document.getElementById("top"), [
    h("p.brand",
      h("i", { "aria-hidden": true }),
      "guerdon",
      h("span", data.training ? "training report" : "reward report")),
    h("h1", data.title),
    data.formula.length > 0 &&
      h("p.formula",
        h("span.op", "reward = "),
        data.formula.map(([kind, words]) =>
          h("span", { class: kind, style: kind === "part" ? colourOf(words) : null }, words))),
    h("dl.line.facts",
      data.facts
        .filter(([name]) => isShown(name))
        .map(([name, value]) => h("div", h("dt", name.replace("versions.", "")), h("dd", value)))),
    data.limits.rows > 0 && live(tiles, { class: "tiles" }),
    data.missing.length > 0 &&
      h("div.notice",
        h("b", "Not in this report"),
        h("ul",
          data.missing.map((words) => h("li", words)))),
    h("div.more",
      data.recipe && h("details", h("summary", "Recipe"), h("pre", data.recipe)),
      data.facts.some(([name]) => !isShown(name)) &&
        h("details",
          h("summary", "Configuration"),
          h("dl.config",
            data.facts.filter(([name]) => !isShown(name)).map(([name, value]) => [h("dt", name), h("dd", value)])))),
  ]);
}

// -- learning curves

// The reward and its parts first, then what tells whether the run is well, then the optimiser's own numbers.
const FAMILIES = [/^rewards?($|[/_])/, /^eval/, /^groups\//, /^status\//, /\//];
function curveSections() {
  const indexOr = (list, test, otherwise) => (list.some(test) ? list.findIndex(test) : otherwise);
  const family = (name) => indexOr(FAMILIES, (pattern) => pattern.test(name), FAMILIES.length);
  const partOf = (name) => {
    const inner = /^rewards?\/(.*?)(\/mean)?$/.exec(name)?.[1];
    return inner && inner !== "mean" && inner !== "total"
      ? indexOr(data.channels, (c) => c.path.join("/") === inner, data.channels.length)
      : 0;
  };
  const curves = data.curves.filter((curve) => !flat(curve)).toSorted(
    (a, b) => family(a.name) - family(b.name) || (family(a.name) ? 0 : partOf(a.name) - partOf(b.name)));
  const steps = curves.flatMap((curve) => [curve.x[0], curve.x[curve.x.length - 1]]);
  const domain = [Math.min(...steps), Math.max(...steps)];
  const short = (name) => (family(name) ? name : name.replace(/^rewards?\/|\/mean$/g, "") || name);
  const card = (curve) => {
    const k = family(curve.name) ? data.channels.length : partOf(curve.name);
    const colour = k < data.channels.length ? channelColour(k) : "var(--accent)";
    return h("figure.card",
      h("figcaption",
        h("b", { style: { "--dot": colour }, "data-tip": curve.name }, short(curve.name)),
        h("span", { "data-tip": "last value" }, num(curve.y.findLast((v) => v !== null)))),
      curveChart(curve, domain, colour),
      curve.averaged && h("p.under", `${count(curve.averaged)} points, averaged to ${count(curve.x.length)}`));
  };
  const still = data.curves.filter(flat);
  return [
    ...[
      ["Reward and its parts", (curve) => !family(curve.name)],
      ["Evaluation, health, optimisation", (curve) => family(curve.name)],
    ].map(
      ([title, keep]) => curves.some(keep) && [h("h3", title), h("div.cards.small", curves.filter(keep).map(card))]),
    still.length > 0 &&
      h("details",
        h("summary", `${count(still.length)} metrics that never change`),
        h("dl.config", still.map((curve) => [h("dt", curve.name), h("dd", num(curve.y[0]))]))),
  ];
}

// A curve of one value says as much in a line of text.
function flat(curve) {
  return curve.y.every((value) => value === curve.y[0]);
}

// -- distributions

function drawing(scale, stats, colour, options) {
  if (!stats.n) return h("p.empty", "No values.");
  if (scale.values) return shares(scale.values, stats, colour, options);
  const outside = [
    stats.below && `${count(stats.below)} below`,
    stats.above && `${count(stats.above)} above`,
  ].filter(Boolean);
  return [
    histogram(scale.edges, stats, colour, options),
    outside.length > 0 && h("p.muted", `Not drawn: ${outside.join(", ")}.`),
  ];
}
function distributionCard(k) {
  const stats = data.stats[current][k];
  const first = severalSets && current > 1 ? data.stats[1][k] : null;
  const pick = (low, high, closed) =>
    addFilter(`${channelName(k)} ${low === high ? `= ${num(low)}` : `${num(low)} to ${num(high)}`}`, (i) => {
      const v = S.values[k][i];
      const slack = 1e-6 * Math.max(Math.abs(low), Math.abs(high));
      return v !== null && (low === high || closed ? v >= low - slack && v <= high + slack : v >= low && v < high);
    });
  return h("figure.card",
    h("figcaption",
      h("b", { style: { "--dot": channelColour(k) }, "data-tip": channelName(k) }, channelName(k)),
      stats.n > 0 && h("span", num(stats.mean), h("small", ` ± ${num(stats.std)}`))),
    drawing(data.channels[k], stats, channelColour(k), { first, pick }),
    h("div.under", stats.n > 0 && h("span", `${count(stats.n)} scored`), statusWords(stats.counts)));
}
const distributions = () =>
  h("div.cards", data.channels.map((_, k) => distributionCard(k)));

// -- groups

function groupSection() {
  const G = data.groups;
  const ids = G.label.map((_, g) => g);
  if (!G.n.some((n) => n > 1)) {
    section(
      "groups",
      "Groups",
      ids.length ? "No two samples share a prompt or a group." : "The samples name neither groups nor prompts.");
    return;
  }
  const range = (g) => {
    const all = data.stats[0][0].quartiles;
    const place = (v) => (all[4] > all[0] ? (100 * (v - all[0])) / (all[4] - all[0]) : 50);
    if (G.mean[g] === null) return "";
    return h("span", { class: "range", "data-tip": `${num(G.min[g])} to ${num(G.max[g])}, mean ${num(G.mean[g])}` },
      h("i", { style: { left: `${place(G.min[g])}%`, width: `${place(G.max[g]) - place(G.min[g])}%` } }),
      h("b", { style: { left: `${place(G.mean[g])}%` } }));
  };
  const column = (label, name, more) => ({
    label,
    numeric: true,
    value: (g) => G[name][g],
    cell: (g) => num(G[name][g]),
    ...more,
  });
  const table = makeTable(
    "Groups; a click shows the samples of one",
    [
      {
        label: "group",
        value: (g) => G.label[g],
        cell: (g) => h("button.quiet", { onclick: () => filterGroup(g) }, G.label[g]),
        css: "name",
      },
      severalSets && { label: "set", value: (g) => G.set[g], cell: (g) => data.sets[G.set[g] + 1].label },
      column("size", "n"),
      column("mean", "mean"),
      column("std", "std", { title: `its square divides by ${divisor}` }),
      column("min", "min"),
      column("max", "max"),
      { label: "range", cell: range },
      {
        label: "signal",
        value: (g) => Number(G.flat[g]),
        cell: (g) => (G.flat[g] ? h("span.badge.flat", "no variance") : ""),
      },
      column("failed", "failed", { cell: (g) => (G.failed[g] ? h("span.failed", count(G.failed[g])) : "") }),
      column("abstained", "abstained", { cell: (g) => (G.abstained[g] ? count(G.abstained[g]) : "") }),
    ].filter(Boolean),
    { size: 12, open: filterGroup });
  redraw.push(() => table.show(ids.filter((g) => inSet(G.set[g]))));
  const lead = live(() => {
    const shown = data.groupCounts.filter((_, k) => inSet(k));
    const sum = (name) => shown.reduce((all, g) => all + g[name], 0);
    const listed = ids.filter((g) => inSet(G.set[g])).length;
    return [
      `${plural(sum("groups"), "group")}, ${count(sum("flat"))} without variance`,
      sum("flat") > 0 && ": a group-relative estimator learns nothing from those",
      ".",
      listed < sum("groups") && ` Listed are the ${count(listed)} whose samples can be opened.`,
    ];
  });
  section("groups", "Groups", lead, table.node);
}

// -- slow, failed, abstained

function bars(list, widest, line) {
  return list.length
    ? h("ol.bars",
        list.map((item) =>
          h("li", { style: { "--share": `${(100 * line(item).size) / (widest || 1)}%` } }, line(item).content)))
    : h("p.empty", "None.");
}
function slowest() {
  if (!data.times[current].n) return h("p.empty", "There are no scoring times.");
  const { quartiles } = data.times[current];
  const list = ALL.filter((i) => inSet(S.set[i]) && S.seconds[i] !== null)
    .sort((a, b) => S.seconds[b] - S.seconds[a])
    .slice(0, Math.max(1, Math.min(10, data.limits.extremes)));
  return [
    h("p.muted",
      `Half took less than ${time(quartiles[2])}, three quarters less than ${time(quartiles[3])}, the slowest ${time(quartiles[4])}.`),
    bars(list, S.seconds[list[0]], (i) => ({
      size: S.seconds[i],
      content: [linkTo(i), badge(S.status[0][i]), h("span.number", time(S.seconds[i]))],
    })),
  ];
}
function reasonList() {
  const merged = new Map();
  for (const r of data.reasons.rows.filter((each) => inSet(each.set))) {
    const key = JSON.stringify([r.channel, r.status, r.reason]);
    merged.set(key, { ...r, count: r.count + (merged.get(key)?.count ?? 0) });
  }
  const list = [...merged.values()].sort((a, b) => b.count - a.count);
  const show = (r) =>
    addFilter(
      `${r.channel ? `${channelName(r.channel)}: ` : ""}${r.reason || `${STATUS[r.status].name}, no reason`}`,
      (i) => {
        const said = data.details[i].reasons?.[r.channel] ?? "";
        return (
          S.status[r.channel][i] === r.status &&
          (r.channel === 0 || S.status[0][i] === OK) &&
          (typeof said === "string" ? said : said[0]).slice(0, 200) === r.reason.slice(0, 200)
        );
      });
  const more = data.reasons.more > 0 && h("p.muted", `${plural(data.reasons.more, "rarer reason")} not listed.`);
  return [
    bars(list, list[0]?.count, (r) => ({
      size: r.count,
      content: [
        badge(r.status),
        r.channel > 0 && h("b", channelName(r.channel)),
        h("button.quiet.reason", { onclick: () => show(r) }, r.reason || "no reason given"),
        h("span.number", count(r.count)),
      ],
    })),
    more,
  ];
}
