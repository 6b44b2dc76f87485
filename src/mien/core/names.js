// Showing untrusted text, on every page: names of files and classes may be hostile.

// Joiners combine emoji, and some scripts need them.
const UNSEEN = /(?![\u200c\u200d])[\p{C}\p{Zl}\p{Zp}]/gu;

/** Return text with invisible characters, and those that change the writing direction, escaped. */
export function visible(text) {
  return text.replace(UNSEEN, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);
}

/** Shorten a long name to its start and end. Names of classes are only shortened by `shortNames`. */
export function short(name, most = 48) {
  const letters = [...visible(name)];
  if (letters.length <= most) return letters.join("");
  const numAtEnd = Math.floor(most / 2.5);
  return `${letters.slice(0, most - 1 - numAtEnd).join("")}…${letters.slice(-numAtEnd).join("")}`;
}

/** Return names for buttons and chips, by full name. Long ones are shortened, but only until two would look the same. */
export function shortNames(names, most = 18) {
  const told = names.map((name) => short(name, most));
  const isAlone = (text) => told.indexOf(text) === told.lastIndexOf(text);
  const unclear = names.filter((name, place) => told[place] !== visible(name) && !isAlone(told[place]));
  const longer = unclear.length ? shortNames(unclear, most + 8) : new Map();
  return new Map(names.map((name, place) => [name, longer.get(name) ?? told[place]]));
}

/** Turn a message from elsewhere into a sentence. */
export function sentence(text) {
  const line = visible(text.replaceAll("\n", " "));
  return `${line.replace(/^./u, (letter) => letter.toUpperCase()).replace(/[.?!]$/, "")}.`;
}
