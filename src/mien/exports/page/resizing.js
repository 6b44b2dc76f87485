// Resizing: an image of any size -> the training size, bit for bit as Pillow does in Python.
//
// An image has a `width`, a `height`, and `data`: red, green and blue of each pixel, one byte each.

// Weights are integers with this many bits after the binary point.
const PRECISION = 22;
const ONE_OF_MEANS = 2 ** 24;
const GAP = 2;
const WHITE = 255;

/** Return an empty image. */
export function empty(width, height, level = 0) {
  return { width, height, data: new Uint8ClampedArray(3 * width * height).fill(level) };
}

/** Resize an image to [height, width]. mode: "stretch", "crop" or "pad". */
export function toSize(image, [height, width], mode) {
  if (mode === "crop") return resampled(image, width, height, middleOf(image, width / height));
  return mode === "pad" ? padded(image, width, height) : stretched(image, width, height);
}

/** Reduce an image by averaging blocks of pixels. */
export function reduced(image, across, down) {
  if (across === 1 && down === 1) return image;
  const small = empty(Math.ceil(image.width / across), Math.ceil(image.height / down));
  for (let y = 0, place = 0; y < small.height; y += 1)
    for (let x = 0; x < small.width; x += 1)
      for (let channel = 0; channel < 3; channel += 1, place += 1)
        small.data[place] = meanOf(image, x * across, y * down, across, down, channel);
  return small;
}

function meanOf({ width, height, data }, left, top, across, down, channel) {
  const [right, bottom] = [Math.min(left + across, width), Math.min(top + down, height)];
  const count = (right - left) * (bottom - top);
  let sum = count >> 1;
  for (let y = top; y < bottom; y += 1)
    for (let place = 3 * (y * width + left) + channel, end = 3 * (y * width + right); place < end; place += 3)
      sum += data[place];
  // Pillow multiplies by an integer with 24 bits after the binary point, so the mean of three 7s is 6.
  return Math.floor((sum * Math.floor(Math.fround(ONE_OF_MEANS / count))) / ONE_OF_MEANS);
}

/** Resize an image, by averaging blocks first if it is much larger. */
export function stretched(image, width, height) {
  const factorOf = (long, short) => Math.max(1, Math.floor(long / short / GAP));
  const [across, down] = [factorOf(image.width, width), factorOf(image.height, height)];
  return resampled(reduced(image, across, down), width, height, [0, 0, image.width / across, image.height / down]);
}

/** Return the largest centred box with an aspect ratio: left, top, right, bottom. */
function middleOf({ width, height }, proportions) {
  const isWide = width / height >= proportions;
  const [across, down] = isWide ? [proportions * height, height] : [width, width / proportions];
  const [left, top] = [(width - across) / 2, (height - down) / 2];
  return [left, top, left + across, top + down];
}

function padded(image, width, height) {
  const isWide = image.width / image.height > width / height;
  const across = isWide ? width : toEven((image.width / image.height) * height);
  const down = isWide ? toEven((image.height / image.width) * width) : height;
  const inner = resampled(image, across, down, [0, 0, image.width, image.height]);
  const whole = empty(width, height, WHITE);
  const [left, top] = [toEven((width - across) / 2), toEven((height - down) / 2)];
  for (let y = 0; y < down; y += 1)
    whole.data.set(inner.data.subarray(3 * y * across, 3 * (y + 1) * across), 3 * ((top + y) * width + left));
  return whole;
}

/** Round as Python does: halves go to the even integer. */
export function toEven(value) {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}

/**
 * Resize the part of an image in a box: across first, then down, or the other way round if many more rows than columns
 * are removed, as in Pillow since version 13.
 */
export function resampled(image, width, height, [left, top, right, bottom]) {
  const across = (one) => resampledAcross(one, weightsFor(image.width, left, right, width));
  const down = (one) => resampledDown(one, weightsFor(image.height, top, bottom, height));
  const isTall = image.height - height > Math.max(0, 2 * (image.width - width));
  return isTall ? across(down(image)) : down(across(image));
}

function resampledAcross(image, columns) {
  const made = empty(columns.length, image.height);
  for (let y = 0; y < image.height; y += 1)
    columns.forEach((weights, x) => sumUp(image, 3 * y * image.width, 3, weights, made.data, 3 * (y * made.width + x)));
  return made;
}

function resampledDown(image, rows) {
  const made = empty(image.width, rows.length);
  rows.forEach((weights, y) => {
    for (let x = 0; x < image.width; x += 1)
      sumUp(image, 3 * x, 3 * image.width, weights, made.data, 3 * (y * image.width + x));
  });
  return made;
}

function sumUp({ data }, start, step, { first, factors }, target, place) {
  for (let channel = 0; channel < 3; channel += 1) {
    let sum = 1 << (PRECISION - 1);
    let at = start + first * step + channel;
    for (let number = 0; number < factors.length; number += 1, at += step) sum += data[at] * factors[number];
    target[place + channel] = sum >> PRECISION;
  }
}

/** Return for each new pixel the first source pixel, and the weights of that and the following ones. */
function weightsFor(numPixels, from, to, numNew) {
  // Boxes are 32-bit floats in Pillow.
  const [start, end] = [Math.fround(from), Math.fround(to)];
  const scale = Math.fround(end - start) / numNew;
  const reach = Math.max(1, scale);
  return Array.from({ length: numNew }, (_, number) => {
    const centre = start + (number + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(numPixels, Math.trunc(centre + reach + 0.5));
    const shares = Array.from({ length: last - first }, (_, place) =>
      Math.max(0, 1 - Math.abs((place + first - centre + 0.5) * (1 / reach))),
    );
    const sum = shares.reduce((one, other) => one + other, 0);
    return { first, factors: Int32Array.from(shares, (share) => (share / sum) * (1 << PRECISION) + 0.5) };
  });
}
