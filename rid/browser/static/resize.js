// Resizing as PyTorch does it.

// For each output place: first input place, and normalized weights of a triangle that widens when the size shrinks.
const filters = (input, output) => {
  const scale = input / output, support = Math.max(scale, 1);
  return Array.from({ length: output }, (_, place) => {
    const center = scale * (place + 0.5);
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const end = Math.min(Math.trunc(center + support + 0.5), input);
    const weights = Array.from({ length: end - first }, (_, index) => Math.max(0, 1 - Math.abs((index + first - center + 0.5) / support)));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
};

// Bilinear with antialiasing. planes: 3 planes of height × width, one after another.
export const resize = (planes, height, width, toHeight, toWidth) => {
  if (height === toHeight && width === toWidth) return planes;
  const across = filters(width, toWidth), down = filters(height, toHeight);
  const narrow = new Float32Array(3 * height * toWidth), result = new Float32Array(3 * toHeight * toWidth);
  for (let row = 0; row < 3 * height; row++) {
    for (let x = 0; x < toWidth; x++) {
      const { first, weights } = across[x];
      let sum = 0;
      for (let index = 0; index < weights.length; index++) sum += weights[index] * planes[row * width + first + index];
      narrow[row * toWidth + x] = sum;
    }
  }
  for (let plane = 0; plane < 3; plane++) {
    for (let y = 0; y < toHeight; y++) {
      const { first, weights } = down[y], target = (plane * toHeight + y) * toWidth;
      for (let index = 0; index < weights.length; index++) {
        const weight = weights[index], source = (plane * height + first + index) * toWidth;
        for (let x = 0; x < toWidth; x++) result[target + x] += weight * narrow[source + x];
      }
    }
  }
  return result;
};
