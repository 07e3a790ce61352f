"use strict";
// One sample, opened: how its reward came about, and its conversation with dense values where they belong.

const S = data.samples;
const ALL = S.row.map((_, i) => i);
const severalSets = data.sets.length > 1;
const setOf = (i) => (severalSets ? data.sets[S.set[i] + 1] : data.sets[0]);
const keyOf = (i) => (severalSets ? `${setOf(i).step ?? setOf(i).label}:${S.row[i]}` : String(S.row[i]));
const nameOf = (i) => (severalSets ? `${setOf(i).label} · ${S.row[i]}` : String(S.row[i]));
const byKey = new Map(ALL.map((i) => [keyOf(i), i]).reverse());
const linkTo = (i) => h("a", { href: `#sample=${encodeURIComponent(keyOf(i))}` }, nameOf(i));
const valueCell = (i, k) => {
  const code = S.status[k][i];
  return code === OK
    ? num(S.values[k][i])
    : h("span", { class: STATUS[code].css, "data-tip": `${channelName(k)} ${STATUS[code].name}` },
        STATUS[code].sign);
};

// -- decomposition

// With weights: bars from running sum to running sum, so that they end at the total. Without: each part from zero.
function decomposition(i) {
  const outer = data.channels.map((_, k) => k).filter((k) => data.channels[k].path.length === 1);
  const total = S.values[0][i];
  const scored = (k) => S.status[k][i] === OK;
  const weighted = outer.length > 0 && outer.every((k) => data.channels[k].weight !== null);
  let sum = 0;
  const rows = [];
  for (let k = 1; k < data.channels.length; k++) {
    const { path, weight } = data.channels[k];
    const row = {
      k,
      name: path[path.length - 1],
      depth: path.length,
      from: 0,
      to: path.length === 1 && scored(k) ? S.values[k][i] : null,
    };
    if (path.length === 1 && weighted && scored(k)) {
      row.contribution = weight * S.values[k][i];
      row.from = sum;
      sum += row.contribution;
      row.to = sum;
    }
    rows.push(row);
  }
  const added = rows.map((row) => row.contribution ?? 0);
  const rest = total === null ? 0 : total - sum;
  if (weighted && total !== null && Math.abs(rest) > 1e-4 * Math.max(Math.abs(total), ...added.map(Math.abs))) {
    rows.push({ name: "rest", note: "bias and transforms", depth: 1, from: sum, to: total, contribution: rest });
  }
  rows.push({ k: 0, name: "total", depth: 1, from: 0, to: total, total: true });
  const ends = rows.flatMap((row) => [row.from, row.to ?? 0]);
  const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  const place = (v) => (high > low ? (100 * (v - low)) / (high - low) : 0);
  const line = (row) => {
    const code = row.k === undefined ? OK : S.status[row.k][i];
    const weight = row.contribution !== undefined && row.k !== undefined ? data.channels[row.k].weight : null;
    const bar =
      row.to !== null &&
      h("i", {
        style: {
          left: `${place(Math.min(row.from, row.to))}%`,
          width: `${Math.abs(place(row.to) - place(row.from))}%`,
          background: row.k === undefined ? "var(--muted)" : channelColour(row.k),
        },
      });
    return h("tr", { class: row.total ? "total" : row.depth > 1 ? "inner" : null },
      h("th", { scope: "row", style: { "padding-left": `${(row.depth - 1) * 1.1}em` } },
        row.name,
        row.note && h("small", ` ${row.note}`)),
      h("td.number", code !== OK ? badge(code) : row.k === undefined ? "" : num(S.values[row.k][i], 4)),
      weighted && h("td.number.muted", weight === null ? "" : `× ${num(weight)}`),
      weighted && h("td.number", row.contribution !== undefined ? signed(row.contribution) : ""),
      h("td.bars", h("div", h("b", { style: { left: `${place(0)}%` } }), bar)));
  };
  return h("table.decomposition",
    h("thead",
      h("tr",
        ["part", "outcome", weighted && "weight", weighted && "adds", ""]
          .filter((x) => x !== false)
          .map((label) => h("th", { scope: "col", class: ["part", ""].includes(label) ? null : "number" }, label)))),
    h("tbody", rows.map(line)));
}

function remarks(i) {
  const detail = data.details[i];
  const all = ["reasons", "notes"].flatMap((kind) =>
    Object.entries(detail[kind] ?? {}).map(([k, words]) =>
      h("p", { class: `remark ${kind === "reasons" ? STATUS[S.status[k][i]].css : ""}` },
        h("b", `${channelName(Number(k))} ${kind === "reasons" ? STATUS[S.status[k][i]].name : "note"}`),
        " ",
        plain(words))));
  return all.length ? h("div.remarks", all) : null;
}

// -- texts; one that the page holds only in part is [head, size, tail]

const gap = (piece) =>
  h("span.gap", `… ${count(piece[1] - [...piece[0]].length - [...piece[2]].length)} characters left out …`);
const plain = (piece) => (typeof piece === "string" ? piece : [piece[0], gap(piece), piece[2]]);
function pieces(piece, at) {
  if (typeof piece === "string") return [{ at, chars: [...piece] }];
  const tail = [...piece[2]];
  return [{ at, chars: [...piece[0]] }, { gap: gap(piece) }, { at: at + piece[1] - tail.length, chars: tail }];
}

// Characters are counted as Python counts them: by code point. Where spans overlap, the one that starts last is shown.
function withSpans(piece, at, dense, colour) {
  return pieces(piece, at).map((part) => {
    if (part.gap) return part.gap;
    const end = part.at + part.chars.length;
    const spans = dense.spans
      .map(([from, to], j) => ({ from: Math.max(from, part.at), to: Math.min(to, end), ends: to, j }))
      .filter((s) => s.to > s.from);
    const cuts = [...new Set([part.at, end, ...spans.flatMap((s) => [s.from, s.to])])].sort((a, b) => a - b);
    return cuts.slice(0, -1).map((from, c) => {
      const words = part.chars.slice(from - part.at, cuts[c + 1] - part.at).join("");
      const span = spans.filter((s) => s.from <= from && s.to >= cuts[c + 1]).pop();
      if (!span) return words;
      const value = dense.values[span.j];
      return [
        h("mark", { "data-tip": `step ${span.j + 1}: ${num(value, 4)}`, style: { background: colour(value) } },
          words),
        cuts[c + 1] === span.ends &&
          h("sup", { "aria-label": ` (step ${span.j + 1}: ${num(value)})` }, signed(value)),
      ];
    });
  });
}

function message(m, dense, colour) {
  const words =
    m.at !== undefined && dense?.unit === "step" && dense.spans
      ? withSpans(m.text, m.at, dense, colour)
      : plain(m.text);
  const turn = dense?.unit === "turn" ? turnsOf(dense, m) : [];
  const size = typeof m.text === "string" ? m.text.length : m.text[1];
  const body = h("div.text", words);
  const long = size > 1400 && m.role !== "assistant";
  if (long) body.classList.add("folded");
  return h("section", { class: `message ${m.role}` },
    h("header",
      h("b", m.role),
      m.name && h("span", m.name),
      turn.map(([j, v]) =>
        h("span.turn", { style: { background: colour(v) }, "data-tip": `turn value ${j + 1}: ${num(v, 4)}` },
          signed(v)))),
    size > 0 && body,
    long &&
      h("button",
        {
          class: "quiet",
          onclick: (event) => {
            body.classList.remove("folded");
            event.target.remove();
          },
        },
        `Show all ${count(size)} characters`),
    (m.other ?? []).map((kind) => h("p.muted", `[${kind}]`)),
    (m.calls ?? []).map((call) => h("div.call", h("b", call.name), h("pre", plain(call.arguments)))));
}

function turnsOf(dense, m) {
  const all = dense.values.map((v, j) => [j, v]);
  if (dense.spans) return all.filter(([j]) => dense.spans[j][0] <= m.index && m.index < dense.spans[j][1]);
  return all.filter(([j]) => j === m.turn);
}

function tokenStrip(tokens, dense, colour) {
  const valueAt = (t) => {
    if (!dense.spans) return dense.values[t];
    const j = dense.spans.findLastIndex(([from, to]) => from <= t && t < to);
    return j < 0 ? undefined : dense.values[j];
  };
  return h("div.tokens",
    tokens.map((token, t) => {
      const v = valueAt(t);
      const shown = token.replace(/\n/g, "⏎\n");
      return h("span",
        {
          "data-tip": `token ${t + 1} ${JSON.stringify(token)}: ${v === undefined ? "no value" : num(v, 4)}`,
          style: { background: colour(v) },
        },
        shown || "∅");
    }));
}

const unit = (dense) => dense.unit.replace("_", " ");

// -- the conversation, with one dense channel at a time

function conversation(i) {
  const detail = data.details[i];
  const dense = Object.entries(detail.dense ?? {}).map(([k, d]) => ({ name: channelName(Number(k)), ...d }));
  if (detail.advantages) dense.push({ name: "advantages", unit: "token", ...detail.advantages });
  const place = h("div");
  const buttons = dense.map((d, j) =>
    h("button", { onclick: () => draw(j) }, d.name, h("small", ` per ${unit(d)}`)));
  function draw(j) {
    const d = dense[j];
    buttons.forEach((button, b) => button.setAttribute("aria-pressed", b === j));
    const colour = d && tint(d.values);
    const talk = (which, values) =>
      detail[which] === undefined
        ? h("p.muted", `The file has no ${which} of this sample.`)
        : withGap(data.texts[detail[which]]).map((m) => message(m, values, colour));
    fill(place, [
      d &&
        h("div.dense",
          h("p",
            h("span",
              plural(d.size, unit(d)),
              d.size > d.values.length && `, the first ${count(d.values.length)} shown`),
            legend(d.values)),
          d.unit === "token" && detail.tokens
            ? tokenStrip(detail.tokens, d, colour)
            : valueStrip(d.values, unit(d))),
      h("h3", "Prompt"),
      talk("prompt"),
      h("h3", "Completion"),
      talk("completion", d),
      detail.reference !== undefined && [h("h3", "Reference"), h("pre.reference", readable(detail.reference))],
    ]);
  }
  draw(0);
  return [
    dense.length > 0 && h("div.choices", { role: "group", "aria-label": "Dense values shown" }, buttons),
    place,
  ];
}

// A long conversation lacks messages in its middle; a line says how many.
function withGap(messages) {
  return messages.flatMap((m, j) => {
    const skipped = j ? m.index - messages[j - 1].index - 1 : 0;
    return skipped ? [{ role: "left out", text: `${count(skipped)} messages`, index: -1 }, m] : [m];
  });
}

function readable(reference) {
  if (typeof reference !== "string") return plain(reference);
  try {
    const value = JSON.parse(reference);
    return typeof value === "string" ? value : JSON.stringify(value, null, 2);
  } catch {
    return reference;
  }
}

// -- the dialog; the address says which sample is open, so that a link leads to it

const dialog = document.getElementById("sample");
let neighbours = () => ALL;

function openSample(i) {
  const list = neighbours().includes(i) ? neighbours() : ALL;
  const at = list.indexOf(i);
  const go = (by) =>
    at + by >= 0 &&
    at + by < list.length &&
    location.replace(`#sample=${encodeURIComponent(keyOf(list[at + by]))}`);
  const group = S.group[i];
  const toGroup = () => {
    dialog.close();
    filterGroup(group);
  };
  const button = (label, sign, more) => h("button", { "aria-label": label, "data-tip": label, ...more }, sign);
  fill(dialog, [
    h("div.bar",
      button("Previous sample (k)", "↑", { onclick: () => go(-1), disabled: at <= 0 }),
      button("Next sample (j)", "↓", { onclick: () => go(1), disabled: at >= list.length - 1 }),
      h("h2", { id: "sample-title" }, `Sample ${nameOf(i)}`),
      badge(S.status[0][i]),
      h("button.close", { "aria-label": "Close", onclick: () => dialog.close() }, "✕")),
    h("div.sheet", { tabindex: -1 },
      h("dl.line",
        h("div.big",
          h("dt", "reward"),
          h("dd", num(S.values[0][i], 4), S.std && S.std[i] !== null && h("small", ` ± ${num(S.std[i])}`))),
        group >= 0 &&
          h("div", h("dt", "group"), h("dd", h("button.quiet", { onclick: toGroup }, data.groups.label[group]))),
        S.seconds && h("div", h("dt", "scored in"), h("dd", time(S.seconds[i])))),
      remarks(i),
      data.channels.length > 1 && decomposition(i),
      conversation(i)),
  ]);
  dialog.onkeydown = (event) => {
    const by = { j: 1, k: -1 }[event.key];
    if (by && !event.ctrlKey && !event.metaKey && !event.altKey) go(by);
  };
  if (!dialog.open) dialog.showModal();
  hideTip();
  dialog.querySelector(".sheet").focus();
  dialog.scrollTop = 0;
}

dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
function openFromAddress() {
  const found = /^#sample=(.*)$/.exec(location.hash);
  if (!found) return;
  const i = byKey.get(decodeURIComponent(found[1]));
  if (i !== undefined) openSample(i);
}
addEventListener("hashchange", openFromAddress);
