// What a photo file says beside its pixels, as chunks of a PNG. Orientation is applied to the pixels, so it goes; so do thumbnails, which
// show the unprotected photo.
const KEY = "image-defence"; // keyword of the marks in files that were changed before: images/marks.py
const XMP = "XML:com.adobe.xmp";
const text = new TextDecoder("latin1");
const ascii = (bytes, start, end) => text.decode(bytes.subarray(start, end));
const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const join = (...parts) => {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    joined.set(part, place);
    place += part.length;
  }
  return joined;
};
const latin = (string) => Uint8Array.from(string, (letter) => letter.charCodeAt(0));
const deflate = async (bytes) => new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer());

const international = (keyword, bytes) => ["iTXt", join(latin(keyword), new Uint8Array(5), bytes)];
export const markChunk = (mark) => international(KEY, new TextEncoder().encode(JSON.stringify([mark])));

// EXIF without orientation and thumbnail; null if it is damaged or holds another image.
const cleanExif = (bytes) => {
  const tiff = bytes.slice(), data = view(tiff), little = ascii(tiff, 0, 2) === "II";
  if (!little && ascii(tiff, 0, 2) !== "MM") return null;
  try {
    const entries = (start) => Array.from({ length: data.getUint16(start, little) }, (_, index) => start + 2 + 12 * index);
    const first = data.getUint32(4, little), places = entries(first), next = first + 2 + 12 * places.length;
    for (const place of places) {
      if (data.getUint16(place, little) === 0x0112) data.setUint16(place + 8, 1, little);
    }
    const second = data.getUint32(next, little);
    if (second) {
      const value = (tag) => entries(second).filter((place) => data.getUint16(place, little) === tag).map((place) => data.getUint32(place + 8, little))[0];
      const start = value(0x0201), length = value(0x0202);
      if (start !== undefined && length !== undefined) tiff.fill(0, start, start + length);
      data.setUint32(next, 0, little);
    }
  } catch {
    return null;
  }
  for (let place = 0; place + 2 < tiff.length; place++) {
    if (tiff[place] === 0xff && tiff[place + 1] === 0xd8 && tiff[place + 2] === 0xff) return null;
  }
  return tiff;
};

const jpegParts = function* (bytes) {
  const data = view(bytes);
  let place = 2;
  while (place + 4 <= bytes.length && bytes[place] === 0xff) {
    const marker = bytes[place + 1];
    if (marker === 0xda) return;
    const length = data.getUint16(place + 2);
    yield [marker, bytes.subarray(place + 4, place + 2 + length)];
    place += 2 + length;
  }
};
const pngParts = function* (bytes) {
  const data = view(bytes);
  for (let place = 8; place + 12 <= bytes.length; ) {
    const length = data.getUint32(place);
    yield [ascii(bytes, place + 4, place + 8), bytes.subarray(place + 8, place + 8 + length)];
    place += 12 + length;
  }
};
const webpParts = function* (bytes) {
  const data = view(bytes);
  for (let place = 12; place + 8 <= bytes.length; ) {
    const length = data.getUint32(place + 4, true);
    yield [ascii(bytes, place, place + 4), bytes.subarray(place + 8, place + 8 + length)];
    place += 8 + length + (length % 2);
  }
};

// Returns { chunks, notes, marked }: chunks of a PNG, what was dropped, and whether the file was changed by this project before.
export const read = async (bytes) => {
  let exif = null, xmp = null, marked = false;
  const profile = [], chunks = [], dropped = new Set();
  if (bytes[0] === 0xff && bytes[1] === 0xd8) {
    for (const [marker, part] of jpegParts(bytes)) {
      if (marker === 0xe1 && ascii(part, 0, 6) === "Exif\0\0") exif = part.subarray(6);
      else if (marker === 0xe1 && ascii(part, 0, 28) === "http://ns.adobe.com/xap/1.0/") xmp = part.subarray(29);
      else if (marker === 0xe2 && ascii(part, 0, 12) === "ICC_PROFILE\0") profile.push(part.subarray(14));
      else if (marker === 0xed) dropped.add("IPTC");
      else if (marker === 0xfe && ascii(part, 0, KEY.length) === KEY) marked = true;
      else if (marker === 0xfe) chunks.push(international("Comment", part));
    }
  } else if (ascii(bytes, 1, 4) === "PNG") {
    for (const [kind, part] of pngParts(bytes)) {
      if (kind === "eXIf") exif = part;
      else if (["iTXt", "tEXt"].includes(kind) && ascii(part, 0, KEY.length) === KEY) marked = true;
      else if (kind === "iTXt" && ascii(part, 0, XMP.length) === XMP && part[XMP.length + 1] === 0) xmp = part.subarray(XMP.length + 5);
      else if (["iCCP", "sRGB", "gAMA", "cHRM", "pHYs", "tEXt", "zTXt", "iTXt"].includes(kind)) chunks.push([kind, part]);
    }
  } else if (ascii(bytes, 8, 12) === "WEBP") {
    for (const [kind, part] of webpParts(bytes)) {
      if (kind === "EXIF") exif = ascii(part, 0, 6) === "Exif\0\0" ? part.subarray(6) : part;
      if (kind === "XMP ") xmp = part;
      if (kind === "ICCP") profile.push(part);
    }
  } else dropped.add("metadata of this format");
  if (profile.length) chunks.push(["iCCP", join(latin("profile\0\0"), await deflate(join(...profile)))]);
  if (exif) {
    const cleaned = cleanExif(exif);
    if (cleaned) chunks.push(["eXIf", cleaned]);
    else dropped.add("EXIF (damaged, or it holds an image)");
  }
  if (xmp) {
    const packet = text.decode(xmp);
    if (/\/9j\/|iVBORw0KGgo|GImg:image/.test(packet)) dropped.add("XMP (it holds an image)");
    else chunks.push(international(XMP, latin(packet.replace(/tiff:Orientation="\d"|<tiff:Orientation>\d<\/tiff:Orientation>/g, ""))));
  }
  return { chunks, marked, notes: [...dropped].map((name) => `its ${name} was dropped`) };
};
export { deflate, join, latin };
