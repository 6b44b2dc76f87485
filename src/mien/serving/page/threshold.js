// The threshold: results below it are "unsure".

import { byId } from "./elements.js";
import { exact } from "./words.js";

const NEVER = "Always names a class. Move right to allow “unsure”.";

/** Dispatches `change` when somebody moves the slider. */
export class Threshold extends EventTarget {
  #slider = byId("threshold");
  #own = 0;
  #ownStep = "0";
  value = 0;

  constructor() {
    super();
    this.#slider.addEventListener("input", () => {
      // The classifier's own threshold may be between two steps of the slider.
      this.value = this.#slider.value === this.#ownStep ? this.#own : Number(this.#slider.value);
      this.dispatchEvent(new Event("change"));
    });
  }

  /** Return to the classifier's own threshold. */
  reset(own) {
    this.value = this.#own = own;
    this.#slider.value = own;
    this.#ownStep = this.#slider.value;
  }

  /** Show how many results are unsure. */
  show(numUnsure, numResults) {
    const count = `${numUnsure} of ${numResults} ${numResults === 1 ? "image" : "images"}`;
    const told = this.value > 0 ? `Say “unsure” below ${exact(this.value)} (${count})` : NEVER;
    byId("threshold-says").textContent = told;
    this.#slider.setAttribute("aria-valuetext", told);
  }
}
