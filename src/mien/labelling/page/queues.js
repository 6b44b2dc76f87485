// The list of queues, and the message for an empty one.

import { byId, made } from "./elements.js";
import { short, visible } from "./names.js";

const NOTHING = {
  issues: "No suspicious labels left. Choose another queue, or train again.",
  conflicts: "No copies in several classes. Choose another queue.",
  doubtful: "No wrong or unsure images left. Choose another queue, or train again.",
  next: "No images left to label. Choose another queue, or train again.",
};

/** Show the queues. choose: called with the name of the chosen one. */
export function showQueues(queues, choose) {
  const [classes, others] = [queues.filter(isClass), queues.filter((queue) => !isClass(queue))];
  byId("queues").replaceChildren(...others.map((queue) => entryOf(queue, choose)));
  byId("class-queues").replaceChildren(...classes.map((queue) => entryOf(queue, choose)));
  byId("by-class").hidden = !classes.length;
  const groups = [["Queues", others], ["By class", classes]].filter(([, members]) => members.length);
  byId("queue-choice").replaceChildren(
    ...groups.map(([label, members]) => made("optgroup", { label }, ...members.map(optionOf))),
  );
  byId("queue-choice").onchange = ({ target }) => choose(target.value);
}

/** Mark the current queue. */
export function markQueue(name) {
  byId("queue-choice").value = name;
  for (const button of byId("queue-lists").querySelectorAll("button"))
    if (button.dataset.queue === name) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
}

/** Say why a queue is empty, and what to do. */
export function nothingIn(queue, name) {
  if (name) return `No file name contains “${short(name)}”.`;
  return NOTHING[queue] ?? "No images in this class. Choose another class.";
}

function isClass({ name }) {
  return name.startsWith("class-");
}

function entryOf({ name, title, count }, choose) {
  const label = made("bdi", { textContent: visible(title) });
  const number = made("span", { className: "number", textContent: count.toLocaleString("en") });
  const button = made("button", { type: "button" }, label, " ", number);
  button.dataset.queue = name;
  button.addEventListener("click", () => choose(name));
  return made("li", {}, button);
}

function optionOf({ name, title, count }) {
  return made("option", { value: name, textContent: `${visible(title)} (${count.toLocaleString("en")})` });
}
