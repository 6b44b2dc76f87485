// The legend: which key gives which class, as buttons that do the same.

import { byId, made } from "./elements.js";
import { short, visible } from "./names.js";

const MOST_KEYS = 9;
const OTHERS = [
  ["k", "keep", ["decide", "keep"]],
  ["x", "leave out", ["decide", "leave-out"]],
  ["0", "take back", ["decide", ""]],
];

/** Put the buttons into an element. act: Called with what a button asks for, as a key does. */
export function showLegend(element, classNames, act, { enlarges }) {
  const numbered = classNames.slice(0, MOST_KEYS).map((name, place) => [String(place + 1), name, ["class", place]]);
  const more = classNames.length > MOST_KEYS ? [["c", `all ${classNames.length} classes …`, ["choose"]]] : [];
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
