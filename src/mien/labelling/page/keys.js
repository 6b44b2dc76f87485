// The keys and their actions.

const PLAIN = new Map([
  ["x", ["decide", "leave-out"]],
  ["k", ["decide", "keep"]],
  ["Backspace", ["decide", ""]],
  ["u", ["undo"]],
  ["c", ["choose"]],
  ["/", ["filter"]],
  ["?", ["help"]],
  [" ", ["enlarge"]],
  ["Escape", ["clear"]],
]);
const WITH_CONTROL = new Map([["z", ["undo"]], ["a", ["all"]]]);
const MOVES = new Set([
  "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown",
]);
const MARK_OF = "input, select, textarea";
const PRESSED = "button, summary, a";

/** Return the action of a key, such as ["decide", "keep"], or null if it has none here. */
export function askedBy(event) {
  const { key, target } = event;
  if (event.altKey || target.closest(MARK_OF)) return null;
  const letter = key.length === 1 ? key.toLowerCase() : key;
  if (event.ctrlKey || event.metaKey) return WITH_CONTROL.get(letter) ?? null;
  if (MOVES.has(key)) return ["move", key];
  // A key held down keeps moving, but decides only once.
  if (event.repeat || (key === " " && target.closest(PRESSED))) return null;
  if (/^[0-9]$/.test(key)) return ["key", key];
  return PLAIN.get(letter) ?? null;
}
