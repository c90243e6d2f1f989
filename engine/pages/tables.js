// Tables of class "sortable": their heads become buttons that sort, and a field above shows only the rows that contain what is typed.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.querySelectorAll("th[data-column]")];
  const key = (row, column) => {
    const text = row.cells[column].textContent.trim(), number = parseFloat(text);
    return { text, number, empty: text === "-" || text === "–" || text === "" };
  };
  const compare = (a, b, sign) => {
    if (a.empty || b.empty) return a.empty - b.empty; // nothing measured comes last either way
    if (Number.isNaN(a.number) || Number.isNaN(b.number)) return sign * a.text.localeCompare(b.text, undefined, { numeric: true });
    return sign * (a.number - b.number);
  };
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const column = Number(head.dataset.column);
      const words = rows.some((row) => { const found = key(row, column); return !found.empty && Number.isNaN(found.number); });
      const order = { none: words ? "ascending" : "descending", ascending: "descending", descending: "ascending" }[head.ariaSort ?? "none"];
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      body.append(...[...body.rows].sort((a, b) => compare(key(a, column), key(b, column), sign)));
    });
  }
  const label = document.createElement("label"), field = document.createElement("input"), told = document.createElement("output");
  label.className = "filter";
  field.type = "search";
  label.append("Show rows with ", field);
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const words = (row) => [...row.cells].map((cell) => cell.textContent).filter((text) => Number.isNaN(parseFloat(text))).join(" ").toLowerCase();
    for (const row of rows) row.hidden = !wanted.every((word) => words(row).includes(word)); // not figures: 0.5 would find 90.5
    told.value = wanted.length ? ` ${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
  });
  const frame = table.closest(".scroll");
  frame.before(label, told);
}
