// Requests to the server, and their errors.

import { sentence } from "./names.js";

/** The server cannot do it now, e.g. because the disk is full. The request can be repeated. */
export class Unable extends Error {}

/** The server does not respond. */
export class Gone extends Unable {}

/** The server refuses the request. */
export class Refused extends Error {}

const GONE = "The server is not responding. Is it still running?";

/** Get something from the server. */
export function get(address, query = {}, signal = undefined) {
  return ask(`${address}?${new URLSearchParams(query)}`, { signal });
}

/** Make the server do something. */
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
