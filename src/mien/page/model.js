// What the classifier is, and how far it is to be trusted, in words.

import { byId, made } from "./elements.js";
import { elementsOf } from "./markdown.js";
import { percent, short, visible } from "./names.js";

const LONGEST_TITLE = 48;
const KEPT_IN = { "cross-validation": "out_of_fold", "test split": "test" };
const NUMBERS = ["three", "four", "five", "six", "seven", "eight", "nine", "ten"];
const TIMES = ["no time", "once", "twice", ...NUMBERS.map((number) => `${number} times`)];

/** Fill in the page what depends on the model alone. */
export function showModel(model) {
  const names = model.class_names.map(short);
  const title = `${listed(names)}?`;
  const isLong = title.length > LONGEST_TITLE;
  put("title", isLong ? `Which of ${names.length} classes?` : title);
  put("lead", (isLong ? `${listed(names)}. ` : "") + summary(model));
  put("limits", `Up to ${size(model.limits.max_file_bytes)} each.`);
  put("version", `mien ${model.mien_version}, model ${model.model_sha256.slice(0, 12)}`);
  document.title = `${title} · mien`;
  showTrust(model);
  byId("url-form").hidden = !model.allows_urls;
}

/** Return a number of bytes in words. */
export function size(numBytes) {
  const mebibytes = numBytes / 1024 ** 2;
  return mebibytes < 1 ? `${Math.ceil(numBytes / 1024)} KB` : `${Number(mebibytes.toFixed(1))} MB`;
}

function summary({ accuracy, evaluations, threshold }) {
  const parts = [];
  if (accuracy) {
    const isGuessing = accuracy.low <= judgeOf(accuracy, evaluations)?.baseline.value;
    const doubt = isGuessing ? ", which may be no better than guessing" : "";
    parts.push(`Right about ${TIMES[Math.round(10 * accuracy.value)]} in ten${doubt}.`);
  }
  if (threshold > 0) parts.push(`Below ${percent(threshold)} it says “unsure”.`);
  return parts.join(" ");
}

function showTrust(model) {
  if (model.accuracy) showAccuracy(model.accuracy, judgeOf(model.accuracy, model.evaluations));
  else put("accuracy", "Nothing is known of how often it is right: it carries no scores.");
  byId("not-for").replaceChildren(...model.not_for.map((text) => made("li", { textContent: visible(text) })));
  byId("model-card").replaceChildren(...elementsOf(model.model_card));
  byId("model").hidden = byId("trust").hidden = false;
}

function showAccuracy({ value, low, high, num_images, judged_by }, judge) {
  const expected = `Of more of the same kind, expect ${hundredths(low)} to ${hundredths(high)}.`;
  put("accuracy", `It was right for ${hundredths(value)} of 100 pictures that it had not seen. ${expected}`);
  const judged = judged_by === "test split" ? "the test" : judged_by;
  const parts = [
    `By ${judged}, on ${num_images} pictures from the same source as those of the training; 95% interval.`,
    "On other pictures it may be right less often.",
  ];
  byId("interval").style.left = `${100 * low}%`;
  byId("interval").style.width = `${100 * (high - low)}%`;
  byId("value").style.left = `${100 * value}%`;
  if (judge) {
    const { baseline, baseline_label: label } = judge;
    parts.push(`Always saying ${short(label)} would be right for ${hundredths(baseline.value)} of 100.`);
    byId("guessing").style.left = `${100 * baseline.value}%`;
  }
  byId("guessing").hidden = !judge;
  byId("scale").hidden = false;
  put("how-judged", parts.join(" "));
}

function judgeOf(accuracy, evaluations) {
  return evaluations?.[KEPT_IN[accuracy.judged_by]];
}

function listed(names) {
  return names.length < 3 ? names.join(" or ") : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}

function hundredths(share) {
  return Math.round(100 * share);
}

function put(id, text) {
  byId(id).textContent = text;
}
