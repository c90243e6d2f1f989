// The page's part: photos in, one after another through the worker, a section for each.
export const make = (name, attributes = {}, ...children) => {
  const element = Object.assign(document.createElement(name), attributes);
  element.append(...children);
  return element;
};
export const picture = (blob, alt, attributes = {}) => {
  const image = make("img", { src: URL.createObjectURL(blob), alt, ...attributes });
  return make("figure", {}, image, make("figcaption", {}, alt));
};
export const speed = ({ seconds, provider, threads }) =>
  `${seconds.toFixed(1)} s ${provider === "webgpu" ? "on the GPU" : `on ${threads} ${threads === 1 ? "core" : "cores"}`}`;

// verb: what is done with photos, such as "protected". settings(): what goes to the worker beside the photo.
// show({ id, name, photo }, done): elements for an answer.
export const start = ({ verb, settings = () => ({}), show }) => {
  const worker = new Worker("worker.js", { type: "module" });
  const field = document.querySelector("#photos"), list = document.querySelector("#results"), said = document.querySelector("#said");
  const drop = document.querySelector("#drop"), waiting = [], entries = new Map();
  let busy = false, count = 0, done = 0, failed = 0;

  const tell = () => {
    const parts = [`${done} of ${count} photos ${verb}`];
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
      list.append(make("section", {}, make("h2", {}, photo.name), progress));
      entries.set(id, { id, photo, progress, name: photo.name });
      waiting.push({ id, photo, ...settings() });
    }
    tell();
    next();
  };
  worker.onmessage = ({ data }) => {
    const { id, progress, error } = data, entry = entries.get(id);
    if (progress) {
      entry.progress.value = progress;
      return;
    }
    if (error) {
      failed += 1;
      entry.progress.replaceWith(make("p", { className: "note bad" }, `Not ${verb}: ${error}.`));
    } else {
      done += 1;
      entry.progress.replaceWith(...show(entry, data.done));
      document.dispatchEvent(new Event("images-added"));
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
};
