// The worker's part: the network, photos as pixels, and one answer for each message.
// Messages in: { id, photo, … }; out: { id, done }, { id, progress } or { id, error }.
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
    const session = await runtime.InferenceSession.create(bytes, { executionProviders: [provider] });
    return { facts, runtime, session, provider, threads: provider === "wasm" ? runtime.env.wasm.numThreads : 1 };
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
export const network = () => (opened ??= open());

// Returns { rgb, width, height }, upright; rgb: height × width × 3. instead: the command that reads what a browser does not.
export const decode = async (photo, instead) => {
  let bitmap;
  try {
    bitmap = await createImageBitmap(photo, { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" });
  } catch {
    throw new Error("this browser cannot read it as an image");
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) throw new Error(`${width} by ${height} pixels are too many for a browser: use ${instead}`);
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const rgb = new Uint8ClampedArray(3 * width * height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    if (data[4 * pixel + 3] !== 255) throw new Error(`it has transparent parts, which a browser does not keep exactly: use ${instead}`);
    for (let plane = 0; plane < 3; plane++) rgb[3 * pixel + plane] = data[4 * pixel + plane];
  }
  return { rgb, width, height };
};

// Three planes, one after another, of values from 0 to 1.
export const planesOf = (rgb) => {
  const pixels = rgb.length / 3, planes = new Float32Array(rgb.length);
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let plane = 0; plane < 3; plane++) planes[plane * pixels + pixel] = rgb[3 * pixel + plane] / 255;
  }
  return planes;
};

// work(message, tell): what is done with a photo; tell(share) says how much of it.
export const answer = (work) => {
  self.onmessage = async ({ data }) => {
    const { id } = data;
    try {
      self.postMessage({ id, done: await work(data, (progress) => self.postMessage({ id, progress })) });
    } catch (error) {
      self.postMessage({ id, error: error.message });
    }
  };
};
