// What the classifier is, and how far it is to be trusted, in words.

import { elementsOf } from "./markdown.js";
import { percent, short, visible } from "./names.js";

const LONGEST_TITLE = 48;
const KEPT_IN = { "cross-validation": "out_of_fold", "test split": "test" };

/** Fill in the page what depends on the model alone. */
export function showModel(model) {
  const names = model.class_names.map(short);
  const title = `${listed(names)}?`;
  put("title", title.length > LONGEST_TITLE ? `Which of ${names.length} classes?` : title);
  document.title = `${title} · mien`;
  put("lead", summary(model, names, title));
  put("limits", `Up to ${size(model.limits.max_file_bytes)} each.`);
  showAccuracy(model);
  element("not-for").replaceChildren(...model.not_for.map((text) => Object.assign(document.createElement("li"), { textContent: visible(text) })));
  element("model-card").replaceChildren(...elementsOf(model.model_card));
  put("version", `mien ${model.mien_version}, model ${model.model_sha256.slice(0, 12)}`);
  element("model").hidden = element("trust").hidden = false;
  element("url-form").hidden = !model.allows_urls;
}

/** Return a number of bytes in words. */
export function size(numBytes) {
  const mebibytes = numBytes / 1024 ** 2;
  return mebibytes < 1 ? `${Math.ceil(numBytes / 1024)} KB` : `${Number(mebibytes.toFixed(1))} MB`;
}

function summary({ accuracy, evaluations, threshold }, names, title) {
  const classes = title.length > LONGEST_TITLE ? `${listed(names)}. ` : "";
  const baseline = accuracy && judgeOf(accuracy, evaluations)?.baseline.value;
  const right = accuracy ? `Right about ${tenths(accuracy.value)} in ten${accuracy.low <= baseline ? ", which may be no better than guessing" : ""}. ` : "";
  const unsure = threshold > 0 ? `Below ${percent(threshold)} it says “unsure”. ` : "";
  return `${classes}${right}${unsure}`.trim() || "Drop pictures to see which class each belongs to.";
}

function tenths(share) {
  const words = ["no time", "once", "twice", "three times", "four times", "five times", "six times", "seven times", "eight times", "nine times"];
  return words[Math.round(10 * share)] ?? "ten times";
}

function showAccuracy({ accuracy, evaluations }) {
  if (!accuracy) return put("accuracy", "Nothing is known of how often it is right: it carries no scores.");
  const [value, low, high] = [accuracy.value, accuracy.low, accuracy.high].map((share) => Math.round(100 * share));
  put("accuracy", `It was right for ${value} of 100 pictures that it had not seen. Of more of the same kind, expect ${low} to ${high}.`);
  const judge = judgeOf(accuracy, evaluations);
  const guess = judge ? ` Always saying ${short(judge.baseline_label)} would be right for ${Math.round(100 * judge.baseline.value)} of 100.` : "";
  put("how-judged", `By ${accuracy.judged_by === "test split" ? "the test" : accuracy.judged_by}, on ${accuracy.num_images} pictures from the same source as those of the training; 95% interval.${guess} On other pictures it may be right less often.`);
  const interval = element("interval");
  interval.style.left = `${100 * accuracy.low}%`;
  interval.style.width = `${100 * (accuracy.high - accuracy.low)}%`;
  element("value").style.left = `${100 * accuracy.value}%`;
  if (judge) {
    element("guessing").style.left = `${100 * judge.baseline.value}%`;
    element("guessing").hidden = false;
  }
  element("scale").hidden = false;
}

function judgeOf(accuracy, evaluations) {
  return evaluations?.[KEPT_IN[accuracy.judged_by]];
}

function listed(names) {
  return names.length < 3 ? names.join(" or ") : `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}

function element(id) {
  return document.getElementById(id);
}

function put(id, text) {
  element(id).textContent = text;
}
