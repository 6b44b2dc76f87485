// Describes the classifier, and how reliable it is.

import { byId, made } from "./elements.js";
import { visible } from "./names.js";
import { exact } from "./words.js";

const LONGEST_TITLE = 48;
// The results name any others.
const MOST_NAMED = 20;
const KEPT_IN = { "cross-validation": "out_of_fold", "test split": "test" };
const NUMBERS = ["three", "four", "five", "six", "seven", "eight", "nine"];
const TIMES = [null, "once", "twice", ...NUMBERS.map((number) => `${number} times`)];

/** Fill in the parts of the page that describe the model. */
export function showModel(model) {
  const names = model.class_names.map((name) => visible(name));
  const question = `${listed(names)}?`;
  const isLong = question.length > LONGEST_TITLE;
  const title = isLong ? `Which of ${names.length} classes?` : question;
  put("title", title);
  const listing = made("span", { className: "listing", textContent: isLong ? `${someOf(names)}. ` : "" });
  byId("lead").replaceChildren(listing, summary(model));
  put("limits", `Up to ${size(model.limits.max_file_bytes)} each.`);
  put("version", `mien ${model.mien_version}, model ${model.model_sha256.slice(0, 12)}`);
  document.title = `${title} · mien`;
  showTrust(model);
}

function someOf(names) {
  const numMore = names.length - MOST_NAMED;
  return numMore > 0 ? `${names.slice(0, MOST_NAMED).join(", ")} and ${numMore} more` : listed(names);
}

/** Return a number of bytes with its unit. */
export function size(numBytes) {
  const mebibytes = numBytes / 1024 ** 2;
  return mebibytes < 1 ? `${Math.ceil(numBytes / 1024)} KB` : `${Number(mebibytes.toFixed(1))} MB`;
}

function summary(model) {
  const { accuracy, threshold } = model;
  const judge = judgeOf(accuracy, model.evaluations);
  const row = rowOf(judge, threshold);
  const parts = threshold > 0 ? [`If it is less than ${exact(threshold)} sure, it says “unsure”.`] : [];
  if (row && !row.accuracy.num_images) parts.unshift("It was unsure about all images it was tested on.");
  else if (accuracy) parts.unshift(rightInWords(row, row?.accuracy ?? accuracy, judge));
  if (model.weakness) parts.push(model.weakness);
  return parts.join(" ");
}

function rightInWords(row, score, judge) {
  const doubt = score.low <= judge?.baseline.value ? ", which may be no better than guessing" : "";
  if (!row) return `Right ${often(score)}${doubt}.`;
  return `It is sure about ${rounded(row.answered.value)} of images, and then right ${often(score)}${doubt}.`;
}

/** Say how often it is right. “All” refers to the tested images only, never to images in general. */
function often({ value, num_images }) {
  if (value === 1) return `for all ${num_images} images it was tested on`;
  const [tenths, hundredths] = [Math.round(10 * value), Math.min(99, Math.round(100 * value))];
  return TIMES[tenths] ? `about ${TIMES[tenths]} in ten` : `about ${hundredths} times in 100`;
}

function showTrust(model) {
  if (model.accuracy) showAccuracy(model.accuracy, judgeOf(model.accuracy, model.evaluations), model.threshold);
  else put("accuracy", "Its accuracy is unknown, because the model contains no scores.");
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
  const judged = accuracy.judged_by === "test split" ? "on the test split" : `by ${accuracy.judged_by}`;
  const parts = [
    `Measured ${judged}, with images from the same source as the training images.`,
    "It may be less accurate on other images.",
  ];
  if (row) parts.unshift(unsureInWords(row, accuracy, threshold));
  put("how-judged", parts.join(" "));
}

function allInWords(accuracy) {
  const told = `It classified ${rightOf(accuracy)} unseen images correctly.`;
  return `${told} Its true accuracy on images like these is probably ${interval(accuracy)}.`;
}

function answeredInWords({ answered, accuracy }) {
  const told = `It was sure about ${rightOf(answered)} unseen images`;
  if (!accuracy.num_images) return `${told}.`;
  const right = `${told}, and got ${rightOf(accuracy)} right.`;
  return `${right} Its true accuracy when it is sure is probably ${interval(accuracy)}.`;
}

function unsureInWords({ answered }, accuracy, threshold) {
  return (
    `It was less than ${exact(threshold)} sure about the others. Of images like these, it is probably sure about ` +
    `${rounded(answered.low)} to ${rounded(answered.high)}. Without a threshold, it would have got ` +
    `${rightOf(accuracy)} right.`
  );
}

function showScale({ value, low, high }, judge) {
  byId("interval").style.left = `${100 * low}%`;
  byId("interval").style.width = `${100 * (high - low)}%`;
  byId("value").style.left = `${100 * value}%`;
  const parts = ["The dot is the accuracy; the bar is its 95% interval"];
  if (judge) {
    const { baseline, baseline_label: label } = judge;
    parts.push(`the dashed line is always guessing ${visible(label)} (${rounded(baseline.value)})`);
    byId("guessing").style.left = `${100 * baseline.value}%`;
  }
  byId("guessing").hidden = !judge;
  byId("scale").hidden = byId("scale-says").hidden = false;
  put("scale-says", `${parts.join("; ")}.`);
}

/** Return the scores at the classifier's threshold, or undefined if no image was below it. */
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
