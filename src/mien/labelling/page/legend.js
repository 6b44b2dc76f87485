// The legend: which key gives which class, as buttons that do the same.

import { byId, made } from "./elements.js";
import { short, visible } from "./names.js";

const DIGITS = [..."123456789"];
const OTHERS = [
  ["k", "keep", ["decide", "keep"]],
  ["x", "leave out", ["decide", "leave-out"]],
  ["⌫", "take back", ["decide", ""]],
];

/** Return the key of each class, "" for none: a class that is called by a digit has that, the others the next free. */
export function keysOf(classNames) {
  const own = new Set(classNames.filter((name) => /^[0-9]$/.test(name)));
  const free = DIGITS.filter((digit) => !own.has(digit));
  return classNames.map((name) => (own.has(name) ? name : (free.shift() ?? "")));
}

/** Put the buttons into an element. act: Called with what a button asks for, as a key does. */
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
  // The keys go on working where they did.
  element.addEventListener("pointerdown", (event) => event.preventDefault());
  return element;
}
