// The data embedded in this file: facts about the classifier, and large parts, compressed.

import { byId } from "./elements.js";

/** Return the JSON value in an element. */
export function told(id) {
  return JSON.parse(byId(id).textContent);
}

/** Return the bytes in an element that holds them as gzip in base64, and remove the element. */
export async function unpacked(id) {
  const element = byId(id);
  const packed = new Blob([bytesOf(element.textContent)]);
  element.remove();
  const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function bytesOf(base64) {
  const letters = atob(base64);
  const bytes = new Uint8Array(letters.length);
  // Many times faster than Uint8Array.from.
  for (let place = 0; place < bytes.length; place += 1) bytes[place] = letters.charCodeAt(place);
  return bytes;
}
