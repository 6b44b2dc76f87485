// What lies in this file beside the page: what is known of the classifier, and large things, packed.

import { byId } from "./elements.js";

/** Return the value in an element that holds JSON. */
export function told(id) {
  return JSON.parse(byId(id).textContent);
}

/** Return the bytes in an element that holds them in base64, packed by gzip; the element is gone then. */
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
  // Many times as fast as Uint8Array.from.
  for (let place = 0; place < bytes.length; place += 1) bytes[place] = letters.charCodeAt(place);
  return bytes;
}
