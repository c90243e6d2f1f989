// Photos in, verdicts out.
import { make, picture, speed, start } from "./photos.js";

const COLUMNS = ["file", "verdict", "reason", "probability", "logit", "width", "height"];
const FORMULA = /^'*[=+\-@\t\r]/; // a spreadsheet would run it; see engine/tables.py
const KINDS = { generated: "bad", real: "good", unsure: "" };
const rows = [], button = document.querySelector("#save");

const show = ({ name, photo }, done) => {
  rows.push({ file: name, ...done });
  button.hidden = false;
  const { verdict, reason, probability, width, height } = done;
  const said = make("strong", { className: verdict }, verdict);
  const words = ` P(generated) = ${probability.toFixed(3)}; ${width} × ${height} pixels, ${speed(done)}.`;
  const answer = make("p", { className: `note ${KINDS[verdict]}` }, said, reason ? ` (${reason})` : "", ";", words);
  return [answer, make("div", { className: "gallery" }, picture(photo, name))];
};
const cell = (value) => {
  const text = typeof value === "string" && FORMULA.test(value) ? `'${value}` : `${value}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
button.addEventListener("click", () => {
  const lines = [COLUMNS, ...rows.map((row) => COLUMNS.map((name) => row[name]))].map((line) => line.map(cell).join(","));
  const file = new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" });
  make("a", { href: URL.createObjectURL(file), download: "scores.csv" }).click();
});
start({ verb: "judged", show });
