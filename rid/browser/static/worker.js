// Protects photos, one at a time, off the page's thread. Messages in: { photo, name, mode }; out: { done }, { progress } or { error }.
import { markChunk, read } from "./metadata.js";
import { resize, roundHalfEven } from "./numbers.js";
import { encode } from "./png.js";
import { cover, cut, Merger } from "./windows.js";

const MOST_PIXELS = 50e6;

const open = async () => {
  const facts = await (await fetch("facts.json")).json();
  const parts = await Promise.all(facts.parts.map(async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer())));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((place, part) => (bytes.set(part, place), place + part.length), 0);
  const load = async (library, provider) => {
    const runtime = await import(`./runtime/${library}`);
    runtime.env.wasm.wasmPaths = new URL("./runtime/", import.meta.url).href;
    runtime.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, 8) : 1;
    return { facts, runtime, provider, session: await runtime.InferenceSession.create(bytes, { executionProviders: [provider] }) };
  };
  if (await navigator.gpu?.requestAdapter()) {
    try {
      return await load("ort.webgpu.min.mjs", "webgpu");
    } catch (error) {
      console.warn(`WebGPU is not usable here (${error.message}); the CPU is used`);
    }
  }
  return load("ort.wasm.min.mjs", "wasm");
};
let opened;

const decode = async (photo) => {
  let bitmap;
  try {
    bitmap = await createImageBitmap(photo, { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" });
  } catch {
    throw new Error("this browser cannot read it as an image");
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) throw new Error(`${width} by ${height} pixels are too many for a browser: use python -m rid protect`);
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const rgb = new Uint8ClampedArray(3 * width * height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    if (data[4 * pixel + 3] !== 255) throw new Error("it has transparent parts, which a browser does not keep exactly: use python -m rid protect");
    for (let plane = 0; plane < 3; plane++) rgb[3 * pixel + plane] = data[4 * pixel + plane];
  }
  return { rgb, width, height };
};

const planesOf = (rgb, pixels) => {
  const planes = new Float32Array(3 * pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let plane = 0; plane < 3; plane++) planes[plane * pixels + pixel] = rgb[3 * pixel + plane] / 255;
  }
  return planes;
};

const perturb = async ({ facts, runtime, session }, rgb, height, width, mode, onWindow) => {
  const side = facts.image_size, layout = cover(height, width, side, mode), merger = new Merger(layout, side);
  const scaled = resize(planesOf(rgb, height * width), height, width, layout.height, layout.width);
  for (const [number, corner] of layout.corners.entries()) {
    const images = new runtime.Tensor("float32", cut(scaled, layout, side, corner), [1, 3, side, side]);
    const { perturbations } = await session.run({ images });
    merger.add(await perturbations.getData(), corner);
    onWindow(number + 1, layout.corners.length);
  }
  return resize(merger.result(), layout.height, layout.width, height, width);
};

// Adds the perturbation, within the bound after rounding.
const add = (rgb, perturbation, bound) => {
  const changed = new Uint8ClampedArray(rgb.length), pixels = rgb.length / 3;
  let largest = 0;
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let plane = 0; plane < 3; plane++) {
      const place = 3 * pixel + plane, before = rgb[place];
      const wanted = roundHalfEven(Math.min(1, Math.max(0, Math.fround(before / 255) + perturbation[plane * pixels + pixel])) * 255);
      changed[place] = Math.min(before + bound, Math.max(before - bound, wanted));
      largest = Math.max(largest, Math.abs(changed[place] - before));
    }
  }
  return { changed, largest };
};

const protect = async ({ photo, mode }, onWindow) => {
  const bytes = new Uint8Array(await photo.arrayBuffer()), { chunks, notes, marked } = await read(bytes);
  if (marked) throw new Error("it was changed by this project before; changes would add up beyond the bound. Give the original photo");
  const { rgb, width, height } = await decode(photo);
  opened ??= open();
  const model = await opened, start = performance.now();
  const perturbation = await perturb(model, rgb, height, width, mode, onWindow);
  const { changed, largest } = add(rgb, perturbation, Math.floor(model.facts.budget_levels));
  const seconds = (performance.now() - start) / 1000;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const original = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const mark = markChunk({ job: "protect", weights: model.facts.weights, original, levels: model.facts.budget_levels });
  const difference = changed.map((value, index) => 128 + 10 * (value - rgb[index]));
  const png = (values, extra) => encode(values, height, width, extra).then((file) => new Blob([file], { type: "image/png" }));
  return {
    before: await png(rgb, []), after: await png(changed, [...chunks, mark]), difference: await png(difference, []),
    width, height, largest, seconds, notes, provider: model.provider, threads: model.provider === "wasm" ? model.runtime.env.wasm.numThreads : 1,
  };
};

self.onmessage = async ({ data }) => {
  const { id } = data;
  try {
    self.postMessage({ id, done: await protect(data, (window, windows) => self.postMessage({ id, progress: window / windows })) });
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
};
