"use strict";
// A table that sorts by its heads and shows one page of its rows.

// columns: {label, value(row) to sort by, cell(row) → node or text, numeric, css, title}
// open(row) is called on a click in a row.
function makeTable(caption, columns, { size, open, sort = null, sign = 1 }) {
  let rows = [];
  let page = 0;
  const body = h("tbody");
  const position = h("span", { "aria-live": "polite" });
  const turn = (by) => {
    page += by;
    draw();
  };
  const back = h("button", { onclick: () => turn(-1), "aria-label": "Previous page" }, "←");
  const next = h("button", { onclick: () => turn(1), "aria-label": "Next page" }, "→");
  const pager = h("div.pager", position, back, next);
  const heads = columns.map((column) =>
    h("th", { scope: "col", class: column.numeric && "number" },
      column.value
        ? h("button",
            {
              "data-tip": column.title,
              onclick: () => {
                sign = sort === column ? -sign : column.numeric ? -1 : 1;
                sort = column;
                page = 0;
                arrange();
              },
            },
            column.label)
        : column.label));
  if (typeof sort === "number") sort = columns[sort];

  const cssOf = ({ css, numeric }) => [css, numeric && "number"].filter(Boolean).join(" ") || null;

  function arrange() {
    heads.forEach((head, i) => {
      if (columns[i] === sort) head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    if (sort) {
      const key = new Map(rows.map((row) => [row, sort.value(row)]));
      const missing = (v) => v === null || v === undefined;
      rows.sort((a, b) => {
        const [x, y] = [key.get(a), key.get(b)];
        if (missing(x) || missing(y)) return missing(x) - missing(y) || a - b;
        return (typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y) * sign || a - b;
      });
    }
    draw();
  }
  function draw() {
    const pages = Math.max(1, Math.ceil(rows.length / size));
    page = Math.max(0, Math.min(page, pages - 1));
    const shown = rows.slice(page * size, (page + 1) * size);
    const click = (row) => open && ((event) => event.target.closest("a, button") || open(row));
    const cells = (row) => columns.map((column) => h("td", { class: cssOf(column) }, column.cell(row)));
    fill(
      body,
      shown.map((row) => h("tr", { onclick: click(row) }, cells(row))));
    if (!shown.length) body.append(h("tr", h("td.empty", { colspan: columns.length }, "Nothing here.")));
    position.textContent = rows.length
      ? `${count(page * size + 1)}–${count(page * size + shown.length)} of ${count(rows.length)}`
      : "";
    pager.hidden = pages === 1;
    back.disabled = page === 0;
    next.disabled = page === pages - 1;
  }
  const table = h("table", { class: open && "opens" }, h("caption", caption), h("thead", h("tr", heads)), body);
  return {
    node: h("div", h("div.scroll", { tabindex: 0, role: "region", "aria-label": caption }, table), pager),
    show(list) {
      rows = [...list];
      page = 0;
      arrange();
    },
    get rows() {
      return rows;
    },
  };
}
