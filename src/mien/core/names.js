// Showing untrusted text, on every page: names of files and classes may be hostile.

// Joiners combine emoji, and some scripts need them.
const UNSEEN = /(?![\u200c\u200d])[\p{C}\p{Zl}\p{Zp}]/gu;

/** Return text with invisible characters, and those that change the writing direction, escaped. */
export function visible(text) {
  return text.replace(UNSEEN, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);
}

/** Shorten a long file name to its start and end. */
export function short(name, most = 48) {
  const letters = [...visible(name)];
  if (letters.length <= most) return letters.join("");
  const numAtEnd = Math.floor(most / 2.5);
  return `${letters.slice(0, most - 1 - numAtEnd).join("")}…${letters.slice(-numAtEnd).join("")}`;
}

/** Turn a message from elsewhere into a sentence. */
export function sentence(text) {
  const line = visible(text.replaceAll("\n", " "));
  return `${line.replace(/^./u, (letter) => letter.toUpperCase()).replace(/[.?!]$/, "")}.`;
}
