// Text from elsewhere, as it is shown: names of files and classes are hostile.

const LONGEST = 56;
// Joiners make one emoji of several, and belong to some scripts.
const UNSEEN = /(?![\u200c\u200d])[\p{C}\p{Zl}\p{Zp}]/gu;

/** Return text with every letter that cannot be seen, or turns the direction of writing, written as an escape. */
export function visible(text) {
  return text.replace(UNSEEN, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);
}

/** Return a name for beneath an image: of a long one the start and the end. */
export function short(name) {
  const letters = [...visible(name)];
  if (letters.length <= LONGEST) return letters.join("");
  return `${letters.slice(0, LONGEST - 20).join("")}…${letters.slice(-18).join("")}`;
}

/** Return what somebody else said as a sentence. */
export function sentence(text) {
  return `${visible(text).replace(/^./u, (letter) => letter.toUpperCase()).replace(/[.?!]$/, "")}.`;
}

/** Return why there is no answer as a sentence, in the words of people rather than of programs. */
export function reasonInWords(text) {
  if (text === "0 bytes") return "The file is empty.";
  const [, width, height, most] = text.match(/^(\d+) x (\d+) pixels; at most (\d+) are decoded$/) ?? [];
  return most ? `It has ${millions(width * height)} megapixels; at most ${millions(most)} are taken.` : sentence(text);
}

function millions(number) {
  return Number((number / 1e6).toPrecision(3));
}

/** Return a threshold in percent, to the last digit. */
export function exact(share) {
  return `${Number((100 * share).toFixed(10))}%`;
}

/** Return a share in percent, with the digits of a threshold that would otherwise read the same. */
export function percentBeside(share, threshold) {
  const numDigits = exact(threshold).split(".")[1]?.slice(0, -1).length ?? 0;
  if (!numDigits || percent(share) !== percent(threshold)) return percent(share);
  return `${(Math.floor(100 * share * 10 ** numDigits + 1e-9) / 10 ** numDigits).toFixed(numDigits)}%`;
}

/** Return a share in percent, rounded down: what is below a threshold must not read as if it were not. */
export function percent(share, round = Math.floor) {
  if (share > 0 && share < 0.01) return "<1%";
  return `${round(100 * share + (round === Math.floor ? 1e-9 : -1e-9))}%`;
}
