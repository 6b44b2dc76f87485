// Decoding: a file -> its pixels, upright, in sRGB, on a background. The same as `mien predict`, as far as possible.

import { formatOf, isDeep, lacksEnd, READ, SOMETIMES_READ, textKindOf } from "./formats.js";
import { GROUNDS, groundFor, lostOn } from "./grounds.js";
import { empty, reduced } from "./resizing.js";
import { isAcross, isTurnedWebP, matrixOf, moved, upright } from "./turning.js";

const KINDS = [...READ, ...SOMETIMES_READ];
const OTHERWISE = "Save it as JPEG or PNG, or use mien predict";
// Large JPEGs are reduced in size, as in Python.
const FRACTIONS = [8, 4, 2, 1];
// Large photos exceed the canvas limit of phones, so they are read in strips. A multiple of every fraction.
const STRIP = 256;

/**
 * Return the image in a file, and why it is nearly invisible (`hidden`), or "" if it is not.
 *
 * rules: how images were decoded for training.
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
    throw new Error("cannot read the file: it was moved or changed");
  }
}

function refuse(content, format) {
  if (!content.length) throw new Error("0 bytes");
  if (format === null) throw new Error(textKindOf(content) ?? `not a supported image (${KINDS.join(", ")})`);
  if (!KINDS.includes(format)) throw new Error(`browsers cannot read ${format}. ${OTHERWISE}`);
  if (format === "PNG" && isDeep(content))
    throw new Error("browsers read only 8 of the 16 bits per channel of this PNG. Use mien predict");
  if (format === "WEBP" && isTurnedWebP(content))
    throw new Error(`not all browsers rotate WebP images like this one. ${OTHERWISE}`);
  if (format === "JPEG" && lacksEnd(content)) throw new Error("damaged: the file is truncated");
}

async function opened(content, format) {
  try {
    return await createImageBitmap(new Blob([content], { type: `image/${format.toLowerCase()}` }));
  } catch {
    const isCommon = READ.includes(format);
    throw new Error(isCommon ? "damaged" : `this browser cannot read ${format}. ${OTHERWISE}`);
  }
}

function refuseLarge({ width, height }, most) {
  if (width * height > most) throw new Error(`${width} x ${height} pixels exceed the limit of ${most}`);
}

/**
 * Return the pixels of a JPEG, reduced by averaging as libjpeg does when Pillow asks for a smaller size. It starts at
 * the corner that is stored first, wherever that is in the upright image.
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

/** Return the pixels of an image that may be transparent, on its background. */
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

/** Write pixels with four channels into ones with three, on the background. */
function put(pixels, target, ground = 0) {
  for (let from = 0, to = 0; from < pixels.length; from += 4)
    for (let channel = 0; channel < 3; channel += 1, to += 1) {
      const alpha = pixels[from + 3];
      target[to] = (pixels[from + channel] * alpha + ground * (255 - alpha)) / 255;
    }
}
