// Photos in, protected photos out.
import { make, picture, speed, start } from "./photos.js";

const show = ({ id, name: file }, done) => {
  const { before, after, difference, width, height, largest, notes } = done, name = file.replace(/\.[^.]+$/, "");
  const words = [`${width} × ${height} pixels, changed by at most ${largest} of 255 gray levels, ${speed(done)}`, ...notes];
  const link = make("a", { href: URL.createObjectURL(after), download: `${name}.png` }, "Save as PNG");
  const images = make("div", { className: "gallery" }, picture(before, `before: ${name}`, { id: `before-${id}` }), picture(after, `after: ${name}`), picture(difference, `difference × 10: ${name}`));
  images.querySelectorAll("img")[1].dataset.before = `before-${id}`;
  return [make("p", {}, `${words.join("; ")}. `, link), images];
};
start({ verb: "protected", settings: () => ({ mode: document.querySelector("#mode").value }), show });
