// A cell of the grid: an image, its label and its decision.

import { short, visible } from "./names.js";
import { badgeOf, fileName, inWords, rounded } from "./words.js";

const KINDS = new Map([["", "none"], ["keep", "keep"], ["leave-out", "leave-out"]]);
const STATES = { saved: "", saving: "saving: ", unsaved: "not saved: " };

/**
 * Show an image in a cell.
 *
 * image: from the server, undefined while loading. told: the decision, and whether it is saved.
 */
export function paintCell(cell, image, told, { isSelected, isCurrent }) {
  cell.ariaSelected = String(isSelected);
  cell.classList.toggle("current", isCurrent);
  cell.ariaBusy = String(!image);
  showThumbnail(cell, image);
  write(cell, ".label", image ? visible(image.label) : "");
  write(cell, ".suggested", image ? suggestedBy(image) : "");
  write(cell, ".prob", image?.suggested ? rounded(image.prob) : "");
  write(cell, ".name", image ? short(fileName(image.path)) : "loading…", image && visible(image.path));
  showBadge(cell.querySelector(".badge"), image && told);
}

/** Show a decision by sign and words, not only by colour. */
export function showBadge(badge, told) {
  const text = told ? STATES[told.state] + badgeOf(told.decision) : "";
  if (badge.textContent !== text) badge.textContent = text;
  badge.title = told?.decision ? inWords(told.decision) : "";
  badge.dataset.state = told?.state ?? "";
  badge.dataset.kind = KINDS.get(told?.decision) ?? "class";
}

/** Return the label of an image, and what a classifier would choose. */
export function saidOf(image) {
  const prob = image.suggested ? ` (${rounded(image.prob)})` : "";
  return [visible(image.label), suggestedBy(image) + prob].filter(Boolean).join(" ");
}

function suggestedBy({ suggested, note }) {
  return suggested ? `→ ${visible(suggested)}` : visible(note ?? "");
}

/** Show an image from the server, or say that it cannot be shown. */
export function showImage(image, gone, address) {
  if (image.getAttribute("src") === address) return;
  image.onload = image.onerror = ({ type }) => {
    gone.hidden = type === "load";
    image.hidden = type === "error";
  };
  gone.hidden = true;
  image.hidden = false;
  image.src = address;
}

function showThumbnail(cell, image) {
  const shown = cell.querySelector("img");
  if (image) return showImage(shown, cell.querySelector(".gone"), `thumbnail/${image.id}/${image.version}`);
  shown.removeAttribute("src");
  cell.querySelector(".gone").hidden = true;
}

function write(cell, selector, text, title = text) {
  const element = cell.querySelector(selector);
  if (element.textContent !== text) element.textContent = text;
  element.title = title ?? "";
}
