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
const groupsOf = new Map([...document.querySelectorAll("table.sortable")].map((table) => { // the head of each column's group, if it has one
  const heads = [...table.querySelectorAll("th[scope=colgroup]")];
  return [table, [undefined, ...heads.flatMap((head) => Array(head.colSpan).fill(head))]];
}));
// Tables of class "choosable": their columns are chosen from lists, by group and by name. A phone shows the first ones at first.
for (const table of document.querySelectorAll("table.choosable")) {
  const groups = groupsOf.get(table), columns = [...table.querySelectorAll("th[data-column]")].slice(1);
  const narrow = matchMedia("(max-width: 40rem)").matches, shown = new Set();
  const kindsOf = (head) => [groups[Number(head.dataset.column)], head].filter(Boolean).map((part) => part.textContent.trim());
  const apply = () => {
    for (const head of columns) {
      const column = Number(head.dataset.column);
      head.hidden = !kindsOf(head).every((name, kind) => shown.has(`${kind} ${name}`));
      for (const row of table.tBodies[0].rows) row.cells[column].hidden = head.hidden;
    }
    for (const group of new Set(groups.slice(1))) {
      const left = columns.filter((head) => groups[Number(head.dataset.column)] === group && !head.hidden).length;
      group.hidden = !left;
      group.colSpan = Math.max(1, left);
    }
  };
  const outer = document.createElement("details"), title = document.createElement("summary");
  title.append("Choose columns");
  outer.className = "columns";
  outer.append(title);
  for (const kind of columns.length ? kindsOf(columns[0]).keys() : []) {
    const list = document.createElement("fieldset"), legend = document.createElement("legend");
    const names = [...new Set(columns.map((head) => kindsOf(head)[kind]))];
    legend.append(kind + 1 < kindsOf(columns[0]).length ? "Groups" : "Figures");
    list.append(legend);
    for (const [place, name] of names.entries()) {
      const label = document.createElement("label"), box = document.createElement("input");
      box.type = "checkbox";
      box.checked = !narrow || place < (groups.length > 1 ? 2 : 4);
      if (box.checked) shown.add(`${kind} ${name}`);
      box.addEventListener("change", () => {
        shown[box.checked ? "add" : "delete"](`${kind} ${name}`);
        apply();
      });
      label.append(box, name);
      list.append(label);
    }
    outer.append(list);
  }
  table.closest(".scroll").before(outer);
  apply();
}
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
  const tools = document.createElement("p");
  tools.className = "tools";
  table.closest(".scroll").before(tools);
  const part = (row) => [...row.cells].map((cell) => cell.textContent.replace(/\s+/g, " ").trim());
  const names = heads.map((head) => [groupsOf.get(table)[Number(head.dataset.column)], head].filter(Boolean).map((part) => part.textContent.trim()).join(": "));
  const download = (kind, text) => {
    const link = document.createElement("a"), title = table.closest(".scroll").ariaLabel ?? document.title;
    link.href = URL.createObjectURL(new Blob([text], { type: kind === "csv" ? "text/csv" : "application/json" }));
    link.download = `${title.replace(/[^\p{L}\p{N}]+/gu, "_")}.${kind}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const visible = () => [...body.rows].filter((row) => !row.hidden).map(part);
  const quoted = (text) => `"${(/^[=+@\t\r]|^-(?![\d.])/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`; // a formula is text
  const exports = {
    csv: () => [names, ...visible()].map((cells) => cells.map(quoted).join(",")).join("\r\n") + "\r\n",
    json: () => JSON.stringify(visible().map((cells) => Object.fromEntries(cells.map((cell, index) => [names[index], cell]))), null, 1),
  };
  const savers = Object.entries(exports).map(([kind, text]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(`Save as ${kind.toUpperCase()}`);
    button.addEventListener("click", () => download(kind, text()));
    return button;
  });
  const label = document.createElement("label"), field = document.createElement("input"), shown = document.createElement("output");
  label.className = "filter";
  field.type = "search";
  label.append("Show rows with ", field);
  const words = new Map(rows.map((row) => [row, // not figures: 0.5 would find 90.5
    [...row.cells].filter((cell) => Number.isNaN(valueOf(cell).number)).map((cell) => cell.textContent).join(" ").toLowerCase()]));
  const chosen = heads.filter((head) => "choices" in head.dataset).map((head) => { // a list of the column's values
    const column = Number(head.dataset.column), list = document.createElement("select"), outer = document.createElement("label");
    const values = [...new Set(rows.map((row) => row.cells[column].textContent.trim()))].sort();
    list.append(new Option("all", ""), ...values.map((value) => new Option(value)));
    outer.append(`${head.textContent.trim()} `, list);
    outer.className = "filter";
    tools.append(outer);
    list.addEventListener("change", filter);
    return { column, list };
  });
  function filter() {
    const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const fits = chosen.every(({ column, list }) => !list.value || row.cells[column].textContent.trim() === list.value);
      row.hidden = !fits || !wanted.every((word) => words.get(row).includes(word));
    }
    const left = rows.filter((row) => !row.hidden).length;
    shown.value = left < rows.length ? ` ${left} of ${rows.length}` : "";
  }
  field.addEventListener("input", filter);
  tools.prepend(label);
  tools.append(shown, ...savers);
}
