// Windows of the generator's side over an image, and the blend of their perturbations: rid/protect/windows.py.
import { roundHalfEven } from "./numbers.js";

const OVERLAP = 0.25; // least overlap of neighbors, as a share of the side
const MOST_WINDOWS = 65536, MOST_UPSCALED_PIXELS = 1 << 26;

const starts = (length, side) => {
  const count = Math.max(1, Math.ceil((length - OVERLAP * side) / (side - OVERLAP * side)));
  return Array.from({ length: count }, (_, index) => (count === 1 ? 0 : roundHalfEven((index * (length - side)) / (count - 1))));
};

// mode: "resize" scales the shorter side to the generator's, "tile" keeps the size unless it is smaller.
export const cover = (height, width, side, mode) => {
  const shorter = Math.min(height, width), factor = mode === "resize" || shorter < side ? side / shorter : 1;
  const [tall, wide] = [height, width].map((length) => Math.max(side, roundHalfEven(length * factor)));
  const tops = starts(tall, side), lefts = starts(wide, side);
  if (tops.length * lefts.length > MOST_WINDOWS || (factor > 1 && tall * wide > MOST_UPSCALED_PIXELS)) {
    throw new Error(`${width} by ${height} pixels would take too many windows: cut the image into less elongated parts`);
  }
  return { height: tall, width: wide, corners: tops.flatMap((top) => lefts.map((left) => [top, left])) };
};

// The window at a corner of 3 planes, as the network takes it.
export const cut = (planes, { height, width }, side, [top, left]) => {
  const window = new Float32Array(3 * side * side);
  for (let plane = 0; plane < 3; plane++) {
    for (let row = 0; row < side; row++) {
      const source = (plane * height + top + row) * width + left;
      window.set(planes.subarray(source, source + side), (plane * side + row) * side);
    }
  }
  return window;
};

// Averages the windows' perturbations with weights that fall towards their borders.
export class Merger {
  constructor({ height, width }, side) {
    Object.assign(this, { height, width, side });
    this.sums = new Float32Array(3 * height * width);
    this.weights = new Float32Array(height * width);
  }

  add(perturbation, [top, left]) {
    const { height, width, side } = this;
    const profile = (place) => Math.min(place + 1, side - place);
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        const place = (top + row) * width + left + column, weight = profile(row) * profile(column);
        this.weights[place] += weight;
        for (let plane = 0; plane < 3; plane++) {
          this.sums[plane * height * width + place] += weight * perturbation[(plane * side + row) * side + column];
        }
      }
    }
  }

  result() {
    return this.sums.map((sum, index) => sum / this.weights[index % this.weights.length]);
  }
}
