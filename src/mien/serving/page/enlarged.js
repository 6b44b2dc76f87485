// The enlarged view: a dialog that borrows a card from the list.

import { byId, made } from "./elements.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1 };

export class Enlarged {
  #dialog = byId("enlarged");
  #cards;
  #card = null;
  /** Keeps the card's place in the list. */
  #gap = made("li", { className: "gap" });

  /** cards: returns the cards in the order of the list. */
  constructor(cards) {
    this.#cards = cards;
    byId("previous").addEventListener("click", () => this.#move(-1));
    byId("next").addEventListener("click", () => this.#move(1));
    byId("enlarged-close").addEventListener("click", () => this.#dialog.close());
    // Not on the dialog: a button that gets disabled loses the focus.
    addEventListener("keydown", ({ key }) => this.#dialog.open && key in STEPS && this.#move(STEPS[key]));
    this.#dialog.addEventListener("close", () => {
      this.#putBack();
      this.#card.focus();
    });
  }

  open(card) {
    this.#show(card);
    this.#dialog.showModal();
  }

  #move(step) {
    const card = this.#neighbour(step);
    if (!card) return;
    this.#putBack();
    this.#show(card);
  }

  #neighbour(step) {
    return this.#cards()[this.#cards().indexOf(this.#card) + step];
  }

  #show(card) {
    this.#card = card;
    this.#gap.style.height = `${card.element.offsetHeight}px`;
    card.element.replaceWith(this.#gap);
    byId("enlarged-card").append(card.element);
    this.#dialog.scrollTop = 0;
    byId("previous").disabled = !this.#neighbour(-1);
    byId("next").disabled = !this.#neighbour(1);
  }

  #putBack() {
    this.#gap.replaceWith(this.#card.element);
  }
}
