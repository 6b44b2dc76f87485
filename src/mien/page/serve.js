// The page: pictures come in, cards with answers come out. They stay in memory.

import { setUpCamera } from "./camera.js";
import { Card } from "./card.js";
import { answersTable } from "./csv_table.js";
import { filesOf } from "./intake.js";
import { showModel, size } from "./model.js";
import { short } from "./names.js";
import { Queue } from "./queue.js";
import { askModel, useKey } from "./requests.js";

const [answers, again, bar, choose, counts, drop, files, key, keyForm, list, live, notice, save, stop] = [
  "answers", "again", "progress", "choose", "counts", "drop", "files", "key", "key-form", "cards", "live", "notice", "save", "stop",
].map((id) => document.getElementById(id));
const queue = new Queue();
let cards = [];
let model = null;
let newest = null;
let numTold = 0;
let numAtRest = 0;
let hasKey = false;
let problem = null;
const STOPPED = new Error("Stopped.");

async function start() {
  try {
    model = await askModel();
    showModel(model);
    keyForm.hidden = !model.needs_key || hasKey;
    showProblem(null);
  } catch (error) {
    showProblem(error);
  }
}

function take(pictures) {
  if (!model || !pictures.length) return;
  const added = pictures.map((picture) => new Card(picture, model));
  cards.push(...added);
  newest = added.at(-1);
  // The newest are seen first, in the order in which they came.
  list.prepend(...added.map((card) => card.element));
  const [tooLarge, fine] = divided(added, (card) => card.file?.size > model.limits.max_file_bytes);
  for (const card of tooLarge) card.refuse(`it has ${size(card.file.size)}; at most ${size(model.limits.max_file_bytes)} are taken, so it was not sent`);
  queue.add(fine);
}

function divided(items, test) {
  return [items.filter(test), items.filter((item) => !test(item))];
}

function showAll() {
  const done = cards.filter((card) => card.isDone);
  const isBusy = done.length < cards.length;
  document.body.classList.toggle("has-answers", cards.length > 0);
  list.classList.toggle("single", cards.length === 1);
  answers.hidden = !cards.length;
  stop.hidden = !isBusy;
  stop.textContent = queue.stopped === null ? "Stop" : "Go on";
  save.disabled = !done.length;
  bar.hidden = !isBusy;
  bar.max = Math.max(1, cards.length);
  bar.value = done.length;
  counts.textContent = summary(done);
  if (model) showProblem(queue.stopped === STOPPED ? null : queue.stopped);
  announce(done, isBusy && queue.stopped === null);
}

function summary(done) {
  const parts = new Map();
  for (const card of done) {
    const kind = card.error === null ? short(card.prediction.label) : "without an answer";
    parts.set(kind, (parts.get(kind) ?? 0) + 1);
  }
  const told = [...parts].sort((one, other) => other[1] - one[1]).map(([kind, count]) => `${count} ${kind}`);
  if (done.length < cards.length) told.unshift(`${done.length} of ${cards.length}${delay()}`);
  return told.join(" · ");
}

function delay() {
  if (queue.stopped !== null) return queue.stopped === STOPPED ? ", stopped" : ", the server does not answer";
  return queue.isHeld ? ", the server is busy: going on soon" : "";
}

/** Say what is new once all is done, and on the way now and then: who listens is not to be talked to all the time. */
function announce(done, isBusy) {
  if (done.length === numTold || (isBusy && done.length < numTold + 25)) return;
  const isOne = !isBusy && done.length === numAtRest + 1;
  live.textContent = isOne ? newest.sentence : `${done.length} of ${cards.length} pictures: ${summary(done)}`;
  numTold = done.length;
  if (!isBusy) numAtRest = done.length;
}

function showProblem(error) {
  // What is shown already is not written again: it would be read out again.
  if (error === problem) return;
  problem = error;
  notice.hidden = error === null;
  document.getElementById("notice-text").textContent = error?.message ?? "";
  again.hidden = Boolean(error?.wantsKey);
  if (!error?.wantsKey) return;
  keyForm.hidden = false;
  key.select();
}

async function goOn() {
  if (!model) await start();
  queue.resume();
}

function clearAll() {
  queue.clear();
  for (const card of cards) card.remove();
  cards = [];
  numTold = numAtRest = 0;
  live.textContent = "";
  showAll();
  choose.focus();
}

function saveTable() {
  const table = answersTable(model.class_names, cards.filter((card) => card.isDone));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table], { type: "text/csv" }));
  link.download = "answers.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function takeFiles(transfer) {
  filesOf(transfer).then(take);
}

function takeAddresses(text) {
  const found = text.split(/\s+/).filter((word) => /^https?:\/\//i.test(word));
  take(found.map((url) => ({ name: url, url })));
  return found.length > 0;
}

queue.addEventListener("change", showAll);
again.addEventListener("click", goOn);
stop.addEventListener("click", () => (queue.stopped === null ? queue.stop(STOPPED) : goOn()));
save.addEventListener("click", saveTable);
document.getElementById("clear").addEventListener("click", clearAll);
choose.addEventListener("click", () => files.click());
files.addEventListener("change", () => {
  take([...files.files].map((file) => ({ file, name: file.name })));
  files.value = "";
});
drop.addEventListener("click", (event) => {
  if (!event.target.closest("button, input")) files.click();
});
setUpCamera(document.getElementById("camera"), document.getElementById("camera-dialog"), (file) => take([{ file, name: file.name }]));

for (const kind of ["dragenter", "dragover"])
  addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  takeFiles(event.dataTransfer);
});
addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) takeFiles(event.clipboardData);
  else if (model?.allows_urls && !event.target.closest("input") && takeAddresses(event.clipboardData.getData("text"))) event.preventDefault();
});

document.getElementById("url-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("url");
  if (takeAddresses(field.value)) field.value = "";
});
keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(key.value);
  hasKey = keyForm.hidden = true;
  goOn();
});

start();
