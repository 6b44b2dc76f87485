// What the page says of files, decisions and numbers.

import { short, shortNames, visible } from "./names.js";

// Not plain objects, because a class may be named "constructor".
const WORDS = new Map([["", "undecided"], ["keep", "kept"], ["leave-out", "left out"]]);
const SIGNS = new Map([["", ""], ["keep", "✓ "], ["leave-out", "✕ "]]);

/** The names of the classes for buttons and chips. */
let chips = new Map();

/** Say which classes there are, before any is named. */
export function useClasses(names) {
  chips = shortNames(names.map(visible));
}

/** Return the name of a class for a button or a chip, which gets the full name as its title. */
export function chipOf(name) {
  return chips.get(visible(name)) ?? short(name);
}

/** Return a path without its folders. */
export function fileName(path) {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Return a decision in words. */
export function inWords(decision) {
  return WORDS.get(decision) ?? visible(decision);
}

/** Return a decision as shown below an image. Each kind has its own sign. */
export function badgeOf(decision) {
  return `${SIGNS.get(decision) ?? "→ "}${WORDS.get(decision) ?? chipOf(decision)}`;
}

/** Return a share in percent. */
export function rounded(share) {
  return `${Math.floor(100 * share + 1e-9)}%`;
}

/** Return a number of images in words. */
export function images(count) {
  return count === 1 ? "1 image" : `${count.toLocaleString("en")} images`;
}
