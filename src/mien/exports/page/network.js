// The network: ONNX Runtime Web with the model of this file, in one thread.

import * as ort from "./ort.wasm.bundle.min.mjs";
import { unpacked } from "./embedded.js";

/** Return what asks the network about an image of the right size: a function that returns `probs` and `distance`. */
export async function load() {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await unpacked("runtime");
  const session = await ort.InferenceSession.create(await unpacked("network"));
  const wanted = session.outputNames.filter((name) => name === "probs" || name === "distance");
  return async function run({ width, height, data }) {
    const images = new ort.Tensor("uint8", Uint8Array.from(data), [1, height, width, 3]);
    const { probs, distance } = await session.run({ images }, wanted);
    return { probs: [...probs.data], distance: distance?.data[0] };
  };
}
