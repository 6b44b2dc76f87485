// Text from elsewhere, as it is shown: names of files and classes are hostile.

const LONGEST = 56;
// Joiners make one emoji of several, and belong to some scripts.
const UNSEEN = /(?![\u200c\u200d])[\p{C}\p{Zl}\p{Zp}]/gu;

/** Return text with every letter that cannot be seen, or turns the direction of writing, written as an escape. */
export function visible(text) {
  return text.replace(UNSEEN, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);
}

/** Return a name for beneath a picture: of a long one the start and the end. */
export function short(name) {
  const letters = [...visible(name)];
  if (letters.length <= LONGEST) return letters.join("");
  return `${letters.slice(0, LONGEST - 20).join("")}…${letters.slice(-18).join("")}`;
}

/** Return what somebody else said as a sentence. */
export function sentence(text) {
  return `${visible(text).replace(/^./u, (letter) => letter.toUpperCase()).replace(/[.?!]$/, "")}.`;
}

/** Return a share in percent, rounded down: what is below a threshold must not read as if it were not. */
export function percent(share, round = Math.floor) {
  if (share > 0 && share < 0.01) return "<1%";
  return `${round(100 * share + (round === Math.floor ? 1e-9 : -1e-9))}%`;
}
