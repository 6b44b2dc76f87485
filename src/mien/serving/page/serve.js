// The page: images come in, cards with answers come out. They stay in memory. Read this first.

import { setUpCamera, useCameraProgram } from "./camera.js";
import { Card } from "./card.js";
import { answersTable } from "./csv_table.js";
import { byId, made } from "./elements.js";
import { filesOf } from "./intake.js";
import { showModel, size } from "./model.js";
import { short } from "./names.js";
import { Queue } from "./queue.js";
import { askModel, useKey } from "./requests.js";

const STOPPED = new Error("stopped");
// So many more answers are announced at once, while others are still to come.
const MANY = 25;
const MOST_KINDS = 4;
const queue = new Queue();
let model = null;
let hasKey = false;
/** In the order in which they are seen: the newest first. */
let cards = [];
/** Why nothing can be asked; null where all is well. */
let problem = null;
/** The cards that were spoken of when all was done, and how many more since. */
const atRest = new Set();
let numTold = 0;

async function start() {
  try {
    model = await askModel();
  } catch (error) {
    return showProblem(error);
  }
  showModel(model);
  askForKey(model.needs_key && !hasKey);
  showProblem(null);
}

/** Ask about images: objects with a `name`, and a `file` or a `url`. */
function take(images) {
  if (!model || !images.length) return;
  const added = images.map((image) => new Card(image, model, askAgain));
  // Those that came together stay in the order in which they came.
  cards.unshift(...added);
  byId("cards").prepend(...added.map((card) => card.element));
  const most = model.limits.max_file_bytes;
  const tooLarge = added.filter(({ file }) => file?.size > most);
  for (const card of tooLarge)
    card.refuse(`it has ${size(card.file.size)}; at most ${size(most)} are taken, so it was not sent`);
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
  byId("counts").textContent = summary(done);
  byId("save").disabled = !done.length;
  byId("stop").hidden = byId("progress").hidden = !isBusy;
  byId("stop").textContent = queue.stopped === null ? "Stop" : "Go on";
  byId("progress").max = Math.max(1, cards.length);
  byId("progress").value = done.length;
  if (model) showProblem(queue.stopped === STOPPED ? null : queue.stopped);
  announce(done, isBusy && queue.stopped === null);
}

function summary(done) {
  const numOf = new Map();
  const answered = done.filter((card) => card.error === null);
  for (const card of answered) {
    const kind = short(card.prediction.label);
    numOf.set(kind, (numOf.get(kind) ?? 0) + 1);
  }
  const ranked = [...numOf].sort((one, other) => other[1] - one[1]);
  const told = ranked.slice(0, MOST_KINDS).map(([kind, count]) => `${count} ${kind}`);
  const numOthers = ranked.slice(MOST_KINDS).reduce((sum, [, count]) => sum + count, 0);
  if (numOthers) told.push(`${numOthers} others`);
  if (answered.length < done.length) told.push(`${done.length - answered.length} without an answer`);
  if (done.length < cards.length) told.unshift(`${done.length} of ${cards.length}${delay()}`);
  return told.join(" · ");
}

function delay() {
  if (queue.stopped !== null) return queue.stopped === STOPPED ? ", stopped" : ", waiting";
  return queue.isHeld ? ", the server is busy: going on soon" : "";
}

/** Say what is new once all is done, and on the way now and then: who listens is not to be talked to all the time. */
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
  // What is shown already is not written again: it would be read out again.
  if (error === problem) return;
  problem = error;
  byId("notice").hidden = error === null;
  byId("notice-text").textContent = error?.message ?? "";
  byId("again").hidden = Boolean(error?.wantsKey);
  if (!error?.wantsKey) return;
  askForKey(true);
  byId("key").select();
}

/** Without a key nothing is answered: as long as it is asked for, nothing else is. */
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

/** Take the addresses in a text; say whether there was one. */
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
