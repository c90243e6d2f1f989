// Tables of class "sortable": their heads become buttons that sort, and a field above shows only the rows that contain what is typed.
const figure = /^[-+−]?(inf|[\d,]*\.?\d+(e[-+]?\d+)?)(?=$|\s|%|±)/i;
const valueOf = (cell) => {
  const text = cell.textContent.trim(), found = cell.scope === "row" ? null : text.match(figure);
  const number = found ? Number(found[0].replace("−", "-").replace(/,/g, "").replace(/inf/i, "Infinity")) : NaN;
  return { text, number, empty: text === "-" || text === "–" || text === "" };
};
const compare = (a, b, sign) => {
  if (a.empty || b.empty) return a.empty - b.empty; // nothing measured comes last either way
  if (Number.isNaN(a.number) || Number.isNaN(b.number)) return sign * a.text.localeCompare(b.text, undefined, { numeric: true });
  return a.number === b.number ? 0 : sign * (a.number - b.number);
};
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.querySelectorAll("th[data-column]")];
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const column = Number(head.dataset.column), values = new Map(rows.map((row) => [row, valueOf(row.cells[column])]));
      const words = [...values.values()].some((value) => !value.empty && Number.isNaN(value.number));
      const order = { none: words ? "ascending" : "descending", ascending: "descending", descending: "ascending" }[head.ariaSort ?? "none"];
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      body.append(...[...body.rows].sort((a, b) => compare(values.get(a), values.get(b), sign)));
    });
  }
  if (rows.length < 4) continue; // nothing to look for
  const label = document.createElement("label"), field = document.createElement("input"), shown = document.createElement("output");
  label.className = "filter";
  field.type = "search";
  label.append("Show rows with ", field);
  const words = new Map(rows.map((row) => [row, // not figures: 0.5 would find 90.5
    [...row.cells].filter((cell) => Number.isNaN(valueOf(cell).number)).map((cell) => cell.textContent).join(" ").toLowerCase()]));
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !wanted.every((word) => words.get(row).includes(word));
    shown.value = wanted.length ? ` ${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
  });
  table.closest(".scroll").before(label, shown);
}
