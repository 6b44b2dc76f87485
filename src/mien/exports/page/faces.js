// Faces: where they are in an image, and a small upright grey crop of each. The same steps as `mien.core.faces`.

import { bytes, numbers } from "./network.js";
import { empty, resampled, stretched, toEven } from "./resizing.js";

const SIDE = 256;
const CROP_SIDE = 64;
const MAX_FACES = 3;
const LONGEST_SIDE = 512;
// Cells on each side, and boxes in a cell.
const MAPS = [
  [16, 2],
  [8, 6],
];
// For each box: the centre, the size, and six points as x and y, starting with the eyes.
const NUM_VALUES = 16;
const MIN_SCORE = 0.5;
const MAX_OVERLAP = 0.3;
const SMALLER = 2 / 3;
const LARGE = 0.5;
const CROP_SCALE = 1.1;
const MOST_TURN = 0.8;
const SAMPLES = 2;
const ANCHORS = MAPS.flatMap(([numCells, numBoxes]) =>
  Array.from({ length: numCells ** 2 * numBoxes }, (_, place) => {
    const cell = Math.floor(place / numBoxes);
    return [((cell % numCells) + 0.5) / numCells, (Math.floor(cell / numCells) + 0.5) / numCells];
  }),
);

/** Return at most three faces, the largest first. If there are none, look for faces that fill the image. */
export async function findFaces(image, detector) {
  const found = await look(image, detector, 1);
  if (found.length) return found;
  return (await look(image, detector, SMALLER)).filter((face) => shareOf(face, image) >= LARGE);
}

/** Return the classifier's inputs for faces: `faces` and `face_weights`. */
export function shownOf(image, faces) {
  const grey = bounded(inGrey(image));
  const crops = new Uint8Array(MAX_FACES * CROP_SIDE ** 2);
  const weights = new Float32Array(MAX_FACES);
  faces.forEach((face, number) => {
    const side = CROP_SCALE * shareOf(face, grey) * Math.max(grey.width, grey.height);
    crops.set(cropOf(grey, face, side), number * CROP_SIDE ** 2);
    weights[number] = (side / Math.max(grey.width, grey.height)) * face.score;
  });
  return {
    faces: bytes(crops, [1, MAX_FACES, CROP_SIDE, CROP_SIDE]),
    face_weights: numbers(weights, [1, MAX_FACES]),
  };
}

async function look(image, detector, share) {
  const { square, place } = letterbox(image, share);
  const { regressors, scores } = await detector({ images: bytes(square.data, [1, SIDE, SIDE, 3]) });
  const boxes = ANCHORS.map((anchor, number) =>
    boxOf(regressors.subarray(NUM_VALUES * number, NUM_VALUES * (number + 1)), scores[number], anchor),
  );
  const kept = withoutOverlaps(boxes.filter((box) => isFace(box, place)));
  const areaOf = ({ score, size: [width, height] }) => score * width * height;
  return kept
    .sort((one, other) => areaOf(other) - areaOf(one))
    .slice(0, MAX_FACES)
    .map((box) => faceOf(box, place));
}

/** Fit an image into the detector's square, on black. `place` is its position, as fractions of the square. */
function letterbox(image, share) {
  const small = bounded(image);
  const longest = Math.max(small.width, small.height);
  const [width, height] = [small.width, small.height].map((one) => Math.max(1, toEven((one * share * SIDE) / longest)));
  const [left, top] = [Math.floor((SIDE - width) / 2), Math.floor((SIDE - height) / 2)];
  const inner = resampled(small, width, height, [0, 0, small.width, small.height]);
  const square = empty(SIDE, SIDE);
  for (let y = 0; y < height; y += 1)
    square.data.set(inner.data.subarray(3 * y * width, 3 * (y + 1) * width), 3 * ((top + y) * SIDE + left));
  return { square, place: { corner: [left / SIDE, top / SIDE], size: [width / SIDE, height / SIDE] } };
}

function boxOf(values, logit, anchor) {
  const pairAt = (place) => [0, 1].map((axis) => values[place + axis] / SIDE);
  const pointAt = (place) => pairAt(place).map((value, axis) => value + anchor[axis]);
  return { score: 1 / (1 + Math.exp(-logit)), centre: pointAt(0), size: pairAt(2), eyes: [pointAt(4), pointAt(6)] };
}

function isFace({ score, centre, size }, place) {
  const isInside = (value, axis) =>
    value >= place.corner[axis] && value <= place.corner[axis] + place.size[axis];
  return score >= MIN_SCORE && size.every((length) => length > 0) && centre.every(isInside);
}

/** Of overlapping boxes, keep the one with the highest score. */
function withoutOverlaps(boxes) {
  const kept = [];
  for (const box of boxes.sort((one, other) => other.score - one.score))
    if (kept.every((surer) => overlap(surer, box) <= MAX_OVERLAP)) kept.push(box);
  return kept;
}

/** Return the intersection over union of two boxes. */
function overlap(one, other) {
  const [across, down] = [0, 1].map((axis) => {
    const low = Math.max(...[one, other].map(({ centre, size }) => centre[axis] - size[axis] / 2));
    const high = Math.min(...[one, other].map(({ centre, size }) => centre[axis] + size[axis] / 2));
    return Math.max(0, high - low);
  });
  const shared = across * down;
  return shared / (one.size[0] * one.size[1] + other.size[0] * other.size[1] - shared);
}

/** Return a face in fractions of the image's width and height. */
function faceOf({ score, centre, size, eyes }, place) {
  const inImage = (point) => point.map((value, axis) => (value - place.corner[axis]) / place.size[axis]);
  return {
    score,
    centre: inImage(centre),
    size: size.map((length, axis) => length / place.size[axis]),
    eyes: eyes.map(inImage),
  };
}

function shareOf({ size }, { width, height }) {
  return Math.max(size[0] * width, size[1] * height) / Math.max(width, height);
}

function bounded(image) {
  const longest = Math.max(image.width, image.height);
  if (longest <= LONGEST_SIDE) return image;
  const lengthOf = (length) => Math.max(1, toEven((length * LONGEST_SIDE) / longest));
  return stretched(image, lengthOf(image.width), lengthOf(image.height));
}

function inGrey({ width, height, data }) {
  const grey = empty(width, height);
  for (let place = 0; place < data.length; place += 3) {
    const level = (19595 * data[place] + 38470 * data[place + 1] + 7471 * data[place + 2] + 32768) >> 16;
    grey.data.fill(level, place, place + 3);
  }
  return grey;
}

/** Crop a square with this side, in pixels, from a grey image, rotated so that the eyes are level. */
function cropOf(grey, { centre, eyes }, side) {
  const numSamples = SAMPLES * CROP_SIDE;
  const small = shrunkFor(grey, Math.min(1, numSamples / Math.max(side, 1)));
  const [across, down] = [0, 1].map((axis) => (eyes[1][axis] - eyes[0][axis]) * [grey.width, grey.height][axis]);
  const angle = Math.min(Math.max(Math.atan2(down, across), -MOST_TURN), MOST_TURN);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const stepOf = (number) => ((number + 0.5) / numSamples - 0.5) * side;
  const sums = new Float64Array(CROP_SIDE ** 2);
  for (let row = 0; row < numSamples; row += 1)
    for (let column = 0; column < numSamples; column += 1) {
      const [right, below] = [stepOf(column), stepOf(row)];
      const x = ((centre[0] * grey.width + right * cos - below * sin) * small.width) / grey.width - 0.5;
      const y = ((centre[1] * grey.height + right * sin + below * cos) * small.height) / grey.height - 0.5;
      sums[Math.floor(row / SAMPLES) * CROP_SIDE + Math.floor(column / SAMPLES)] += levelAt(small, x, y);
    }
  return Uint8Array.from(sums, (sum) => toEven(sum / SAMPLES ** 2));
}

function shrunkFor(grey, scale) {
  const [width, height] = [grey.width, grey.height].map((length) => Math.max(1, toEven(length * scale)));
  return resampled(grey, width, height, [0, 0, grey.width, grey.height]);
}

/** Return the level between pixels. Beyond the edges, use the edges. */
function levelAt({ width, height, data }, x, y) {
  const [inX, inY] = [Math.min(Math.max(x, 0), width - 1), Math.min(Math.max(y, 0), height - 1)];
  const [left, top] = [Math.floor(inX), Math.floor(inY)];
  const [right, bottom] = [Math.min(left + 1, width - 1), Math.min(top + 1, height - 1)];
  const rowAt = (row) =>
    data[3 * (row * width + left)] * (1 - inX + left) + data[3 * (row * width + right)] * (inX - left);
  return rowAt(top) * (1 - inY + top) + rowAt(bottom) * (inY - top);
}
