// The page: photos in, protected photos out, one after another.
const worker = new Worker("worker.js", { type: "module" });
const field = document.querySelector("#photos"), list = document.querySelector("#results"), said = document.querySelector("#said");
const mode = document.querySelector("#mode"), drop = document.querySelector("#drop");
const waiting = [], figures = new Map();
let busy = false, count = 0, done = 0, failed = 0;
const make = (name, attributes = {}, ...children) => {
  const element = Object.assign(document.createElement(name), attributes);
  element.append(...children);
  return element;
};

const tell = () => {
  const parts = [`${done} of ${count} photos protected`];
  if (failed) parts.push(`${failed} not`);
  said.value = count ? `${parts.join(", ")}.` : "";
};
const next = () => {
  if (busy || !waiting.length) return;
  busy = true;
  worker.postMessage(waiting.shift());
};
const take = (photos) => {
  for (const photo of photos) {
    const id = count++, progress = make("progress", { max: 1, value: 0, ariaLabel: `Progress of ${photo.name}` });
    const figure = make("section", {}, make("h2", {}, photo.name), progress);
    list.append(figure);
    figures.set(id, { figure, progress, name: photo.name.replace(/\.[^.]+$/, "") });
    waiting.push({ id, photo, mode: mode.value });
  }
  tell();
  next();
};
const picture = (blob, alt, attributes = {}) => {
  const image = make("img", { src: URL.createObjectURL(blob), alt, ...attributes });
  return make("figure", {}, image, make("figcaption", {}, alt));
};
const show = (id, { before, after, difference, width, height, largest, seconds, notes, provider, threads }) => {
  const { figure, progress, name } = figures.get(id);
  const speed = provider === "webgpu" ? "on the GPU" : `on ${threads} ${threads === 1 ? "core" : "cores"}`;
  const words = [`${width} × ${height} pixels, changed by at most ${largest} of 255 gray levels, ${seconds.toFixed(1)} s ${speed}`, ...notes];
  const link = make("a", { href: URL.createObjectURL(after), download: `${name}.png` }, "Save as PNG");
  const images = make("div", { className: "gallery" }, picture(before, `before: ${name}`, { id: `before-${id}` }), picture(after, `after: ${name}`), picture(difference, `difference × 10: ${name}`));
  images.querySelectorAll("img")[1].dataset.before = `before-${id}`;
  progress.replaceWith(make("p", {}, `${words.join("; ")}. `, link), images);
  document.dispatchEvent(new Event("images-added"));
};
worker.onmessage = ({ data }) => {
  const { id, progress, error } = data, entry = figures.get(id);
  if (progress) {
    entry.progress.value = progress;
    return;
  }
  if (error) {
    failed += 1;
    entry.progress.replaceWith(make("p", { className: "note bad" }, `Not protected: ${error}.`));
  } else {
    done += 1;
    show(id, data.done);
  }
  busy = false;
  tell();
  next();
};
worker.onerror = (event) => {
  said.value = `The page does not work in this browser: ${event.message}`;
};
field.addEventListener("change", () => {
  take(field.files);
  field.value = "";
});
drop.addEventListener("dragover", (event) => event.preventDefault());
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files);
});

// Once everything is kept, the page works without a network. Its files then come with headers that allow threads, after one reload.
navigator.serviceWorker?.register("service-worker.js").then(async () => {
  await navigator.serviceWorker.ready;
  document.querySelector("#offline").hidden = false;
  if (!crossOriginIsolated && !sessionStorage.reloaded && !count) {
    sessionStorage.reloaded = "once";
    location.reload();
  }
});
