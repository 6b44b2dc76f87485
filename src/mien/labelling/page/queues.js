// The queues beside the grid, and what is said of one in which there is nothing.

import { byId, made } from "./elements.js";
import { short, visible } from "./names.js";

const NOTHING = {
  issues: "No label looks wrong any more. Go on with another queue, or train again.",
  conflicts: "No image lies in several classes. Go on with another queue.",
  doubtful: "No image is in doubt. Go on with another queue, or train again.",
  next: "No image waits for a label. Go on with another queue, or train again.",
};

/** Show the queues. choose: Called with the name of the one that is chosen. */
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

/** Mark the queue that is looked at. */
export function markQueue(name) {
  byId("queue-choice").value = name;
  for (const button of byId("queue-lists").querySelectorAll("button"))
    if (button.dataset.queue === name) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
}

/** Say why there is nothing to see, and what to do. */
export function nothingIn(queue, name) {
  if (name) return `No name here has “${short(name)}” in it.`;
  return NOTHING[queue] ?? "No image is labelled so. Go on with another class.";
}

function isClass({ name }) {
  return name.startsWith("class-");
}

function entryOf({ name, title, count }, choose) {
  const label = made("bdi", { textContent: short(title, 40) });
  const number = made("span", { className: "number", textContent: count.toLocaleString("en") });
  const button = made("button", { type: "button", title: visible(title) }, label, " ", number);
  button.dataset.queue = name;
  button.addEventListener("click", () => choose(name));
  return made("li", {}, button);
}

function optionOf({ name, title, count }) {
  return made("option", { value: name, textContent: `${short(title, 40)} (${count.toLocaleString("en")})` });
}
