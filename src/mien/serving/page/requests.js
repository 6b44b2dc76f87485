// Requests to the server, and their errors.

/** No request will work until something changes: the server is gone, or needs another key. */
export class Unreachable extends Error {
  constructor(message, { wantsKey = false } = {}) {
    super(message);
    this.wantsKey = wantsKey;
  }
}

/** The server is busy, and says when to try again. */
export class Busy extends Error {
  constructor(waitSeconds) {
    super("the server is busy");
    this.waitSeconds = waitSeconds;
  }
}

/** The server refuses this one request. */
export class Refused extends Error {
  constructor(message, { mayPass = false } = {}) {
    super(message);
    /** Whether trying again may help. */
    this.mayPass = mayPass;
  }
}

const BUSY = [429, 503];
const SLOW = 408;
const GONE = "The server is not responding. Is it still running?";
let key = "";

/** Send this key from now on. It is kept in memory only. */
export function useKey(text) {
  key = text;
}

/** Return the server's description of its classifier. */
export function askModel() {
  return send("model", {});
}

/**
 * Classify one image.
 *
 * image: has a `file` and its `name`, or a `url`.
 * options: `explain` also asks for a heat map; `signal` cancels the request.
 */
export async function ask(image, { explain = false, signal } = {}) {
  const options = { method: "POST", signal, headers: {} };
  const query = explain ? "?explain=true" : "";
  if (image.url) {
    options.body = JSON.stringify({ urls: [image.url] });
    options.headers["Content-Type"] = "application/json";
  } else {
    options.body = new FormData();
    options.body.append("image", image.file, image.name);
  }
  const answer = await send((image.url ? "predict/url" : "predict") + query, { ...options, file: image.file });
  const [prediction] = answer.predictions;
  if (prediction.error !== null) throw new Refused(prediction.error);
  return prediction;
}

async function send(address, { file, ...options }) {
  let response, answer;
  try {
    response = await fetch(address, { cache: "no-store", ...options, headers: { ...options.headers, ...keyHeader() } });
    answer = await response.json().catch(() => null);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    if (file && !(await canRead(file))) throw new Refused("cannot read the file: it was moved or changed");
    throw (await isAlive()) ? new Refused("the connection was lost", { mayPass: true }) : new Unreachable(GONE);
  }
  if (options.signal?.aborted) throw new DOMException("stopped", "AbortError");
  if (response.ok && answer !== null) return answer;
  throw problem(response, answer?.error ?? `the server answered with status ${response.status}`);
}

function problem(response, message) {
  if (response.status === 401)
    return new Unreachable(key ? "Wrong API key." : "Enter the API key first.", { wantsKey: true });
  if (BUSY.includes(response.status)) return new Busy(Number(response.headers.get("Retry-After")) || 2);
  return new Refused(message, { mayPass: response.status === SLOW || response.status >= 500 });
}

function keyHeader() {
  return key ? { "X-API-Key": key } : {};
}

/** Return whether a file is still readable. Browsers read it when it is sent, and fail if it has changed. */
async function canRead(file) {
  return file.slice(0, 1).arrayBuffer().then(() => true, () => false);
}

async function isAlive() {
  return fetch("healthz", { cache: "no-store" }).then((response) => response.ok, () => false);
}
