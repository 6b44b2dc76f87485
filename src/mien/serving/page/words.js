// What the page says of reasons and shares.

import { sentence } from "./names.js";

/** Turn the reason for a missing prediction into a sentence for people rather than programs. */
export function reasonInWords(text) {
  if (text === "0 bytes") return "The file is empty.";
  const [, width, height, most] = text.match(/^(\d+) x (\d+) pixels\D+ (\d+)(?: are decoded)?$/) ?? [];
  return most ? `It has ${millions(width * height)} megapixels. The limit is ${millions(most)}.` : sentence(text);
}

function millions(number) {
  return Number((number / 1e6).toPrecision(3));
}

/** Return a threshold in percent, with all digits. */
export function exact(share) {
  return `${Number((100 * share).toFixed(10))}%`;
}

/** Return a share in percent, with more digits if it would otherwise look the same as a threshold. */
export function percentBeside(share, threshold) {
  const numDigits = exact(threshold).split(".")[1]?.slice(0, -1).length ?? 0;
  if (!numDigits || percent(share) !== percent(threshold)) return percent(share);
  return `${(Math.floor(100 * share * 10 ** numDigits + 1e-9) / 10 ** numDigits).toFixed(numDigits)}%`;
}

/** Return a share in percent, rounded down, so that a share below a threshold does not look equal to it. */
export function percent(share, round = Math.floor) {
  if (share > 0 && share < 0.01) return "<1%";
  return `${round(100 * share + (round === Math.floor ? 1e-9 : -1e-9))}%`;
}
