// The grid of images: only those in view, and a few more, are in the page.

import { byId } from "./elements.js";

const CELL_REM = 11;
const TEXT_REM = 6.7;
const IMAGE_SHAPE = 0.75;
const MARGIN_ROWS = 1;
// Browsers limit the height of an element. With more images than fit, each scroll step covers more rows.
const MOST_HEIGHT = 15_000_000;
const PAUSE_MS = 60;

/** Dispatches `want` when other positions come into view. */
export class Grid extends EventTarget {
  #canvas;
  #paint;
  #cells = new Map();
  #spare = [];
  #cell = { width: 1, height: 1 };
  #frame = null;
  #timer = null;
  columns = 1;
  total = 0;
  /** The position that the keys move. */
  current = 0;
  /** The first and last position in the page. */
  view = [0, 0];

  /** paint: called with a cell and its position. */
  constructor(element, paint) {
    super();
    this.element = element;
    this.#canvas = element.firstElementChild;
    this.#paint = paint;
    new ResizeObserver(() => this.#measure()).observe(element);
    element.addEventListener("scroll", () => this.#drawSoon(), { passive: true });
  }

  /** Show `total` images, from the first on. */
  reset(total) {
    this.total = total;
    this.current = 0;
    this.view = [0, 0];
    this.element.hidden = total === 0;
    this.element.scrollTop = 0;
    this.#measure();
  }

  /** Make a position the current one, and scroll it into view. */
  moveTo(place) {
    this.current = Math.max(0, Math.min(this.total - 1, place));
    const top = this.#rowOf(this.current) * this.#cell.height;
    const highest = top + this.#cell.height - this.element.clientHeight;
    if (this.#top > top) this.#scrollTo(top);
    else if (this.#top < highest) this.#scrollTo(highest);
    this.draw();
  }

  /** Return the position that a key moves to. */
  reached(key) {
    const pageRows = Math.max(1, Math.floor(this.element.clientHeight / this.#cell.height));
    const [last, here, page] = [this.total - 1, this.current, pageRows * this.columns];
    const isLastRow = this.#rowOf(here) === this.#rowOf(last);
    const places = {
      ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: last, PageUp: here - page, PageDown: here + page,
      ArrowUp: here < this.columns ? here : here - this.columns, ArrowDown: isLastRow ? here : here + this.columns,
    };
    return Math.max(0, Math.min(last, places[key]));
  }

  /** Return the position of an event, or null between cells. */
  placeAt(event) {
    const cell = event.target.closest(".cell");
    return cell && Number(cell.dataset.place);
  }

  /** Redraw the cells in view. */
  draw() {
    const shift = this.element.scrollTop - this.#top;
    this.view = this.#placesInView();
    for (const [place, cell] of this.#cells) if (place < this.view[0] || place > this.view[1]) this.#putAway(place, cell);
    for (let place = this.view[0]; place <= this.view[1]; place += 1) this.#show(place, shift);
    this.#nameCurrent();
    this.#wantSoon();
  }

  get #height() {
    return Math.ceil(this.total / this.columns) * this.#cell.height;
  }

  /** How far one pixel of the scroll bar moves. */
  get #stride() {
    const seen = this.element.clientHeight;
    return this.#height > MOST_HEIGHT ? (this.#height - seen) / (MOST_HEIGHT - seen) : 1;
  }

  get #top() {
    return this.element.scrollTop * this.#stride;
  }

  #scrollTo(top) {
    this.element.scrollTop = top / this.#stride;
  }

  #rowOf(place) {
    return Math.floor(place / this.columns);
  }

  #placesInView() {
    const firstRow = Math.max(0, Math.floor(this.#top / this.#cell.height) - MARGIN_ROWS);
    const lastRow = Math.ceil((this.#top + this.element.clientHeight) / this.#cell.height) - 1 + MARGIN_ROWS;
    return [firstRow * this.columns, Math.min(this.total, (lastRow + 1) * this.columns) - 1];
  }

  /** Fit the cells to the size of the grid, and keep the same images in view. */
  #measure() {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const width = this.element.clientWidth;
    if (!width) return;
    const isSeen = this.current >= this.view[0] && this.current <= this.view[1];
    const kept = isSeen ? this.current : this.view[0] + MARGIN_ROWS * this.columns;
    const top = this.#top - this.#rowOf(kept) * this.#cell.height;
    this.columns = Math.max(2, Math.floor(width / (CELL_REM * rem)));
    const cellWidth = width / this.columns;
    this.#cell = { width: cellWidth, height: Math.round(cellWidth * IMAGE_SHAPE + TEXT_REM * rem) };
    this.#canvas.style.height = `${Math.min(this.#height, MOST_HEIGHT)}px`;
    this.#scrollTo(top + this.#rowOf(kept) * this.#cell.height);
    if (isSeen) this.moveTo(this.current);
    else this.draw();
  }

  #show(place, shift) {
    const cell = this.#cells.get(place) ?? this.#taken(place);
    const left = (place % this.columns) * this.#cell.width;
    const top = this.#rowOf(place) * this.#cell.height + shift;
    cell.style.transform = `translate(${left}px, ${top}px)`;
    cell.style.width = `${this.#cell.width}px`;
    cell.style.height = `${this.#cell.height}px`;
    this.#paint(cell, place);
  }

  #taken(place) {
    const cell = this.#spare.pop() ?? byId("cell").content.firstElementChild.cloneNode(true);
    cell.id = `cell-${place}`;
    cell.dataset.place = place;
    cell.ariaPosInSet = place + 1;
    cell.ariaSetSize = this.total;
    this.#cells.set(place, cell);
    this.#canvas.append(cell);
    return cell;
  }

  #putAway(place, cell) {
    // Stop loading images that are out of view.
    cell.querySelector("img").removeAttribute("src");
    cell.remove();
    this.#cells.delete(place);
    this.#spare.push(cell);
  }

  #nameCurrent() {
    const isShown = this.#cells.has(this.current);
    if (isShown) this.element.setAttribute("aria-activedescendant", `cell-${this.current}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  #drawSoon() {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      this.draw();
    });
  }

  #wantSoon() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      if (this.total) this.dispatchEvent(new Event("want"));
    }, PAUSE_MS);
  }
}
