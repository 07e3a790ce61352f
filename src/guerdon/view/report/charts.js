"use strict";
// Axes, histograms, shares, curves and strips of values, as SVG.

function ticks(low, high, about) {
  if (!(high > low)) return [low];
  const raw = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((s) => s >= raw * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

// Draws at the width that the chart has, and again when that changes, so that text keeps its size.
function responsive(height, draw, properties) {
  const node = svg("svg", { height, role: "img", ...properties });
  let width = 0;
  new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now === width || now === 0) return;
    width = now;
    fill(node, draw(width, height));
  }).observe(node);
  return node;
}

const text = (x, y, anchor, content) => svg("text", { x, y, "text-anchor": anchor }, content);

function frame(box, x, y, xTicks, yTicks) {
  const last = xTicks.length - 1;
  return [
    yTicks.map((v) => [
      svg("line.grid", { x1: box.left, x2: box.right, y1: y(v), y2: y(v) }),
      text(box.left - 6, y(v) + 3.5, "end", num(v)),
    ]),
    svg("line.axis", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }),
    xTicks.map((v, i) => [
      svg("line.axis", { x1: x(v), x2: x(v), y1: box.bottom, y2: box.bottom + 3 }),
      text(x(v), box.bottom + 15, i === last && x(v) > box.right - 12 ? "end" : "middle", num(v)),
    ]),
  ];
}

const scaler = (low, high, from, to) => (v) =>
  high > low ? from + ((v - low) / (high - low)) * (to - from) : (from + to) / 2;

// `first` is the same channel in the first set, drawn as an outline of equal area; `pick` gets a bin's interval.
function histogram(edges, stats, colour, { first, pick }) {
  const share = (bins, total) => bins.map((n) => n / Math.max(total, 1));
  const before = first?.n ? share(first.bins, first.n).map((v) => v * stats.n) : null;
  const top = Math.max(1, ...stats.bins, ...(before ?? []));
  const [low, high] = [edges[0], edges[edges.length - 1]];
  const label = `Histogram of ${plural(stats.n, "value")} from ${num(low)} to ${num(high)}, mean ${num(stats.mean)}`;
  return responsive(
    132,
    (width, height) => {
      const box = { left: 38, right: width - 8, top: 8, bottom: height - 20 };
      const x = scaler(low, high, box.left, box.right);
      const y = scaler(0, top, box.bottom, box.top);
      const bars = stats.bins.map((n, i) => {
        const tipText = `${num(edges[i])} to ${num(edges[i + 1])}: ${count(n)} (${percent(n, stats.n)})`;
        return svg("g",
          {
            "data-tip": tipText,
            class: pick && "pick",
            onclick: pick && (() => pick(edges[i], edges[i + 1], i === stats.bins.length - 1)),
          },
          svg("rect.hit", {
            x: x(edges[i]),
            width: x(edges[i + 1]) - x(edges[i]),
            y: box.top,
            height: box.bottom - box.top,
          }),
          svg("rect", {
            x: x(edges[i]) + 0.5,
            width: Math.max(1, x(edges[i + 1]) - x(edges[i]) - 1),
            y: n ? Math.min(y(n), box.bottom - 1) : box.bottom,
            height: n ? Math.max(1, box.bottom - y(n)) : 0,
            style: { fill: colour },
          }));
      });
      const outline =
        before &&
        svg("path.outline", {
          d:
            before
              .map((v, i) => `${i ? "V" : `M${x(edges[0])} ${box.bottom}V`}${y(v)}H${x(edges[i + 1])}`)
              .join("") + `V${box.bottom}`,
        });
      const mean =
        stats.n &&
        stats.mean >= low &&
        stats.mean <= high &&
        svg("path.mean", { d: `M${x(stats.mean)} ${box.bottom}v5` });
      return [
        frame(box, x, y, ticks(low, high, Math.max(2, width / 60)), ticks(0, top, 2).filter(Number.isInteger)),
        bars,
        outline,
        mean,
      ];
    },
    { "aria-label": label });
}

// A few distinct values: one bar each, its length the share of the scored samples.
function shares(values, stats, colour, { first, pick }) {
  return h("div.shares",
    values.map((value, i) => {
      const n = stats.bins[i];
      const before = first?.n ? first.bins[i] / first.n : null;
      const note = before === null ? "" : `; first set: ${percent(first.bins[i], first.n)}`;
      return h(
        pick ? "button" : "div",
        {
          class: "share",
          "data-tip": `${num(value)}: ${plural(n, "sample")}${note}`,
          onclick: pick && (() => pick(value, value, true)),
        },
        h("span.value", num(value)),
        h("span.track",
          h("span.bar", { style: { width: `${(100 * n) / Math.max(stats.n, 1)}%`, background: colour } }),
          before !== null && h("span.before", { style: { left: `${100 * before}%` } })),
        h("span.value", percent(n, stats.n)));
    }));
}

function curveChart(curve, domain, colour) {
  const known = curve.x.map((_, i) => i).filter((i) => curve.y[i] !== null);
  const spread = (i, side) => curve.y[i] + side * (curve.std?.[i] ?? 0);
  let low = Math.min(...known.map((i) => spread(i, -1)));
  let high = Math.max(...known.map((i) => spread(i, 1)));
  if (!known.length) [low, high] = [0, 1];
  if (low === high) [low, high] = [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  const runs = known.reduce((all, i, k) => {
    if (k && known[k - 1] === i - 1) all[all.length - 1].push(i);
    else all.push([i]);
    return all;
  }, []);
  const value = (i) =>
    `step ${num(curve.x[i], 6)}: ${num(curve.y[i], 4)}${curve.std?.[i] != null ? ` ± ${num(curve.std[i])}` : ""}`;
  const last = known[known.length - 1];
  const label = known.length
    ? `${curve.name}: from ${num(curve.y[known[0]])} to ${num(curve.y[last])}, ${plural(known.length, "point")}; arrow keys read values`
    : `${curve.name}: no finite values`;
  let at = last;
  const node = responsive(
    128,
    (width, height) => {
      const box = { left: 44, right: width - 8, top: 8, bottom: height - 20 };
      const x = scaler(domain[0], domain[1], box.left, box.right);
      const y = scaler(low, high, box.bottom, box.top);
      const line = (run, side) => run.map((i) => `${x(curve.x[i]).toFixed(1)} ${y(spread(i, side)).toFixed(1)}`);
      const cursor = svg("g.cursor", { visibility: "hidden" },
        svg("line", { y1: box.top, y2: box.bottom }),
        svg("circle", { r: 3.5, style: { fill: colour } }));
      node.show = (i) => {
        at = i;
        cursor.setAttribute("visibility", "visible");
        cursor.setAttribute("transform", `translate(${x(curve.x[i])} 0)`);
        cursor.lastChild.setAttribute("cy", y(curve.y[i]));
        const place = node.getBoundingClientRect();
        showTip(value(i), place.left + x(curve.x[i]), place.top + y(curve.y[i]));
      };
      node.hide = () => cursor.setAttribute("visibility", "hidden");
      node.nearest = (clientX) => {
        const left = clientX - node.getBoundingClientRect().left;
        return known.reduce(
          (best, i) => (Math.abs(x(curve.x[i]) - left) < Math.abs(x(curve.x[best]) - left) ? i : best),
          last);
      };
      return [
        frame(box, x, y, ticks(domain[0], domain[1], Math.max(2, width / 70)), ticks(low, high, 4)),
        curve.std &&
          runs.map((run) =>
            svg("path.band", {
              style: { fill: colour },
              d: `M${line(run, 1).join("L")}L${line(run, -1).reverse().join("L")}Z`,
            })),
        runs.map((run) =>
          run.length > 1
            ? svg("path.line", { style: { stroke: colour }, d: `M${line(run, 0).join("L")}` })
            : svg("circle", { r: 2, cx: x(curve.x[run[0]]), cy: y(curve.y[run[0]]), style: { fill: colour } })),
        cursor,
      ];
    },
    { "aria-label": label, tabindex: known.length ? 0 : undefined });
  if (!known.length) return node;
  node.addEventListener("pointermove", (event) => {
    event.stopPropagation();
    node.show(node.nearest(event.clientX));
  });
  node.addEventListener("pointerleave", () => {
    node.hide();
    hideTip();
  });
  node.addEventListener("focus", () => node.show(at));
  node.addEventListener("blur", () => {
    node.hide();
    hideTip();
  });
  node.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move) return;
    event.preventDefault();
    node.show(known[Math.max(0, Math.min(known.length - 1, known.indexOf(at) + move))]);
  });
  return node;
}

// -- colours and strips of dense values

// Values of both signs: blue above zero, orange below, as strong as the largest size. Of one sign: from pale to strong.
function tint(values) {
  const largest = Math.max(...values.map((v) => Math.abs(v ?? 0)), 0) || 1;
  return (v) =>
    v === null || v === undefined
      ? "transparent"
      : `color-mix(in srgb, var(--${v < 0 ? "negative" : "positive"}) ${Math.round(5 + (45 * Math.abs(v)) / largest)}%, transparent)`;
}

function legend(values) {
  const known = values.filter((v) => v !== null);
  const colour = tint(values);
  const low = Math.min(0, ...known);
  const high = Math.max(0, ...known);
  const stops = Array.from({ length: 9 }, (_, i) => colour(low + ((high - low) * i) / 8));
  return h("span.legend",
    num(low),
    h("i", { style: { background: `linear-gradient(90deg, ${stops.join(",")})` } }),
    num(high));
}

function valueStrip(values, name) {
  const known = values.filter((v) => v !== null);
  const low = Math.min(0, ...known);
  const high = Math.max(0, ...known);
  return responsive(
    64,
    (width, height) => {
      const y = scaler(low, high === low ? low + 1 : high, height - 4, 4);
      const slot = width / Math.max(values.length, 1);
      const thickness = Math.max(1, Math.min(18, slot * 0.8));
      const bars = (keep, css) =>
        svg("path", {
          class: css,
          "stroke-width": thickness,
          d: values
            .map((v, i) =>
              v !== null && keep(v) ? `M${((i + 0.5) * slot).toFixed(1)} ${y(0)}V${y(v).toFixed(1)}` : "")
            .join(""),
        });
      const hits =
        values.length <= 400 &&
        values.map((v, i) =>
          svg("rect.hit", { x: i * slot, width: slot, y: 0, height, "data-tip": `${name} ${i + 1}: ${num(v, 4)}` }));
      return [
        svg("line.axis", { x1: 0, x2: width, y1: y(0), y2: y(0) }),
        bars((v) => v >= 0, "up"),
        bars((v) => v < 0, "down"),
        hits,
      ];
    },
    { class: "strip", "aria-label": `${plural(values.length, `${name} value`)} from ${num(low)} to ${num(high)}` });
}
