// PNG files of 8-bit RGB images.
import { deflate, join, latin } from "./metadata.js";

const TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});
const checksum = (bytes) => {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
};
const number = (value) => new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
const chunk = (kind, content) => {
  const named = join(latin(kind), content);
  return join(number(content.length), named, number(checksum(named)));
};

// Rows with the Paeth filter. rgb: height × width × 3.
const filtered = (rgb, height, width) => {
  const line = 3 * width, rows = new Uint8Array(height * (line + 1));
  for (let row = 0; row < height; row++) {
    rows[row * (line + 1)] = 4;
    for (let place = 0; place < line; place++) {
      const here = row * line + place;
      const left = place > 2 ? rgb[here - 3] : 0, above = row ? rgb[here - line] : 0, corner = row && place > 2 ? rgb[here - line - 3] : 0;
      const guess = left + above - corner, toLeft = Math.abs(guess - left), toAbove = Math.abs(guess - above), toCorner = Math.abs(guess - corner);
      const paeth = toLeft <= toAbove && toLeft <= toCorner ? left : toAbove <= toCorner ? above : corner;
      rows[row * (line + 1) + 1 + place] = rgb[here] - paeth;
    }
  }
  return rows;
};

export const encode = async (rgb, height, width, chunks) => {
  const header = join(number(width), number(height), new Uint8Array([8, 2, 0, 0, 0]));
  return join(
    new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]), chunk("IHDR", header), ...chunks.map(([kind, content]) => chunk(kind, content)),
    chunk("IDAT", await deflate(filtered(rgb, height, width))), chunk("IEND", new Uint8Array()),
  );
};
