// The images of a queue: loaded in windows when they come into view, and dropped when they are far away.

import { get } from "./requests.js";

const WINDOW = 200;
const MOST_WINDOWS = 20;
// The server's limit for one request.
const MOST_AT_ONCE = 500;

/** Dispatches `change` when images arrive, and `problem` when they cannot be loaded. */
export class Rows extends EventTarget {
  #query;
  #windows = new Map();
  #asking = new Map();
  /** Number of images, null until known. */
  total = null;

  constructor(queue, name) {
    super();
    this.#query = { queue, name };
  }

  /** Return the image at a position, or undefined if it is not loaded. */
  at(place) {
    return this.#windows.get(place - (place % WINDOW))?.[place % WINDOW];
  }

  /** Return the position of an image, or -1 if it is not loaded. */
  placeOf(id) {
    for (const [start, images] of this.#windows) {
      const found = images.findIndex((image) => image.id === id);
      if (found >= 0) return start + found;
    }
    return -1;
  }

  /** Load what is missing from the first to the last position, and stop loading anything else. */
  want(first, last) {
    const wanted = new Set();
    for (let start = first - (first % WINDOW); start <= last; start += WINDOW) wanted.add(start);
    for (const start of this.#asking.keys()) if (!wanted.has(start)) this.#stop(start);
    for (const start of wanted) {
      const images = this.#windows.get(start);
      if (images) this.#keep(start, images);
      else if (!this.#asking.has(start)) this.#ask(start);
    }
  }

  /** Stop loading, because another queue is shown. */
  close() {
    for (const start of this.#asking.keys()) this.#stop(start);
  }

  /** Return the ids of the images at ascending positions, loading any that are missing. */
  async idsOf(places) {
    const ids = [];
    let start = 0;
    let images = [];
    for (const place of places) {
      if (place >= start + images.length && !this.at(place))
        [start, images] = [place, (await this.#fetch(place, MOST_AT_ONCE)).images];
      const image = this.at(place) ?? images[place - start];
      if (image) ids.push(image.id);
    }
    return ids;
  }

  #stop(start) {
    this.#asking.get(start).abort();
    this.#asking.delete(start);
  }

  async #ask(start) {
    const controller = new AbortController();
    this.#asking.set(start, controller);
    try {
      const { total, images } = await this.#fetch(start, WINDOW, controller.signal);
      if (controller.signal.aborted) return;
      this.total = total;
      this.#keep(start, images);
      this.#asking.delete(start);
      this.dispatchEvent(new Event("change"));
    } catch (error) {
      if (controller.signal.aborted) return;
      this.#asking.delete(start);
      this.dispatchEvent(new CustomEvent("problem", { detail: error }));
    }
  }

  #fetch(start, count, signal) {
    return get("images", { ...this.#query, start, count }, signal);
  }

  /** Store a window as the most recently used, and drop the least recently used ones. */
  #keep(start, images) {
    this.#windows.delete(start);
    this.#windows.set(start, images);
    for (const oldest of this.#windows.keys()) {
      if (this.#windows.size <= MOST_WINDOWS) return;
      this.#windows.delete(oldest);
    }
  }
}
