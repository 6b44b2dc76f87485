// The page: images come in, cards with predictions come out. All of it stays in memory. Read this first.

import { setUpCamera, useCameraProgram } from "./camera.js";
import { Card } from "./card.js";
import { answersTable } from "./csv_table.js";
import { byId, made } from "./elements.js";
import { Enlarged } from "./enlarged.js";
import { filesOf } from "./intake.js";
import { showModel, size } from "./model.js";
import { visible } from "./names.js";
import { Queue } from "./queue.js";
import { askModel, useKey } from "./requests.js";
import { Threshold } from "./threshold.js";

const STOPPED = new Error("stopped");
// How many results to announce at a time while others are still to come.
const MANY = 25;
const MOST_KINDS = 4;
const queue = new Queue();
const enlarged = new Enlarged(() => cards);
const threshold = new Threshold();
let model = null;
let hasKey = false;
/** In the order shown: the newest first. */
let cards = [];
/** The current problem, or null. */
let problem = null;
/** The cards announced when all was done, and the number announced since. */
const atRest = new Set();
let numTold = 0;

async function start() {
  try {
    model = await askModel();
  } catch (error) {
    return showProblem(error);
  }
  showModel(model);
  threshold.reset(model.threshold);
  askForKey(model.needs_key && !hasKey);
  showProblem(null);
}

/** Classify images: objects with a `name`, and a `file` or a `url`. */
function take(images) {
  if (!model || !images.length) return;
  const actions = { askAgain, enlarge: (card) => enlarged.open(card) };
  const added = images.map((image) => new Card(image, model, actions));
  for (const card of added) card.judgeBy(threshold.value);
  // Images that were added together keep their order.
  cards.unshift(...added);
  byId("cards").prepend(...added.map((card) => card.element));
  const most = model.limits.max_file_bytes;
  const tooLarge = added.filter(({ file }) => file?.size > most);
  for (const card of tooLarge)
    card.refuse(`it is ${size(card.file.size)}, and the limit is ${size(most)}, so it was not sent`);
  queue.add(added.filter((card) => !card.isDone));
}

function askAgain(card) {
  atRest.delete(card);
  card.wait();
  queue.add([card]);
}

function showAll() {
  const done = cards.filter((card) => card.isDone);
  const isBusy = done.length < cards.length;
  document.body.classList.toggle("has-answers", cards.length > 0);
  byId("answers").hidden = !cards.length;
  byId("cards").classList.toggle("single", cards.length === 1);
  byId("cards").classList.toggle("list", cards.length > 1);
  byId("counts").textContent = summary(done);
  showThreshold(done.filter((card) => card.prediction !== null));
  byId("save").disabled = !done.length;
  byId("stop").hidden = byId("progress").hidden = !isBusy;
  byId("stop").textContent = queue.stopped === null ? "Stop" : "Resume";
  byId("progress").max = Math.max(1, cards.length);
  byId("progress").value = done.length;
  if (model) showProblem(queue.stopped === STOPPED ? null : queue.stopped);
  announce(done, isBusy && queue.stopped === null);
}

function showThreshold(answered) {
  // A class named "unsure" rules a threshold out.
  byId("threshold-row").hidden = cards.length < 2 || model.class_names.includes("unsure");
  byId("cards").style.setProperty("--threshold", `${100 * threshold.value}%`);
  byId("cards").classList.toggle("has-threshold", threshold.value > 0);
  threshold.show(answered.filter((card) => card.isUnsure).length, answered.length);
}

function summary(done) {
  const numOf = new Map();
  const answered = done.filter((card) => card.error === null);
  for (const card of answered) {
    const kind = visible(card.label);
    numOf.set(kind, (numOf.get(kind) ?? 0) + 1);
  }
  const ranked = [...numOf].sort((one, other) => other[1] - one[1]);
  const told = ranked.slice(0, MOST_KINDS).map(([kind, count]) => `${count} ${kind}`);
  const numOthers = ranked.slice(MOST_KINDS).reduce((sum, [, count]) => sum + count, 0);
  if (numOthers) told.push(`${numOthers} other`);
  if (answered.length < done.length) told.push(`${done.length - answered.length} without a result`);
  if (done.length < cards.length) told.unshift(`${done.length} of ${cards.length}${delay()}`);
  return told.join(" · ");
}

function delay() {
  if (queue.stopped !== null) return queue.stopped === STOPPED ? ", stopped" : ", waiting";
  return queue.isHeld ? ", server busy, retrying soon" : "";
}

/** Announce what is new when all is done, and only now and then before, so as not to overwhelm screen readers. */
function announce(done, isBusy) {
  const fresh = done.filter((card) => !atRest.has(card));
  if (fresh.length < numTold + (isBusy ? MANY : 1)) return;
  const isOne = !isBusy && fresh.length === 1;
  const all = `${done.length} of ${cards.length} images: ${summary(done)}`;
  byId("live").textContent = isOne ? fresh[0].sentence : all;
  numTold = isBusy ? fresh.length : 0;
  if (!isBusy) fresh.forEach((card) => atRest.add(card));
}

function showProblem(error) {
  // Do not set the same text twice, or screen readers would announce it again.
  if (error === problem) return;
  problem = error;
  byId("notice").hidden = error === null;
  byId("notice-text").textContent = error?.message ?? "";
  byId("again").hidden = Boolean(error?.wantsKey);
  if (!error?.wantsKey) return;
  askForKey(true);
  byId("key").select();
}

/** Ask for the key, and hide everything else until there is one. */
function askForKey(isAsked) {
  byId("key-form").hidden = !isAsked;
  byId("drop").hidden = isAsked;
  byId("url-form").hidden = isAsked || !model?.allows_urls;
}

async function goOn() {
  if (!model) await start();
  queue.resume();
}

function clearAll() {
  for (const card of cards) card.remove();
  cards = [];
  atRest.clear();
  numTold = 0;
  byId("live").textContent = byId("url").value = "";
  threshold.reset(model.threshold);
  queue.clear();
  byId("choose").focus({ preventScroll: true });
  scrollTo(0, 0);
}

function saveTable() {
  const table = answersTable(model.class_names, cards.filter((card) => card.isDone));
  const href = URL.createObjectURL(new Blob([table], { type: "text/csv" }));
  made("a", { href, download: "predictions.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}

function takeFiles(files) {
  take(Array.from(files, (file) => ({ file, name: file.name })));
}

/** Classify the images at the URLs in a text, and return whether there were any. */
function takeAddresses(text) {
  const found = text.split(/\s+/).filter((word) => /^https?:\/\//i.test(word));
  take(found.map((url) => ({ name: url, url })));
  return found.length > 0;
}

function on(id, kind, act) {
  byId(id).addEventListener(kind, act);
}

function onSubmit(id, act) {
  on(id, "submit", (event) => {
    event.preventDefault();
    act();
  });
}

queue.addEventListener("change", showAll);
threshold.addEventListener("change", () => {
  for (const card of cards) card.judgeBy(threshold.value);
  showAll();
});
on("stop", "click", () => (queue.stopped === null ? queue.stop(STOPPED) : goOn()));
on("again", "click", goOn);
on("save", "click", saveTable);
on("clear", "click", clearAll);
on("choose", "click", () => byId("files").click());
on("drop", "click", (event) => {
  if (!event.target.closest("button, input")) byId("files").click();
});
for (const id of ["files", "photo"])
  on(id, "change", ({ target }) => {
    takeFiles(target.files);
    // Otherwise the same file could not be chosen again.
    target.value = "";
  });
onSubmit("key-form", () => {
  useKey(byId("key").value);
  hasKey = true;
  askForKey(false);
  goOn();
});
onSubmit("url-form", () => {
  if (takeAddresses(byId("url").value)) byId("url").value = "";
});
if (navigator.mediaDevices) setUpCamera(byId("camera"), byId("camera-dialog"), (photo) => takeFiles([photo]));
else useCameraProgram(byId("camera"), byId("photo"));

for (const kind of ["dragenter", "dragover"])
  addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dragging", event.dataTransfer.types.includes("Files"));
  });
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
addEventListener("drop", async (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  take(await filesOf(event.dataTransfer));
});
addEventListener("paste", (event) => {
  const { files } = event.clipboardData;
  if (files.length) takeFiles(files);
  else if (model?.allows_urls && document.activeElement.tagName !== "INPUT")
    takeAddresses(event.clipboardData.getData("text"));
});

start();
