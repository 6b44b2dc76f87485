// Rotation by EXIF. Browsers rotate photos automatically; here that is undone, and done again.

import { empty } from "./resizing.js";

// By orientation: the canvas matrix (a, b, c, d) from the upright image to the stored one.
const MATRICES = [
  [1, 0, 0, 1],
  [-1, 0, 0, 1],
  [-1, 0, 0, -1],
  [1, 0, 0, -1],
  [0, 1, 1, 0],
  [0, -1, 1, 0],
  [0, -1, -1, 0],
  [0, 1, -1, 0],
];
const [APP1, PIXELS] = [0xe1, 0xda];
const ORIENTATION = 0x0112;

/** Return the matrix of a JPEG. Without valid EXIF, it counts as upright. */
export function matrixOf(content) {
  try {
    return MATRICES[orientationOf(content) - 1] ?? MATRICES[0];
  } catch {
    return MATRICES[0];
  }
}

/** Return whether EXIF asks to rotate a WebP, which not all browsers do. */
export function isTurnedWebP(content) {
  const view = new DataView(content.buffer);
  for (let place = 12; place + 8 < content.length; place += 8 + 2 * Math.ceil(view.getUint32(place + 4, true) / 2))
    if (nameAt(content, place) === "EXIF") return orientationIn(tagsAt(content, place + 8)) > 1;
  return false;
}

/** Return whether a matrix swaps width and height. */
export function isAcross([straight]) {
  return straight === 0;
}

/** Return a matrix with the offset that moves the image back into its area. */
export function moved([a, b, c, d], width, height) {
  return [a, b, c, d, a + c < 0 ? width : 0, b + d < 0 ? height : 0];
}

/** Return the upright image for a stored one. */
export function upright(image, matrix) {
  const { width, height, data } = image;
  const [a, b, c, d, right, bottom] = moved(matrix, width - 1, height - 1);
  const turned = isAcross(matrix) ? empty(height, width) : empty(width, height);
  for (let y = 0, place = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1, place += 3) {
      const [across, down] = [a * (x - right) + b * (y - bottom), c * (x - right) + d * (y - bottom)];
      const to = 3 * (down * turned.width + across);
      for (let channel = 0; channel < 3; channel += 1) turned.data[to + channel] = data[place + channel];
    }
  return turned;
}

function orientationOf(content) {
  const view = new DataView(content.buffer);
  for (let place = 2; content[place + 1] !== PIXELS; place += 2 + view.getUint16(place + 2))
    if (content[place + 1] === APP1 && nameAt(content, place + 4) === "Exif")
      return orientationIn(tagsAt(content, place + 4));
  return 1;
}

function nameAt(content, place) {
  return String.fromCharCode(...content.subarray(place, place + 4));
}

/** Return the tags of EXIF, which follow its name if it has one. */
function tagsAt(content, place) {
  return new DataView(content.buffer, nameAt(content, place) === "Exif" ? place + 6 : place);
}

/** Return the orientation in a list of TIFF tags. */
function orientationIn(view) {
  const isLittle = view.getUint8(0) === 0x49;
  const start = view.getUint32(4, isLittle);
  for (let number = view.getUint16(start, isLittle) - 1; number >= 0; number -= 1) {
    const place = start + 2 + 12 * number;
    if (view.getUint16(place, isLittle) === ORIENTATION) return view.getUint16(place + 8, isLittle);
  }
  return 1;
}
