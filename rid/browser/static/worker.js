// Protects photos, one at a time, off the page's thread. Messages have the way of handling large photos, mode.
import { markChunk, read } from "./metadata.js";
import { roundHalfEven } from "./numbers.js";
import { encode } from "./png.js";
import { resize } from "./resize.js";
import { cover, cut, Merger } from "./windows.js";
import { answer, decode, network, planesOf } from "./work.js";

const perturb = async ({ facts, runtime, session }, rgb, height, width, mode, tell) => {
  const side = facts.image_size, layout = cover(height, width, side, mode), merger = new Merger(layout, side);
  const scaled = resize(planesOf(rgb), height, width, layout.height, layout.width);
  for (const [number, corner] of layout.corners.entries()) {
    const images = new runtime.Tensor("float32", cut(scaled, layout, side, corner), [1, 3, side, side]);
    const { perturbations } = await session.run({ images });
    merger.add(await perturbations.getData(), corner);
    tell((number + 1) / layout.corners.length);
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

answer(async ({ photo, mode }, tell) => {
  const bytes = new Uint8Array(await photo.arrayBuffer()), { chunks, notes, marked } = await read(bytes);
  if (marked) throw new Error("it was changed by this project before; changes would add up beyond the bound. Give the original photo");
  const { rgb, width, height } = await decode(photo, "python -m rid protect");
  const model = await network(), start = performance.now();
  const perturbation = await perturb(model, rgb, height, width, mode, tell);
  const { changed, largest } = add(rgb, perturbation, Math.floor(model.facts.budget_levels));
  const seconds = (performance.now() - start) / 1000;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const original = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const mark = markChunk({ job: "protect", weights: model.facts.weights, original, levels: model.facts.budget_levels });
  const difference = changed.map((value, index) => 128 + 10 * (value - rgb[index]));
  const png = (values, extra) => encode(values, height, width, extra).then((file) => new Blob([file], { type: "image/png" }));
  return {
    before: await png(rgb, []), after: await png(changed, [...chunks, mark]), difference: await png(difference, []),
    width, height, largest, seconds, notes, provider: model.provider, threads: model.threads,
  };
});
