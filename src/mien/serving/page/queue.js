// The queue of images: a few are sent at a time, and all get a result in the end.

import { ask, Busy, Unreachable } from "./requests.js";

// Browsers open at most six connections to a server, and the page needs some of them.
const MOST_AT_ONCE = 4;
// Busy responses in a row before the user has to decide whether to continue.
const MOST_REFUSALS = 30;

export class Queue extends EventTarget {
  #waiting = [];
  #asking = new Map();
  #timer = null;
  #refusals = 0;
  /** Why the queue is stopped, or null. */
  stopped = null;

  /** Number of images waiting or being classified. */
  get length() {
    return this.#waiting.length + this.#asking.size;
  }

  /** Whether the server asked to wait. */
  get isHeld() {
    return this.#timer !== null;
  }

  add(cards) {
    this.#waiting.push(...cards);
    this.#fill();
  }

  /** Stop until `resume`. Images being classified go back to waiting. */
  stop(reason) {
    this.stopped = reason;
    this.#release();
    for (const controller of this.#asking.values()) controller.abort();
    this.#changed();
  }

  resume() {
    this.stopped = null;
    this.#refusals = 0;
    this.#fill();
  }

  clear() {
    this.#waiting = [];
    for (const controller of this.#asking.values()) controller.abort("clear");
    this.#asking.clear();
    this.#release();
    this.stopped = null;
    this.#changed();
  }

  #fill() {
    while (this.stopped === null && !this.isHeld && this.#asking.size < MOST_AT_ONCE && this.#waiting.length)
      this.#ask(this.#waiting.shift());
    this.#changed();
  }

  async #ask(card) {
    const controller = new AbortController();
    this.#asking.set(card, controller);
    card.show("asking");
    try {
      card.answer(await ask(card, { signal: controller.signal }));
      this.#refusals = 0;
    } catch (error) {
      if (controller.signal.reason === "clear") return;
      this.#failed(card, error);
    }
    this.#asking.delete(card);
    this.#fill();
  }

  #failed(card, error) {
    const waits = error instanceof Busy || error instanceof Unreachable || error.name === "AbortError";
    if (!waits) return card.refuse(error.message, error);
    card.show("waiting");
    this.#waiting.unshift(card);
    if (error instanceof Busy) this.#hold(error.waitSeconds);
    if (error instanceof Unreachable && this.stopped === null) this.stop(error);
  }

  #hold(seconds) {
    this.#refusals += 1;
    if (this.#refusals > MOST_REFUSALS) return this.stop(new Error("The server is too busy."));
    if (this.isHeld) return;
    this.#timer = setTimeout(() => {
      this.#release();
      this.#fill();
    }, 1000 * seconds);
  }

  #release() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
