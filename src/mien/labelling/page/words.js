// What the page says of files, decisions and numbers.

import { short } from "./names.js";

// Not plain objects, because a class may be named "constructor".
const WORDS = new Map([["", "undecided"], ["keep", "kept"], ["leave-out", "left out"]]);
const SIGNS = new Map([["", ""], ["keep", "✓ "], ["leave-out", "✕ "]]);

/** Return a path without its folders. */
export function fileName(path) {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Return a decision in words. */
export function inWords(decision, most = 24) {
  return WORDS.get(decision) ?? short(decision, most);
}

/** Return a decision as shown below an image. Each kind has its own sign. */
export function badgeOf(decision) {
  return `${SIGNS.get(decision) ?? "→ "}${inWords(decision, 16)}`;
}

/** Return a number of images in words. */
export function images(count) {
  return count === 1 ? "1 image" : `${count.toLocaleString("en")} images`;
}
