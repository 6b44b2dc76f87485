// The selected positions of the grid: one byte each, so a million images take a megabyte.

export class Selection {
  #flags = new Uint8Array(0);
  #anchor = null;
  count = 0;

  /** Start with nothing selected of `total` positions. */
  reset(total) {
    this.#flags = new Uint8Array(total);
    this.clear();
  }

  has(place) {
    return this.#flags[place] === 1;
  }

  clear() {
    this.#flags.fill(0);
    this.count = 0;
    this.#anchor = null;
  }

  all() {
    this.#flags.fill(1);
    this.count = this.#flags.length;
  }

  only(place) {
    this.clear();
    this.toggle(place);
  }

  toggle(place) {
    this.#flags[place] ^= 1;
    this.count += this.has(place) ? 1 : -1;
    this.#anchor = place;
  }

  /** Select everything from the start of the selection, or `from` if there is none, to a position. */
  extend(from, place) {
    const anchor = this.#anchor ?? from;
    const [first, last] = [Math.min(anchor, place), Math.max(anchor, place)];
    this.clear();
    this.#flags.fill(1, first, last + 1);
    this.count = last - first + 1;
    this.#anchor = anchor;
  }

  /** Yield the selected positions in ascending order. */
  *places() {
    for (let place = this.#flags.indexOf(1); place >= 0; place = this.#flags.indexOf(1, place + 1)) yield place;
  }
}
