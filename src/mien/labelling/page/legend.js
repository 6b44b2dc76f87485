// The legend: buttons for the classes and decisions, with their keys.

import { byId, made } from "./elements.js";
import { visible } from "./names.js";
import { chipOf } from "./words.js";

const DIGITS = [..."123456789"];
// Beyond these, only classes with a key have a button.
const MOST_BUTTONS = 30;
const OTHERS = [
  ["k", "Keep", ["decide", "keep"]],
  ["x", "Leave out", ["decide", "leave-out"]],
  ["⌫", "Clear", ["decide", ""]],
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
  const others = enlarges ? [...OTHERS, ["Space", "Enlarge", ["enlarge"]]] : OTHERS;
  const places = [...classNames.keys()].filter((place) => keys[place] || place < MOST_BUTTONS);
  const shown = places.map((place) => classButton(keys[place], classNames[place], () => act(["class", place])));
  if (keys.includes("")) shown.push(button("c", `All ${classNames.length} classes …`, () => act(["choose"])));
  const buttons = others.map(([key, text, asked]) => button(key, text, () => act(asked)));
  element.replaceChildren(made("div", {}, ...buttons), made("div", { className: "classes" }, ...shown));
}

/** Mark the class that is suggested for an image. Where the classes are in one row, it comes first. */
export function showSuggested(element, suggested = "") {
  for (const button of element.querySelectorAll("[data-name]"))
    button.classList.toggle("likely", button.dataset.name === visible(suggested));
}

/** Fill the list of all classes. */
export function showClasses(classNames) {
  byId("classes").replaceChildren(...classNames.map((name) => made("option", { textContent: visible(name) })));
  byId("classes").selectedIndex = 0;
}

function classButton(key, name, press) {
  const element = button(key, chipOf(name), press);
  element.title = element.dataset.name = visible(name);
  element.classList.toggle("keyless", !key);
  return element;
}

function button(key, text, press) {
  const element = made("button", { type: "button" }, made("kbd", { textContent: key }), text);
  element.addEventListener("click", press);
  // Keep the focus, so that the keys go on working.
  element.addEventListener("pointerdown", (event) => event.preventDefault());
  return element;
}
