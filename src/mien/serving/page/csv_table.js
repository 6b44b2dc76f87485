// The results as a CSV table, in the format of `mien predict --csv` but with six digits of each probability.

// Spreadsheets read such cells as formulas. Some also start a cell at a semicolon, a tab or a new line.
// https://owasp.org/www-community/attacks/CSV_Injection
const FORMULA = /(?<![^;\t\r\n])(?=[=+\-@＝＋－＠'\t]|\r(?!\n))/g;

// Without this mark at its start, Excel reads a file in the system's legacy encoding.
const MARK = "\ufeff";

/** Return a table of texts as CSV, with an apostrophe before anything that looks like a formula. */
export function tableText(rows) {
  return MARK + rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** Return the table of images that have a prediction or an error. */
export function answersTable(classNames, cards) {
  const columns = ["source", "label", ...classNames.map((name) => `prob_${name}`), "out_of_distribution", "error"];
  return tableText([columns, ...cards.map((card) => answerRow(classNames, card))]);
}

function answerRow(classNames, { name, label, prediction, error }) {
  const probs = classNames.map((className) => (prediction ? prediction.probs[className].toFixed(6) : ""));
  return [name, label ?? "", ...probs, String(prediction?.out_of_distribution ?? false), error ?? ""];
}

function cell(text) {
  const marked = text.replace(FORMULA, "'");
  return /[,"\r\n]/.test(marked) ? `"${marked.replaceAll('"', '""')}"` : marked;
}
