// Markdown as model cards have it -> elements of the page. What it does not know stays text; nothing becomes markup.

import { made } from "./elements.js";

// The titles of the page itself are of the first two levels.
const LEVELS_BELOW = 2;
const KINDS = [
  [/^#{1,3} /, heading],
  [/^```/, code],
  [/^\|/, table],
  [/^- /, list],
  [/^/, paragraph],
];

/** Return the elements that a text comes to. */
export function elementsOf(markdown) {
  const lines = markdown.split("\n");
  const found = [];
  while (lines.length) {
    if (!lines[0].trim()) lines.shift();
    else found.push(KINDS.find(([start]) => start.test(lines[0]))[1](lines));
  }
  return found;
}

function heading(lines) {
  const [, marks, text] = lines.shift().match(/^(#+) (.*)/);
  return filled(`h${marks.length + LEVELS_BELOW}`, text);
}

function code(lines) {
  lines.shift();
  const end = lines.findIndex((line) => line.startsWith("```"));
  const inside = lines.splice(0, end < 0 ? lines.length : end);
  lines.shift();
  const block = made("pre", { tabIndex: 0 });
  block.append(made("code", { textContent: inside.join("\n") }));
  return block;
}

function table(lines) {
  const rows = taken(lines, /^\|/).map((line) => line.replace(/^\||\|\s*$/g, "").split("|").map((cell) => cell.trim()));
  const found = made("table");
  rows.filter((_, place) => place !== 1).forEach((cells, place) => {
    const row = found.insertRow();
    cells.forEach((text, column) => {
      const cell = filled(place && column ? "td" : "th", text);
      if (cell.tagName === "TH") cell.scope = place ? "row" : "col";
      row.append(cell);
    });
  });
  const frame = made("div", { className: "scroll", tabIndex: 0 });
  frame.append(found);
  return frame;
}

function list(lines) {
  const found = made("ul");
  found.append(...taken(lines, /^- /).map((line) => filled("li", line.slice(2))));
  return found;
}

function paragraph(lines) {
  const text = [lines.shift(), ...taken(lines, /^(?!#{1,3} |```|\||- )\s*\S/)];
  return filled("p", text.map((line) => line.replace(/\\$/, "\n")).join(" "));
}

function taken(lines, pattern) {
  const end = lines.findIndex((line) => !pattern.test(line));
  return lines.splice(0, end < 0 ? lines.length : end);
}

function filled(tag, text) {
  const element = made(tag);
  // Every second part stood between backticks.
  text.split("`").forEach((part, place) => {
    const plain = part.replace(/&#(\d{1,6});/g, (_, number) => String.fromCodePoint(Math.min(number, 0x10ffff)));
    element.append(place % 2 ? made("code", { textContent: plain }) : plain);
  });
  return element;
}
