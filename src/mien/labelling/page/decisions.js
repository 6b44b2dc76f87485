// What was decided: sent in the order of the keys, one after the other, and shown as done only once it is on disk.

import { post, Unable } from "./requests.js";

const UNSURE = "The server did not say whether it undid anything. Look before you undo again.";

/** Tells of `done` (what was asked, and the answer), of `refused` (why), and of every `change`. */
export class Decisions extends EventTarget {
  #waiting = [];
  #isSending = false;
  /** By the id of an image: what was asked last and not answered, and what the server said last. */
  #asked = new Map();
  #heard = new Map();
  /** Why nothing is sent at the moment; null where all goes on. */
  problem = null;

  get numWaiting() {
    return this.#waiting.length;
  }

  /** How many images wait to be saved. */
  get numImages() {
    return this.#waiting.reduce((sum, action) => sum + action.numImages, 0);
  }

  /** Return the decision about an image, and whether it is "saved", "saving" or "unsaved". */
  of({ id, decision = "" }) {
    const asked = this.#asked.get(id);
    if (asked) return { decision: asked.decision, state: this.problem ? "unsaved" : "saving" };
    return { decision: this.#heard.get(id) ?? decision, state: "saved" };
  }

  /**
   * Decide about images.
   *
   * ids: An array, or a function that fetches it. about: What the images are called when all is done.
   */
  decide(ids, decision, { about, numImages = 1 }) {
    this.#add({ ids, decision, about, numImages });
  }

  undo() {
    this.#add({ ids: null, numImages: 0 });
  }

  /** Send again what waits. */
  resume() {
    this.problem = null;
    this.#send();
  }

  /** Take in what the server says has changed; return how many changes are news. */
  hear(changed) {
    const news = changed.filter(({ id, decision }) => this.#heard.get(id) !== decision);
    for (const { id, decision } of news) this.#heard.set(id, decision);
    if (news.length) this.#tell("change");
    return news.length;
  }

  /** Know nothing more of what was decided: the images are others. */
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
      // A decision may be sent twice, an undo may not: the first may have arrived.
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
