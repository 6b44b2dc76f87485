// The legend: buttons for the classes and decisions, with their keys.

import { byId, made } from "./elements.js";
import { short, visible } from "./names.js";

const DIGITS = [..."123456789"];
const OTHERS = [
  ["k", "keep", ["decide", "keep"]],
  ["x", "leave out", ["decide", "leave-out"]],
  ["⌫", "clear", ["decide", ""]],
];

/** Return the key of each class, or "". A class named with a digit gets that digit, the others the next free one. */
export function keysOf(classNames) {
  const own = new Set(classNames.filter((name) => /^[0-9]$/.test(name)));
  const free = DIGITS.filter((digit) => !own.has(digit));
  return classNames.map((name) => (own.has(name) ? name : (free.shift() ?? "")));
}

/** Fill an element with the buttons. act: called with the action of a button, as for a key. */
export function showLegend(element, classNames, act, { enlarges }) {
  const keys = keysOf(classNames);
  const numbered = classNames.map((name, place) => [keys[place], name, ["class", place]]).filter(([key]) => key);
  const more = keys.includes("") ? [["c", `all ${classNames.length} classes …`, ["choose"]]] : [];
  const others = enlarges ? [...OTHERS, ["Space", "enlarge", ["enlarge"]]] : OTHERS;
  const parts = [[...numbered, ...more], others];
  element.replaceChildren(...parts.map((part) => made("div", {}, ...part.map((entry) => button(entry, act)))));
}

/** Fill the list of all classes. */
export function showClasses(classNames) {
  byId("classes").replaceChildren(...classNames.map((name) => made("option", { textContent: short(name, 24) })));
  byId("classes").selectedIndex = 0;
}

function button([key, text, asked], act) {
  const element = made("button", { type: "button", title: visible(text) }, made("kbd", { textContent: key }), short(text, 20));
  element.addEventListener("click", () => act(asked));
  // Keep the focus, so that the keys go on working.
  element.addEventListener("pointerdown", (event) => event.preventDefault());
  return element;
}
