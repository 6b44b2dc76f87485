// Decisions: sent one at a time in the order they were made, and shown as done only once they are on disk.

import { post, Unable } from "./requests.js";

const UNSURE = "The server did not confirm the undo. Check before you undo again.";

/** Dispatches `done` (the action and the answer), `refused` (the error), and every `change`. */
export class Decisions extends EventTarget {
  #waiting = [];
  #isSending = false;
  /** The last unanswered action, and the last decision from the server, by image id. */
  #asked = new Map();
  #heard = new Map();
  /** Why sending is paused, or null. */
  problem = null;

  get numWaiting() {
    return this.#waiting.length;
  }

  /** Number of images not saved yet. */
  get numImages() {
    return this.#waiting.reduce((sum, action) => sum + action.numImages, 0);
  }

  /** Return the decision on an image, and whether it is "saved", "saving" or "unsaved". */
  of({ id, decision = "" }) {
    const asked = this.#asked.get(id);
    if (asked) return { decision: asked.decision, state: this.problem ? "unsaved" : "saving" };
    return { decision: this.#heard.get(id) ?? decision, state: "saved" };
  }

  /**
   * Decide on images.
   *
   * ids: an array, or a function that loads it. about: what to call the images in the announcement.
   */
  decide(ids, decision, { about, numImages = 1 }) {
    this.#add({ ids, decision, about, numImages });
  }

  undo() {
    this.#add({ ids: null, numImages: 0 });
  }

  /** Resume sending. */
  resume() {
    this.problem = null;
    this.#send();
  }

  /** Apply changes from the server, and return how many are new. */
  hear(changed) {
    const news = changed.filter(({ id, decision }) => this.#heard.get(id) !== decision);
    for (const { id, decision } of news) this.#heard.set(id, decision);
    if (news.length) this.#tell("change");
    return news.length;
  }

  /** Forget all decisions, because the images have changed. */
  forget() {
    this.#heard.clear();
  }

  #add(action) {
    this.#waiting.push(action);
    this.#mark(action);
    this.#tell("change");
    this.#send();
  }

  #mark(action) {
    if (Array.isArray(action.ids)) for (const id of action.ids) this.#asked.set(id, action);
  }

  async #send() {
    if (this.#isSending) return;
    this.#isSending = true;
    while (this.#waiting.length && this.problem === null) await this.#sendFirst();
    this.#isSending = false;
    this.#tell("change");
  }

  async #sendFirst() {
    const action = this.#waiting[0];
    try {
      const answer = await this.#answerTo(action);
      this.hear(answer.changed);
      this.#remove(action);
      this.#tell("done", { action, answer });
    } catch (error) {
      // A decision can safely be sent twice. An undo cannot, as the first may have arrived.
      if (error instanceof Unable && action.ids) this.problem = error;
      else this.#refuse(action, error instanceof Unable ? new Error(UNSURE) : error);
    }
    this.#tell("change");
  }

  async #answerTo(action) {
    if (!action.ids) return post("undo");
    if (typeof action.ids === "function") action.ids = await action.ids();
    this.#mark(action);
    return post("decide", { ids: action.ids, decision: action.decision });
  }

  #refuse(action, error) {
    this.#remove(action);
    this.#tell("refused", error);
  }

  #remove(action) {
    this.#waiting.shift();
    for (const id of action.ids ?? []) if (this.#asked.get(id) === action) this.#asked.delete(id);
  }

  #tell(kind, detail = null) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}
