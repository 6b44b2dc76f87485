// The answers as a CSV table, written as `mien predict --csv` does.

// A spreadsheet takes a cell that begins so for a formula; some begin a cell at a semicolon, a tab or a new line too.
// https://owasp.org/www-community/attacks/CSV_Injection
const FORMULA = /(?<![^;\t\r\n])(?=[=+\-@＝＋－＠'\t]|\r(?!\n))/g;

// Excel takes a file without this mark at its start for one in the system's old encoding.
const MARK = "\ufeff";

/** Return a whole table of texts as CSV; what a spreadsheet would take for a formula gets an apostrophe. */
export function tableText(rows) {
  return MARK + rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** Return the table of images that have an answer, or a reason why not. */
export function answersTable(classNames, cards) {
  const columns = ["source", "label", ...classNames.map((name) => `prob_${name}`), "out_of_distribution", "error"];
  return tableText([columns, ...cards.map((card) => answerRow(classNames, card))]);
}

function answerRow(classNames, { name, prediction, error }) {
  const probs = classNames.map((className) => (prediction ? prediction.probs[className].toFixed(6) : ""));
  return [name, prediction?.label ?? "", ...probs, prediction?.out_of_distribution ? "yes" : "", error ?? ""];
}

function cell(text) {
  const marked = text.replace(FORMULA, "'");
  return /[,"\r\n]/.test(marked) ? `"${marked.replaceAll('"', '""')}"` : marked;
}
