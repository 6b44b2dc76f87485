// Decoding: a file -> its pixels, upright, in sRGB, on a ground: as `mien predict` decodes it, as far as a browser can.

import { formatOf, isDeep, lacksEnd, READ, SOMETIMES_READ } from "./formats.js";
import { GROUNDS, groundFor, lostOn } from "./grounds.js";
import { empty, reduced } from "./resizing.js";
import { isAcross, isTurnedWebP, matrixOf, moved, upright } from "./turning.js";

const KINDS = [...READ, ...SOMETIMES_READ];
const OTHERWISE = "save it as JPEG or PNG, or ask mien predict";
// A JPEG is taken at a fraction of its size where it is large, as in Python.
const FRACTIONS = [8, 4, 2, 1];
// Phones have no canvas for all of a large photo: it is gone through in strips. A multiple of every fraction.
const STRIP = 256;

/**
 * Return the image in a file, and why hardly anything is seen of it (`hidden`), which is "" where much is.
 *
 * rules: How it was decoded for the training.
 */
export async function decoded(file, rules) {
  const content = await bytesOf(file);
  const format = formatOf(content);
  refuse(content, format);
  const bitmap = await opened(content, format);
  try {
    if (format === "JPEG") return { image: shrunk(bitmap, matrixOf(content), rules), hidden: "" };
    refuseLarge(bitmap, rules.max_pixels);
    return onGround(bitmap, rules.ground);
  } finally {
    bitmap.close();
  }
}

async function bytesOf(file) {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new Error("it cannot be read any more: it was moved or changed");
  }
}

function refuse(content, format) {
  if (!content.length) throw new Error("0 bytes");
  if (format === null) throw new Error(`no image of a kind that is read here (${KINDS.join(", ")})`);
  if (!KINDS.includes(format)) throw new Error(`it is ${format}, which is not read in a browser: ${OTHERWISE}`);
  if (format === "PNG" && isDeep(content))
    throw new Error("a PNG of 16 bits a channel, of which a browser shows 8: ask mien predict");
  if (format === "WEBP" && isTurnedWebP(content))
    throw new Error(`a WebP that is to be turned, which not all browsers do: ${OTHERWISE}`);
  if (format === "JPEG" && lacksEnd(content)) throw new Error("damaged: it is cut off");
}

async function opened(content, format) {
  try {
    return await createImageBitmap(new Blob([content], { type: `image/${format.toLowerCase()}` }));
  } catch {
    const isCommon = READ.includes(format);
    throw new Error(isCommon ? "damaged" : `it is ${format}, which this browser cannot decode: ${OTHERWISE}`);
  }
}

function refuseLarge({ width, height }, most) {
  if (width * height > most) throw new Error(`${width} x ${height} pixels; at most ${most} are decoded`);
}

/**
 * Return the pixels of a JPEG, each the mean of as many as libjpeg takes together when Pillow asks for less. It begins
 * in the corner that is stored first, whichever that is in the upright image.
 */
function shrunk(bitmap, matrix, rules) {
  const [width, height] = isAcross(matrix) ? [bitmap.height, bitmap.width] : [bitmap.width, bitmap.height];
  const scale = rules.longest_side / Math.max(width, height);
  const leastOf = (length) => Math.max(rules.least_side, Math.ceil(scale * length));
  const most = Math.min(Math.floor(width / leastOf(width)), Math.floor(height / leastOf(height)));
  const fraction = FRACTIONS.find((one) => most >= one) ?? 1;
  const small = empty(Math.ceil(width / fraction), Math.ceil(height / fraction));
  refuseLarge(small, rules.max_pixels);
  for (const { top, pixels } of strips(bitmap, moved(matrix, width, height), width, height)) {
    const strip = empty(width, pixels.length / 4 / width);
    put(pixels, strip.data);
    small.data.set(reduced(strip, fraction, fraction).data, (3 * small.width * top) / fraction);
  }
  return upright(small, matrix);
}

/** Return the pixels of an image that may be transparent. */
function onGround(bitmap, rule) {
  const { width, height } = bitmap;
  const all = new Uint8ClampedArray(4 * width * height);
  for (const { top, pixels } of strips(bitmap, [1, 0, 0, 1, 0, 0], width, height)) all.set(pixels, 4 * width * top);
  const lost = isTransparent(all) ? lostOn(all, width, height) : [];
  const ground = rule === "auto" ? groundFor(lost) : rule;
  const image = empty(width, height);
  put(all, image.data, GROUNDS[ground]);
  const why = `nearly invisible on ${ground}, the background for transparent images`;
  return { image, hidden: lost.includes(rule) ? why : "" };
}

function* strips(bitmap, [a, b, c, d, right, down], width, height) {
  const canvas = new OffscreenCanvas(width, STRIP);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < height; top += STRIP) {
    context.resetTransform();
    context.clearRect(0, 0, width, STRIP);
    context.setTransform(a, b, c, d, right, down - top);
    context.drawImage(bitmap, 0, 0);
    yield { top, pixels: context.getImageData(0, 0, width, Math.min(STRIP, height - top)).data };
  }
}

function isTransparent(pixels) {
  for (let place = 3; place < pixels.length; place += 4) if (pixels[place] < 255) return true;
  return false;
}

/** Write pixels with four channels into ones with three; where they are transparent, the ground shows through. */
function put(pixels, target, ground = 0) {
  for (let from = 0, to = 0; from < pixels.length; from += 4)
    for (let channel = 0; channel < 3; channel += 1, to += 1) {
      const alpha = pixels[from + 3];
      target[to] = (pixels[from + channel] * alpha + ground * (255 - alpha)) / 255;
    }
}
