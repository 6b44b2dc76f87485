// What the classifier is, and how far it is to be trusted, in words.

import { byId, made } from "./elements.js";
import { exact, short, visible } from "./names.js";

const LONGEST_TITLE = 48;
// An answer shows the others.
const MOST_NAMED = 20;
const KEPT_IN = { "cross-validation": "out_of_fold", "test split": "test" };
const NUMBERS = ["three", "four", "five", "six", "seven", "eight", "nine"];
const TIMES = [null, "once", "twice", ...NUMBERS.map((number) => `${number} times`)];

/** Fill in the page what depends on the model alone. */
export function showModel(model) {
  const names = model.class_names.map(short);
  const question = `${listed(names)}?`;
  const isLong = question.length > LONGEST_TITLE;
  const title = isLong ? `Which of ${names.length} classes?` : question;
  put("title", title);
  put("lead", (isLong ? `${someOf(names)}. ` : "") + summary(model));
  put("limits", `Up to ${size(model.limits.max_file_bytes)} each.`);
  put("version", `mien ${model.mien_version}, model ${model.model_sha256.slice(0, 12)}`);
  document.title = `${title} · mien`;
  showTrust(model);
}

function someOf(names) {
  const numMore = names.length - MOST_NAMED;
  return numMore > 0 ? `${names.slice(0, MOST_NAMED).join(", ")} and ${numMore} more` : listed(names);
}

/** Return a number of bytes in words. */
export function size(numBytes) {
  const mebibytes = numBytes / 1024 ** 2;
  return mebibytes < 1 ? `${Math.ceil(numBytes / 1024)} KB` : `${Number(mebibytes.toFixed(1))} MB`;
}

function summary(model) {
  const { accuracy, threshold } = model;
  const judge = judgeOf(accuracy, model.evaluations);
  const row = rowOf(judge, threshold);
  const parts = threshold > 0 ? [`Where it is less than ${exact(threshold)} sure, it says “unsure”.`] : [];
  if (row && !row.accuracy.num_images) parts.unshift("It answered none of the images that it was judged by.");
  else if (accuracy) parts.unshift(rightInWords(row, row?.accuracy ?? accuracy, judge));
  if (model.weakness) parts.push(model.weakness);
  return parts.join(" ");
}

function rightInWords(row, score, judge) {
  const doubt = score.low <= judge?.baseline.value ? ", which may be no better than guessing" : "";
  if (!row) return `Right ${often(score)}${doubt}.`;
  return `It answers about ${rounded(row.answered.value)} of the images, and then is right ${often(score)}${doubt}.`;
}

/** Say how often it is right: that nothing is wrong is said of images that were counted alone. */
function often({ value, num_images }) {
  if (value === 1) return `for all ${num_images} images that it was judged by`;
  const [tenths, hundredths] = [Math.round(10 * value), Math.min(99, Math.round(100 * value))];
  return TIMES[tenths] ? `about ${TIMES[tenths]} in ten` : `about ${hundredths} times in 100`;
}

function showTrust(model) {
  if (model.accuracy) showAccuracy(model.accuracy, judgeOf(model.accuracy, model.evaluations), model.threshold);
  else put("accuracy", "Nothing is known of how often it is right: it carries no scores.");
  byId("not-for").replaceChildren(...model.not_for.map((text) => made("li", { textContent: visible(text) })));
  const card = new DOMParser().parseFromString(model.model_card_html, "text/html");
  byId("model-card").replaceChildren(...card.body.childNodes);
  byId("model").hidden = byId("trust").hidden = false;
}

function showAccuracy(accuracy, judge, threshold) {
  const row = rowOf(judge, threshold);
  put("accuracy", row ? answeredInWords(row) : allInWords(accuracy));
  const score = row?.accuracy ?? accuracy;
  if (score.num_images) showScale(score, judge);
  const judged = accuracy.judged_by === "test split" ? "the test" : accuracy.judged_by;
  const parts = [
    `Found by ${judged}, on images from the same source as those of the training;`,
    "on others it may be right less often.",
  ];
  if (row) parts.unshift(unsureInWords(row, accuracy, threshold));
  put("how-judged", parts.join(" "));
}

function allInWords(accuracy) {
  const told = `It was right for ${rightOf(accuracy)} images that it had not seen.`;
  return `${told} Of many more like these it would be right for ${interval(accuracy)}.`;
}

function answeredInWords({ answered, accuracy }) {
  const told = `It answered ${rightOf(answered)} images that it had not seen`;
  if (!accuracy.num_images) return `${told}.`;
  const right = `${told}, and was right for ${rightOf(accuracy)}.`;
  return `${right} Of many more such answers ${interval(accuracy)} would be right.`;
}

function unsureInWords({ answered }, accuracy, threshold) {
  return (
    `Of the others it was less than ${exact(threshold)} sure. Of many more it would answer ${interval(answered)}. ` +
    `If it had to answer all, it would have been right for ${rightOf(accuracy)}.`
  );
}

function showScale({ value, low, high }, judge) {
  byId("interval").style.left = `${100 * low}%`;
  byId("interval").style.width = `${100 * (high - low)}%`;
  byId("value").style.left = `${100 * value}%`;
  const parts = ["The dot is how often it was right; the bar is the interval of 95%"];
  if (judge) {
    const { baseline, baseline_label: label } = judge;
    parts.push(`the dashed line is what always saying ${short(label)} gets, ${rounded(baseline.value)}`);
    byId("guessing").style.left = `${100 * baseline.value}%`;
  }
  byId("guessing").hidden = !judge;
  byId("scale").hidden = byId("scale-says").hidden = false;
  put("scale-says", `${parts.join("; ")}.`);
}

/** What was found at the threshold of the classifier; nothing where it left no image without an answer. */
function rowOf(judge, threshold) {
  return judge?.coverage.find((row) => row.threshold === threshold && row.answered.value < 1);
}

function rightOf({ value, num_images }) {
  return `${Math.round(value * num_images)} of ${num_images}`;
}

function interval({ low, high }) {
  return `between ${rounded(low)} and ${rounded(high)}`;
}

function judgeOf(accuracy, evaluations) {
  return evaluations?.[KEPT_IN[accuracy?.judged_by]];
}

function listed(names) {
  return names.length < 3 ? names.join(" or ") : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}

function rounded(share) {
  return `${Math.round(100 * share)}%`;
}

function put(id, text) {
  byId(id).textContent = text;
}
