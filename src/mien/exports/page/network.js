// The networks: ONNX Runtime Web with those of this file, in one thread.

import * as ort from "./ort.wasm.bundle.min.mjs";
import { byId } from "./elements.js";
import { unpacked } from "./embedded.js";

/** Return what asks the classifier (`network`), and what asks the detector of faces (`detector`), where there is one. */
export async function load() {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await unpacked("runtime");
  return { network: await graph("network"), detector: byId("detector") && (await graph("detector")) };
}

/** Return a function: what a graph is shown, by names -> the numbers that it gives, by names. */
async function graph(id) {
  const session = await ort.InferenceSession.create(await unpacked(id));
  // Maps are of no use here, and take time.
  const wanted = session.outputNames.filter((name) => ["probs", "distance", "regressors", "scores"].includes(name));
  return async function run(shown) {
    const found = await session.run(shown, wanted);
    return Object.fromEntries(wanted.map((name) => [name, found[name].data]));
  };
}

/** Return bytes as what a graph is shown. */
export function bytes(data, shape) {
  return new ort.Tensor("uint8", new Uint8Array(data), shape);
}

/** Return numbers as what a graph is shown. */
export function numbers(data, shape) {
  return new ort.Tensor("float32", Float32Array.from(data), shape);
}
