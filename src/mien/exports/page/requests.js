// Answers the page's requests within the page. Replaces the module that sends them to a server.

import { decoded } from "./decoding.js";
import { told } from "./embedded.js";
import { findFaces, shownOf } from "./faces.js";
import { rarity, kindsOf } from "./kinds.js";
import { bytes, load } from "./network.js";
import { toSize } from "./resizing.js";

const UNSURE = "unsure";
const FAR = "it looks unlike all of them";
const NEEDED = ["WebAssembly", "DecompressionStream", "OffscreenCanvas"];
const OLD = "This browser cannot run the classifier. Use a browser from 2023 or later.";

/** The classifier does not run in this browser. */
export class Unreachable extends Error {}

/** Never thrown here: a classifier in the page is never too busy. */
export class Busy extends Error {}

/** There is no prediction for this image. */
export class Refused extends Error {
  mayPass = false;
}

const model = told("model-document");
const rules = told("rules");
// Load while the user is still choosing images.
const networks = load();
networks.catch(() => {});
/** The previous answer. Images are decoded one at a time, or a phone would run out of memory. */
let last = Promise.resolve();

/** There is no API key. */
export function useKey() {}

/** Return the facts about the classifier. */
export async function askModel() {
  // WebAssembly can be turned off on some phones.
  if (NEEDED.some((name) => !(name in globalThis))) throw new Unreachable(OLD);
  return model;
}

/**
 * Classify one image.
 *
 * image: has a `file` and its `name`.
 * options: `signal` cancels the request.
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
