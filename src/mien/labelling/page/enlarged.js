// One image at full size. The keys of the grid work here too.

import { saidOf, showBadge, showImage } from "./cell.js";
import { byId, on, put } from "./elements.js";
import { showSuggested } from "./legend.js";
import { short, visible } from "./names.js";

/** Dispatches `move` when another image is shown. */
export class Enlarged extends EventTarget {
  #dialog = byId("enlarged");
  #list = null;
  #decisions;
  place = 0;

  constructor(decisions) {
    super();
    this.#decisions = decisions;
    on("previous", "click", () => this.moveTo(this.place - 1));
    on("next", "click", () => this.moveTo(this.place + 1));
    on("enlarged-close", "click", () => this.close());
    // Keep the focus, so that the space key still closes.
    for (const id of ["previous", "next"]) on(id, "pointerdown", (event) => event.preventDefault());
  }

  get isOpen() {
    return this.#dialog.open;
  }

  get image() {
    return this.#list.at(this.place);
  }

  /** list: has `total`, `at(place)`, and `want(first, last)`. */
  open(list, place) {
    this.#list = list;
    if (!this.isOpen) this.#dialog.showModal();
    this.moveTo(place);
  }

  close() {
    this.#dialog.close();
  }

  /** Return whether this list is shown. */
  shows(list) {
    return this.isOpen && this.#list === list;
  }

  moveTo(place) {
    this.place = Math.max(0, Math.min(this.#list.total - 1, place));
    byId("previous").disabled = this.place === 0;
    byId("next").disabled = this.place === this.#list.total - 1;
    this.#list.want(this.place, Math.min(this.place + 1, this.#list.total - 1));
    this.dispatchEvent(new Event("move"));
    this.draw();
    const next = this.#list.at(this.place + 1);
    if (next) new Image().src = pictureOf(next);
  }

  /** Show the image and its decision. */
  draw() {
    const { image } = this;
    put("enlarged-name", image ? short(image.path, 80) : "loading…");
    byId("enlarged-name").title = image ? visible(image.path) : "";
    put("enlarged-says", image ? saidOf(image) : "");
    showSuggested(byId("enlarged-legend"), image?.suggested);
    showBadge(byId("enlarged-badge"), image && this.#decisions.of(image));
    if (image) showImage(byId("enlarged-image"), byId("enlarged-gone"), pictureOf(image));
  }
}

function pictureOf({ id, version }) {
  return `picture/${id}/${version}`;
}
