// Showing untrusted text: names of files and classes may be hostile.

// Joiners combine emoji, and some scripts need them.
const UNSEEN = /(?![\u200c\u200d])[\p{C}\p{Zl}\p{Zp}]/gu;
// Not plain objects, because a class may be named "constructor".
const WORDS = new Map([["", "undecided"], ["keep", "kept"], ["leave-out", "left out"]]);
const SIGNS = new Map([["", ""], ["keep", "✓ "], ["leave-out", "✕ "]]);

/** Return text with invisible characters, and those that change the writing direction, escaped. */
export function visible(text) {
  return text.replace(UNSEEN, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);
}

/** Shorten a long name to its start and end. */
export function short(name, most = 36) {
  const letters = [...visible(name)];
  if (letters.length <= most) return letters.join("");
  const numAtEnd = Math.floor(most / 2.5);
  return `${letters.slice(0, most - 1 - numAtEnd).join("")}…${letters.slice(-numAtEnd).join("")}`;
}

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

/** Turn a message from elsewhere into a sentence. */
export function sentence(text) {
  return `${visible(text.replaceAll("\n", " ")).replace(/^./u, (letter) => letter.toUpperCase()).replace(/[.?!]$/, "")}.`;
}

/** Return a number of images in words. */
export function images(count) {
  return count === 1 ? "1 image" : `${count.toLocaleString("en")} images`;
}
