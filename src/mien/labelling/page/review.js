// The page for correcting labels: keys come in, decisions go out. Read this first.

import { paintCell } from "./cell.js";
import { Decisions } from "./decisions.js";
import { byId, on, put } from "./elements.js";
import { Enlarged } from "./enlarged.js";
import { Grid } from "./grid.js";
import { askedBy } from "./keys.js";
import { keysOf, showClasses, showLegend, showSuggested } from "./legend.js";
import { short, visible } from "./names.js";
import { markQueue, nothingIn, showQueues } from "./queues.js";
import { get, Gone, Unable } from "./requests.js";
import { Rows } from "./rows.js";
import { Selection } from "./selection.js";
import { Training } from "./training.js";
import { fileName, images, inWords, useClasses } from "./words.js";

const POLL_MS = 2000;
const TYPING_MS = 250;
// Larger selections need confirmation.
const MANY = 500;
const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };
const decisions = new Decisions();
const enlarged = new Enlarged(decisions);
const grid = new Grid(byId("grid"), paint);
const selection = new Selection();
const training = new Training();
let state = null;
let rows = new Rows("", "");
let shown = { queue: "", name: "" };
let revision = 0;
/** The current problem, or null. */
let problem = null;
let isPolling = false;
let typing = null;

/** Load everything, at first and after each training. */
async function start() {
  let told;
  try {
    told = await get("state");
  } catch (error) {
    return showProblem(error);
  }
  const isOther = state?.training_revision !== told.training_revision;
  state = told;
  showProblem(decisions.problem);
  showState();
  if (isOther) {
    decisions.forget();
    ({ revision } = state);
    showQueue({ isNew: true });
  }
  poll();
}

function showState() {
  document.title = `Labels of ${visible(state.title)} · mien`;
  put("title", `Labels of ${short(state.title, 40)}`);
  put("path", visible(state.decisions_path));
  put("train", state.run ? "Train again" : "Train");
  showNumbers(state);
  useClasses(state.class_names);
  showQueues(state.queues, (queue) => go({ queue, name: shown.name }));
  showLegend(byId("legend"), state.class_names, act, { enlarges: true });
  showLegend(byId("enlarged-legend"), state.class_names, act, { enlarges: false });
  showClasses(state.class_names);
  training.show(state.training);
}

function showNumbers({ num_decided: numDecided, can_undo: canUndo }) {
  put("decided", `${numDecided.toLocaleString("en")} of ${state.num_images.toLocaleString("en")} decided.`);
  byId("undo").disabled = !canUndo;
}

/** Go to a queue and filter. The address keeps both, so that they survive a reload. */
function go(place) {
  location.hash = new URLSearchParams(place);
}

/** Show the queue named in the address. */
function showQueue({ isNew = false } = {}) {
  if (!state) return;
  const asked = new URLSearchParams(location.hash.slice(1));
  const queue = state.queues.find(({ name }) => name === asked.get("queue")) ?? firstQueue();
  const name = asked.get("name") ?? "";
  if (!isNew && queue.name === shown.queue && name === shown.name) return;
  shown = { queue: queue.name, name };
  markQueue(queue.name);
  put("queue-title", visible(queue.title));
  put("about", visible(queue.about));
  if (byId("name").value !== name) byId("name").value = name;
  showRows(new Rows(queue.name, name));
}

function firstQueue() {
  return state.queues.find(({ count }) => count > 0) ?? state.queues[0];
}

function showRows(others) {
  rows.close();
  if (enlarged.shows(rows)) enlarged.close();
  rows = others;
  grid.reset(0);
  selection.reset(0);
  put("count", "");
  byId("empty").hidden = true;
  rows.addEventListener("change", showWindow);
  rows.addEventListener("problem", ({ detail }) => showProblem(detail));
  rows.want(0, 0);
}

/** Show images that have arrived. The first ones also tell the total. */
function showWindow({ target }) {
  if (target !== rows) return;
  if (rows.total !== grid.total || !rows.total) {
    selection.reset(rows.total);
    grid.reset(rows.total);
    if (document.activeElement === document.body) grid.element.focus({ preventScroll: true });
    byId("empty").hidden = rows.total > 0;
    byId("legend").hidden = rows.total === 0;
    put("empty-says", nothingIn(shown.queue, shown.name));
    byId("clear-name").hidden = !shown.name;
  }
  draw();
}

function draw() {
  if (rows.total !== null) grid.draw();
  if (enlarged.isOpen) enlarged.draw();
  showSuggested(byId("legend"), rows.at(grid.current)?.suggested);
  const selected = selection.count ? `; ${selection.count.toLocaleString("en")} selected` : "";
  const saving = decisions.numImages > MANY ? `; ${decisions.numImages.toLocaleString("en")} not saved yet` : "";
  if (rows.total !== null) put("count", images(rows.total) + selected + saving);
}

function paint(cell, place) {
  const image = rows.at(place);
  const isCurrent = place === grid.current;
  paintCell(cell, image, image && decisions.of(image), { isSelected: selection.has(place), isCurrent });
}

const ACTS = {
  class: (number) => decide(state.class_names[number]),
  key: (key) => pressKey(key),
  decide,
  move: (key, isRange) => move(key, isRange),
  undo: () => (byId("undo").disabled && !decisions.numWaiting ? say("Nothing to undo.") : decisions.undo()),
  all: () => !enlarged.isOpen && select(() => selection.all()),
  clear: () => select(() => selection.clear()),
  choose: () => byId("classes-dialog").showModal(),
  filter: () => byId("name").focus(),
  help: () => byId("keys-dialog").showModal(),
  enlarge: () => (enlarged.isOpen ? enlarged.close() : rows.total && enlarged.open(rows, grid.current)),
};

function act([kind, value], isRange) {
  if (state) ACTS[kind](value, isRange);
}

/** Set the class of a key. 0 clears the decision unless a class uses it. */
function pressKey(key) {
  const place = keysOf(state.class_names).indexOf(key);
  if (place >= 0) decide(state.class_names[place]);
  else if (key === "0") decide("");
}

function select(change) {
  change();
  draw();
}

function move(key, isRange) {
  if (enlarged.isOpen) return enlarged.moveTo(enlarged.place + (STEPS[key] ?? 0));
  if (!rows.total) return;
  const place = grid.reached(key);
  if (isRange) selection.extend(grid.current, place);
  else selection.clear();
  grid.moveTo(place);
  draw();
}

/** Decide on the enlarged image, the selected images, or else the current one. */
function decide(decision) {
  if (enlarged.isOpen) return decideOne(enlarged.image, decision, () => enlarged.moveTo(enlarged.place + 1));
  if (selection.count > MANY) return confirmed(decision);
  if (selection.count > 1) return decideSelected(decision);
  const [place] = selection.count ? selection.places() : [grid.current];
  decideOne(rows.at(place), decision, () => grid.moveTo(place + 1));
}

function decideOne(image, decision, goOn) {
  if (!image) return say("The image is still loading.");
  decisions.decide([image.id], decision, { about: short(fileName(image.path)) });
  selection.clear();
  // After clearing a decision, stay to make a new one.
  if (decision !== "") goOn();
  draw();
}

function decideSelected(decision) {
  const [places, from] = [[...selection.places()], rows];
  const isHere = places.every((place) => from.at(place));
  const ids = isHere ? places.map((place) => from.at(place).id) : () => from.idsOf(places);
  decisions.decide(ids, decision, { about: images(places.length), numImages: places.length });
  select(() => selection.clear());
}

function confirmed(decision) {
  put("confirm-says", `Change ${images(selection.count)} to “${inWords(decision)}”?`);
  byId("confirm").showModal();
  byId("confirm-yes").onclick = () => {
    byId("confirm").close();
    decideSelected(decision);
  };
}

function say(text) {
  byId("live").textContent = text;
}

function showDone({ action, answer }) {
  showNumbers(answer);
  if (action.ids) return say(`${action.about}: ${inWords(action.decision)}`);
  const [first] = answer.changed;
  if (!first) return say("Nothing to undo.");
  const place = rows.placeOf(first.id);
  if (place >= 0 && !enlarged.isOpen) grid.moveTo(place);
  const isNamed = answer.changed.length === 1 && place >= 0;
  say(`Undone: ${isNamed ? short(fileName(rows.at(place).path)) : images(answer.changed.length)}`);
}

/** Ask what other tabs have changed, unless this one is still waiting for its own changes. */
async function poll() {
  if (!state || document.hidden || isPolling) return;
  isPolling = true;
  try {
    hearOthers(await get("changes", { revision }));
  } catch (error) {
    showProblem(error);
  }
  isPolling = false;
}

function hearOthers(answer) {
  if (problem instanceof Gone) tryAgain();
  if (decisions.numWaiting) return;
  revision = answer.revision;
  const numNew = decisions.hear(answer.changed);
  if (numNew) say(`${images(numNew)} changed in another tab`);
  showNumbers(answer);
  // A training has ended, in this tab or another, so the queues have changed.
  if (answer.training_revision !== state.training_revision) start();
}

function showProblem(error) {
  problem = error;
  byId("notice").hidden = error === null;
  const mayPass = error instanceof Unable;
  const more = mayPass && decisions.numWaiting ? " Your decisions stay on this page until they can be saved." : "";
  put("notice-text", error ? error.message + more : "");
  put("again", mayPass ? "Try again" : "Close");
}

function tryAgain() {
  showProblem(null);
  decisions.resume();
  if (!state) start();
  else if (rows.total === null) rows.want(0, 0);
  else rows.want(...grid.view);
}

function clicked(event) {
  const place = grid.placeAt(event);
  if (place === null) return;
  const from = grid.current;
  // There are no keys to hold on a touch screen, so each tap adds or removes an image.
  const isToggle = event.ctrlKey || event.metaKey || event.pointerType === "touch";
  grid.moveTo(place);
  if (event.target.closest(".zoom")) return act(["enlarge"]);
  if (event.shiftKey) selection.extend(from, place);
  else if (isToggle) selection.toggle(place);
  else selection.only(place);
  draw();
}

function pressed(event) {
  const asked = askedBy(event);
  const isAbove = document.querySelector("#classes-dialog[open], #confirm[open], #keys-dialog[open]");
  const isElsewhere = isAbove || (byId("result").open && !enlarged.isOpen);
  if (!asked || isElsewhere || (event.key === "Escape" && enlarged.isOpen)) return;
  event.preventDefault();
  act(asked, event.shiftKey);
}

function takeClass() {
  byId("classes-dialog").close();
  act(["class", byId("classes").selectedIndex]);
}

decisions.addEventListener("change", () => {
  if (decisions.problem) showProblem(decisions.problem);
  draw();
});
decisions.addEventListener("done", ({ detail }) => showDone(detail));
decisions.addEventListener("refused", ({ detail }) => showProblem(detail));
enlarged.addEventListener("move", () => enlarged.shows(rows) && grid.moveTo(enlarged.place));
grid.addEventListener("want", () => rows.want(...grid.view));
training.addEventListener("problem", ({ detail }) => showProblem(detail));
training.addEventListener("enlarge", ({ detail }) => enlarged.open(...detail));
training.addEventListener("end", ({ detail }) => {
  say(detail);
  start();
});
on("grid", "click", clicked);
on("grid", "dblclick", (event) => grid.placeAt(event) !== null && act(["enlarge"]));
// Keep the focus, so that the keys go on working.
for (const button of document.querySelectorAll("#undo, #help, #queue-lists"))
  button.addEventListener("pointerdown", (event) => event.preventDefault());
on("undo", "click", () => act(["undo"]));
on("help", "click", () => act(["help"]));
on("again", "click", tryAgain);
on("clear-name", "click", () => go({ ...shown, name: "" }));
on("classes-take", "click", takeClass);
on("classes", "dblclick", takeClass);
on("classes", "keydown", ({ key }) => key === "Enter" && takeClass());
on("name", "input", () => {
  clearTimeout(typing);
  const name = byId("name").value;
  typing = setTimeout(() => location.replace(`#${new URLSearchParams({ ...shown, name })}`), TYPING_MS);
});
on("name", "keydown", ({ key }) => ["Enter", "Escape"].includes(key) && grid.element.focus());
for (const button of document.querySelectorAll("[data-close]"))
  button.addEventListener("click", () => button.closest("dialog").close());
document.addEventListener("keydown", pressed);
document.addEventListener("visibilitychange", poll);
addEventListener("hashchange", () => showQueue());
addEventListener("beforeunload", (event) => decisions.numWaiting && event.preventDefault());
setInterval(poll, POLL_MS);
start();
