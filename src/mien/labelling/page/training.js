// Training from this page: progress and result.

import { showImage } from "./cell.js";
import { byId, made, on, put } from "./elements.js";
import { sentence, visible } from "./names.js";
import { get, post } from "./requests.js";
import { chipOf, images, rounded } from "./words.js";

const PAUSE_MS = 700;

/** Dispatches `end` when a training is over, `problem`, and `enlarge` with a list of images and a position. */
export class Training extends EventTarget {
  #timer = null;
  #wasRunning = false;
  #resultText = "";

  constructor() {
    super();
    on("train", "click", () => this.#begin("train"));
    on("save", "click", () => this.#begin("save"));
    on("show-result", "click", () => byId("result").showModal());
  }

  /** Show the server's answer, and keep asking while it trains. */
  show(told) {
    const isRunning = told.state === "running";
    byId("training").hidden = told.state === "idle";
    byId("train").disabled = isRunning;
    put("training-says", says(told));
    this.#showProgress(told, isRunning);
    if (told.result) this.#showResult(told.result);
    byId("show-result").hidden = !told.result;
    byId("save").hidden = isRunning || !told.can_save;
    if (isRunning) this.#askSoon();
    else if (this.#wasRunning) this.dispatchEvent(new CustomEvent("end", { detail: says(told) }));
    this.#wasRunning = isRunning;
  }

  /** Ask the server for the progress. */
  async ask() {
    await this.#try(async () => this.show(await get("training")));
  }

  async #begin(what) {
    await this.#try(() => post(what));
    await this.ask();
  }

  async #try(act) {
    try {
      await act();
    } catch (error) {
      this.dispatchEvent(new CustomEvent("problem", { detail: error }));
      if (this.#wasRunning) this.#askSoon();
    }
  }

  #askSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.ask(), PAUSE_MS);
  }

  #showProgress({ state, done, total, lines }, isRunning) {
    const bar = byId("training-progress");
    bar.hidden = !isRunning;
    bar.max = total || 1;
    if (total) bar.value = done;
    else bar.removeAttribute("value");
    byId("training-more").hidden = !lines.length || state === "done";
    put("training-lines", lines.map(visible).join("\n"));
  }

  #showResult(result) {
    // Do not redraw what somebody is reading.
    if (JSON.stringify(result) === this.#resultText) return;
    this.#resultText = JSON.stringify(result);
    put("verdict", visible(result.verdict));
    const scores = [["Before", result.before], ["After", result.after]].filter(([, score]) => score);
    byId("scores").replaceChildren(...scores.map(([title, score]) => scoreRow(title, score)));
    put("result-says", judgedBy(result));
    byId("result-notes").replaceChildren(...result.notes.map((note) => made("li", { textContent: visible(note) })));
    const { changed, num_changed: numChanged } = result;
    const most = changed.length < numChanged ? `; the first ${changed.length}` : "";
    put("changed-title", result.before ? `${images(numChanged)} with a changed prediction${most}` : "");
    byId("changed").replaceChildren(...changed.map((image, place) => this.#changedImage(image, changed, place)));
  }

  #changedImage(image, changed, place) {
    const thumbnail = made("img", { alt: "", loading: "lazy" });
    const gone = made("span", { className: "gone", textContent: "cannot be shown", hidden: true });
    showImage(thumbnail, gone, `thumbnail/${image.id}/${image.version}`);
    const answers = made("span", { textContent: `${chipOf(image.before)} → ${chipOf(image.after)}` });
    const title = `${visible(image.path)}: ${visible(image.before)} → ${visible(image.after)}`;
    const button = made("button", { type: "button", title }, thumbnail, gone, answers);
    const list = { total: changed.length, at: (at) => changed[at], want() {} };
    button.addEventListener("click", () => this.dispatchEvent(new CustomEvent("enlarge", { detail: [list, place] })));
    return made("li", {}, button);
  }
}

function says({ state, stage, done, total, error, result }) {
  if (state === "failed") return sentence(error);
  if (state === "done") return `${result?.run ? `Saved in ${visible(result.run)}.` : "Training finished."} ${visible(result?.verdict ?? "")}`;
  const far = total ? `: ${done.toLocaleString("en")} of ${total.toLocaleString("en")}` : "";
  return state === "running" ? `Training. ${visible(stage)}${far}` : "";
}

function judgedBy({ run, seconds, num_images: numImages }) {
  const judged = `Measured on ${images(numImages)} of the test split, which are in no queue.`;
  const bars = "The dot is the accuracy; the bar is its 95% interval.";
  const kept = run ? ` Saved in ${visible(run)}.` : " Not saved as a run yet.";
  return `${judged} ${bars} Training took ${Number(seconds.toPrecision(2))} s.${kept}`;
}

function scoreRow(title, { value, low, high }) {
  const [interval, dot] = [made("span", { className: "interval" }), made("span", { className: "value" })];
  interval.style.left = `${100 * low}%`;
  interval.style.width = `${100 * (high - low)}%`;
  dot.style.left = `${100 * value}%`;
  const ends = ["0%", "100%"].map((textContent) => made("span", { className: "end", textContent }));
  const scale = made("div", { className: "scale", ariaHidden: "true" }, interval, dot, ...ends);
  const words = `${title}: ${rounded(value)} correct (95% interval ${rounded(low)} to ${rounded(high)})`;
  return made("div", { className: "score" }, made("p", { textContent: words }), scale);
}
