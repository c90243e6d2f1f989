// The view of an image that a detector judges: images/transforms/views.py. Resizing is Pillow's, to the bit.
import { roundHalfEven } from "./numbers.js";

const MOST_ASPECT = 20;
const BITS = 22; // of Pillow's weights
const FILTERS = {
  bilinear: { support: 1, weigh: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    weigh: (signed) => {
      const x = Math.abs(signed);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
    },
  },
};

// For each output place: first input place, and integer weights of a filter that widens when the size shrinks.
const filters = (input, output, { support: radius, weigh }) => {
  const scale = input / output, wide = Math.max(scale, 1), support = radius * wide;
  return Array.from({ length: output }, (_, place) => {
    const center = scale * (place + 0.5);
    const first = Math.max(0, Math.trunc(center - support + 0.5)), end = Math.min(input, Math.trunc(center + support + 0.5));
    const weights = Array.from({ length: end - first }, (_, index) => weigh((index + first - center + 0.5) * (1 / wide)));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => (sum ? weight / sum : weight) * 2 ** BITS).map((weight) => Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5)) };
  });
};

// Resizes along one side. step: distance of neighbors along it; lines: starts of the lines, before and after.
const along = (rgb, target, places, step, lines) => {
  for (const [from, to] of lines) {
    for (const [place, { first, weights }] of places.entries()) {
      for (let plane = 0; plane < 3; plane++) {
        let sum = 1 << (BITS - 1);
        for (let index = 0; index < weights.length; index++) sum += weights[index] * rgb[from + (first + index) * step + plane];
        target[to + place * step + plane] = sum >> BITS; // clamped to 0 to 255
      }
    }
  }
};
const resize = ({ rgb, width, height }, toWidth, toHeight, interpolation) => {
  const filter = FILTERS[interpolation];
  let pixels = rgb;
  if (toWidth !== width) {
    pixels = new Uint8ClampedArray(3 * toWidth * height);
    along(rgb, pixels, filters(width, toWidth, filter), 3, Array.from({ length: height }, (_, row) => [3 * row * width, 3 * row * toWidth]));
  }
  if (toHeight === height) return { rgb: pixels, width: toWidth, height };
  const result = new Uint8ClampedArray(3 * toWidth * toHeight);
  const columns = Array.from({ length: toWidth }, (_, column) => [3 * column, 3 * column]);
  along(pixels, result, filters(height, toHeight, filter), 3 * toWidth, columns);
  return { rgb: result, width: toWidth, height: toHeight };
};

const cut = ({ rgb, width }, top, left, tall, wide) => {
  const part = new Uint8ClampedArray(3 * tall * wide);
  for (let row = 0; row < tall; row++) {
    const start = 3 * ((top + row) * width + left);
    part.set(rgb.subarray(start, start + 3 * wide), 3 * row * wide);
  }
  return { rgb: part, width: wide, height: tall };
};
const center = (image, tall, wide) => cut(image, (image.height - tall) >> 1, (image.width - wide) >> 1, tall, wide);

const repeated = (image, size) => {
  const [wide, tall] = [image.width, image.height].map((length) => length * Math.ceil(size / length));
  const rgb = new Uint8ClampedArray(3 * wide * tall);
  for (let row = 0; row < tall; row++) {
    const start = 3 * (row % image.height) * image.width, line = image.rgb.subarray(start, start + 3 * image.width);
    for (let column = 0; column < wide; column += image.width) rgb.set(line, 3 * (row * wide + column));
  }
  return { rgb, width: wide, height: tall };
};
const covering = (image, shorter, interpolation) => {
  const most = MOST_ASPECT * Math.min(image.width, image.height);
  const part = center(image, Math.min(image.height, most), Math.min(image.width, most));
  const scale = Math.max(shorter / part.height, shorter / part.width);
  const [wide, tall] = [part.width, part.height].map((length) => Math.max(shorter, roundHalfEven(length * scale)));
  return resize(part, wide, tall, interpolation);
};

// Factor by which an image is scaled; 1 if its pixels are kept.
export const factorOf = ({ width, height }, { policy, size, resize: shorter }) => {
  const least = Math.min(width, height);
  if (policy === "tile_crop" || (policy === "crop" && least >= size)) return 1;
  return (policy === "crop" ? size : shorter) / least;
};

// Returns height × width × 3 values of a square.
export const view = (image, { policy, size, resize: shorter, interpolation }) => {
  const small = Math.min(image.width, image.height) < size;
  let whole = image;
  if (policy === "tile_crop" && small) whole = repeated(image, size);
  else if (policy === "crop" && small) whole = covering(image, size, interpolation);
  else if (policy !== "crop" && policy !== "tile_crop") whole = covering(image, shorter, interpolation);
  return center(whole, size, size).rgb;
};
