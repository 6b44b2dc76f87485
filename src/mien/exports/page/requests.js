// What the page asks, answered within it: this module stands in the place of the one that asks a server.

import { decoded } from "./decoding.js";
import { told } from "./embedded.js";
import { findFaces, shownOf } from "./faces.js";
import { rarity, kindsOf } from "./kinds.js";
import { bytes, load } from "./network.js";
import { toSize } from "./resizing.js";

const UNSURE = "unsure";
const FAR = "it looks unlike all of them";
const NEEDED = ["WebAssembly", "DecompressionStream", "OffscreenCanvas"];
const OLD = "This browser cannot run the classifier: it takes one of 2023 or later.";

/** Nothing can be asked: the classifier does not run here. */
export class Unreachable extends Error {}

/** What no classifier in a page says: it is never too busy. */
export class Busy extends Error {}

/** There is no answer for this one image. */
export class Refused extends Error {
  mayPass = false;
}

const model = told("model-document");
const rules = told("rules");
// While somebody still looks for an image, the classifier gets ready.
const networks = load();
networks.catch(() => {});
/** The answer before: one image at a time is decoded, or a phone would run out of memory. */
let last = Promise.resolve();

/** No key is asked for. */
export function useKey() {}

/** Return what is known of the classifier. */
export async function askModel() {
  // Some phones can be told to run no WebAssembly.
  if (NEEDED.some((name) => !(name in globalThis))) throw new Unreachable(OLD);
  return model;
}

/**
 * Return what the classifier says of one image.
 *
 * image: with a `file` and its `name`.
 * options: `signal` ends the wait.
 */
export function ask(image, { signal } = {}) {
  const answer = last.then(() => answered(image, signal));
  last = answer.catch(() => {});
  return answer;
}

async function answered({ file, name }, signal) {
  const { network, detector } = await networks.catch((error) => {
    console.warn(error);
    throw new Unreachable(OLD);
  });
  signal?.throwIfAborted();
  const { image, hidden } = await decoded(file, rules).catch((error) => {
    throw new Refused(error.message);
  });
  const pixels = toSize(image, rules.image_size, rules.resize_mode);
  const faces = detector && (await findFaces(image, detector));
  const images = bytes(pixels.data, [1, ...rules.image_size, 3]);
  const { probs, distance } = await network(faces ? { images, ...shownOf(image, faces) } : { images });
  signal?.throwIfAborted();
  const unlike = hidden || rarity(kindsOf(pixels, faces), rules.kinds) || (isFar(distance?.[0]) ? FAR : "");
  return prediction(name, [...probs], unlike);
}

function isFar(distance) {
  return rules.max_distance !== null && distance > rules.max_distance;
}

function prediction(source, values, unlike) {
  const probs = Object.fromEntries(model.class_names.map((name, place) => [name, values[place]]));
  const place = values.indexOf(Math.max(...values));
  const label = values[place] >= model.threshold ? model.class_names[place] : UNSURE;
  return { source, label, probs, error: null, out_of_distribution: unlike !== "", unlike };
}
