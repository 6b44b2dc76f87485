// The networks in this file, run by ONNX Runtime Web in one thread.

import * as ort from "./ort.wasm.bundle.min.mjs";
import { byId } from "./elements.js";
import { unpacked } from "./embedded.js";

/** Return functions that run the classifier (`network`) and the face detector, if there is one (`detector`). */
export async function load() {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await unpacked("runtime");
  return { network: await graph("network"), detector: byId("detector") && (await graph("detector")) };
}

/** Return a function that runs a graph: inputs by name -> output values by name. */
async function graph(id) {
  const session = await ort.InferenceSession.create(await unpacked(id));
  // Heat maps are not used here, and take time.
  const wanted = session.outputNames.filter((name) => ["probs", "distance", "regressors", "scores"].includes(name));
  return async function run(shown) {
    const found = await session.run(shown, wanted);
    return Object.fromEntries(wanted.map((name) => [name, found[name].data]));
  };
}

/** Return bytes as a tensor. */
export function bytes(data, shape) {
  return new ort.Tensor("uint8", new Uint8Array(data), shape);
}

/** Return numbers as a tensor. */
export function numbers(data, shape) {
  return new ort.Tensor("float32", Float32Array.from(data), shape);
}
