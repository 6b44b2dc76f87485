// A cell of the grid: an image, its label and its decision.

import { short, visible } from "./names.js";
import { badgeOf, fileName } from "./words.js";

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
  cell.querySelector(".name").title = image ? visible(image.path) : "";
  write(cell, ".name", image ? short(fileName(image.path)) : "loading…");
  write(cell, ".says", image ? saidOf(image, 200, "\n") : "");
  cell.querySelector(".says").title = image ? saidOf(image) : "";
  showBadge(cell.querySelector(".badge"), image && told);
}

/** Show a decision by sign and words, not only by colour. */
export function showBadge(badge, told) {
  const text = told ? STATES[told.state] + badgeOf(told.decision) : "";
  if (badge.textContent !== text) badge.textContent = text;
  badge.dataset.state = told?.state ?? "";
  badge.dataset.kind = KINDS.get(told?.decision) ?? "class";
}

/** Return the label and the note of an image, each shortened to `most` characters. */
export function saidOf({ label, note }, most = 200, between = " · ") {
  return [label, note].filter(Boolean).map((text) => short(text, most)).join(between);
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

function write(cell, selector, text) {
  const element = cell.querySelector(selector);
  if (element.textContent !== text) element.textContent = text;
}
