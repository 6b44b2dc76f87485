// A card: one image and its prediction.

import { byId, made } from "./elements.js";
import { sentence, short, visible } from "./names.js";
import { ask } from "./requests.js";
import { percent, percentBeside, reasonInWords } from "./words.js";

const MOST_BARS = 4;
const STATES = { waiting: "waiting", asking: "classifying…" };

export class Card {
  /** The prediction, or null if there is none. */
  prediction = null;
  /** Why there is no prediction, or null. */
  error = null;
  #threshold;

  /**
   * source: has a `name`, and a `file` or a `url`. model: the server's description of its classifier.
   * askAgain, enlarge: called with the card when its buttons are pressed.
   */
  constructor({ name, file = null, url = null }, model, { askAgain, enlarge }) {
    Object.assign(this, { name, file, url });
    this.model = model;
    this.#threshold = model.threshold;
    this.element = byId("card").content.firstElementChild.cloneNode(true);
    const shown = this.#find(".name bdi");
    shown.textContent = short(name);
    shown.title = visible(name);
    this.#showImage();
    this.#find(".look button").addEventListener("click", () => this.#look());
    this.#find(".retry").addEventListener("click", () => askAgain(this));
    this.#find(".enlarge").setAttribute("aria-label", `Enlarge ${short(name)}`);
    this.#find(".enlarge").addEventListener("click", () => enlarge(this));
  }

  get isDone() {
    return this.prediction !== null || this.error !== null;
  }

  /** The predicted class, or "unsure"; null without a prediction. */
  get label() {
    if (this.prediction === null) return null;
    // At its own threshold, the classifier has decided already.
    if (this.#threshold === this.model.threshold) return this.prediction.label;
    const [[likeliest, prob]] = this.#ranked();
    return prob < this.#threshold ? "unsure" : likeliest;
  }

  get isUnsure() {
    return this.prediction !== null && !Object.hasOwn(this.prediction.probs, this.label);
  }

  /** The result in one sentence, for screen readers. */
  get sentence() {
    if (this.error !== null) return `${short(this.name)}: ${reasonInWords(this.error)}`;
    const doubt = this.prediction.out_of_distribution ? `; unlike the training images: ${this.prediction.unlike}` : "";
    return `${short(this.name)}: ${visible(this.label)}, ${this.#sureness()}${doubt}`;
  }

  show(state) {
    this.element.dataset.state = state;
    if (state in STATES) this.#say(STATES[state]);
  }

  answer(prediction) {
    this.prediction = prediction;
    this.judgeBy(this.#threshold);
    if (prediction.out_of_distribution) {
      this.element.classList.add("doubtful");
      this.#reveal(".warning", "Unlike the training images");
      const why = `: ${prediction.unlike}. The result may be unreliable.`;
      this.#find(".warning").append(made("span", { className: "why", textContent: why }));
    }
    this.#showProbs();
    this.#find(".look").hidden = !this.model.explains;
    this.#sayWhyUnseen();
  }

  /** Show the result at a threshold. */
  judgeBy(threshold) {
    this.#threshold = threshold;
    if (this.prediction === null) return;
    this.show(this.isUnsure ? "unsure" : "answered");
    this.#say(visible(this.label));
    this.#find(".sureness").textContent = this.#sureness();
  }

  /** reason: why there is no prediction. mayPass: whether trying again may help. */
  refuse(reason, { mayPass = false } = {}) {
    this.error = reason;
    this.show("refused");
    this.#say("no result");
    this.#reveal(".warning", reasonInWords(reason));
    this.#find(".retry").hidden = !mayPass;
    this.#sayWhyUnseen();
  }

  /** Forget the error, to try again. */
  wait() {
    this.error = null;
    this.show("waiting");
    this.#find(".warning").hidden = this.#find(".retry").hidden = true;
  }

  /** Move the focus to the card, and the card into view. */
  focus() {
    this.#find(".enlarge").focus();
  }

  /** Remove the card and free the image. */
  remove() {
    URL.revokeObjectURL(this.#find(".image").src);
    this.element.remove();
  }

  #find(name) {
    return this.element.querySelector(name);
  }

  #say(text) {
    const answer = this.#find(".answer");
    answer.textContent = text;
    answer.style.setProperty("--letters", Math.max(5, [...text].length));
  }

  #reveal(name, text) {
    const element = this.#find(name);
    element.textContent = text;
    element.hidden = false;
  }

  #sureness() {
    const [[likeliest, prob]] = this.#ranked();
    const share = percentBeside(prob, this.#threshold);
    return this.isUnsure ? `perhaps ${visible(likeliest)}, ${share}` : `${share} sure`;
  }

  #ranked() {
    const probs = this.model.class_names.map((name) => [name, this.prediction.probs[name]]);
    return probs.sort((one, other) => other[1] - one[1]);
  }

  #showImage() {
    const image = this.#find(".image");
    if (this.url) return this.#showNone("No preview: fetched by the server.");
    image.alt = short(this.name);
    image.addEventListener("error", () => {
      this.#showNone("");
      this.#sayWhyUnseen();
    });
    image.src = URL.createObjectURL(this.file);
  }

  #showNone(why) {
    this.#find(".image").hidden = true;
    this.#reveal(".gone", why);
  }

  /** Only the server's answer tells whether it is an image at all. */
  #sayWhyUnseen() {
    if (this.url || !this.isDone || !this.#find(".image").hidden) return;
    this.#find(".gone").textContent = this.error === null ? "This browser cannot show this image." : "No preview.";
  }

  #showProbs() {
    const ranked = this.#ranked();
    // The first share is rounded down. With two classes, the other is rounded up, so that they add up to 100%.
    const shareOf = (prob, place) => percent(prob, !place ? Math.floor : ranked.length === 2 ? Math.ceil : Math.round);
    const rows = ranked.map(([name, prob], place) => bar(name, prob, shareOf(prob, place)));
    const [first, rest] = this.element.querySelectorAll(".probs");
    first.append(...rows.splice(0, rows.length > MOST_BARS + 1 ? MOST_BARS : rows.length));
    rest.append(...rows);
    this.#find(".more").hidden = !rows.length;
    this.#find(".more summary").textContent = `${rows.length} more`;
  }

  async #look() {
    const [button, map] = [this.#find(".look button"), this.#find(".map")];
    if (button.getAttribute("aria-busy")) return;
    if (!map.src) {
      button.setAttribute("aria-busy", "true");
      try {
        this.#setMap((await ask(this, { explain: true })).heat_map);
      } catch (error) {
        return this.#reveal(".legend", `${sentence(error.message)} Try again later.`);
      } finally {
        button.removeAttribute("aria-busy");
      }
    }
    const isShown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(isShown));
    this.element.classList.toggle("looked", isShown);
    map.hidden = this.#find(".legend").hidden = !isShown;
  }

  #setMap(heatMap) {
    const map = this.#find(".map");
    map.src = heatMap.image;
    map.alt = `Where it looked in ${short(this.name)}`;
    const orange = made("span", { className: "for", textContent: "Orange" });
    const blue = made("span", { className: "against", textContent: "blue" });
    this.#find(".legend").replaceChildren(orange, ` is evidence for ${visible(heatMap.label)}, `, blue, " against it.");
  }
}

function bar(name, prob, told) {
  const [row, rail] = [made("li"), made("span", { className: "rail" })];
  rail.style.setProperty("--part", `${100 * prob}%`);
  const share = made("span", { className: "share", textContent: told });
  row.append(made("bdi", { textContent: visible(name) }), " ", share, rail);
  return row;
}
