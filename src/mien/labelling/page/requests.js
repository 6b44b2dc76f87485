// Requests to the server, and what can come of them.

import { sentence } from "./names.js";

/** The server cannot do it now, such as where the disk is full: the same may be asked again. */
export class Unable extends Error {}

/** The server does not answer. */
export class Gone extends Unable {}

/** The server will not do what was asked. */
export class Refused extends Error {}

const GONE = "The server does not answer. Is it still running?";

/** Return what the server says under an address, with a query. */
export function get(address, query = {}, signal = undefined) {
  return ask(`${address}?${new URLSearchParams(query)}`, { signal });
}

/** Ask the server to do something. */
export function post(address, content = {}) {
  const headers = { "Content-Type": "application/json" };
  return ask(address, { method: "POST", headers, body: JSON.stringify(content) });
}

async function ask(address, options) {
  let response, answer;
  try {
    response = await fetch(address, { cache: "no-store", ...options });
    answer = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Gone(GONE);
  }
  if (response.ok) return answer;
  const Problem = response.status < 500 ? Refused : Unable;
  throw new Problem(sentence(answer.error ?? `the server answered with status ${response.status}`));
}
