// Kinds: simple facts about an image that may differ from the training images. The same as `mien.core.kinds`.

const LUMA = [0.299, 0.587, 0.114];
const GREY = 0.03;
const BRIGHTNESSES = [0.15, 0.35, 0.65, 0.85];
const BLOCK = 4;
const BLURRED = 0.12;
const DARK_TO_BRIGHT = ["very dark", "dark", "neither dark nor bright", "bright", "very bright"];
const CLOSE_UP = 0.75;
const FACES = ["without a face", "of a face further away", "of a face close up"];
const STRIKING = ["in grey", "very dark", "very bright", "blurred", "of a face close up"];
const HARDLY = 100;
const LEAST = 50;

/** Describe an image in words: its colour, brightness and sharpness, and the largest of its `faces`. */
export function kindsOf({ width, height, data }, faces) {
  const greys = new Float32Array(width * height);
  let [strongest, weakest] = [0, 0];
  for (let place = 0; place < greys.length; place += 1) {
    const [red, green, blue] = data.subarray(3 * place, 3 * place + 3);
    greys[place] = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue;
    strongest += Math.max(red, green, blue);
    weakest += Math.min(red, green, blue);
  }
  const brightness = mean(greys) / 255;
  return [
    strongest - weakest <= GREY * strongest ? "in grey" : "in colour",
    DARK_TO_BRIGHT[BRIGHTNESSES.filter((least) => brightness >= least).length],
    sharpness(greys, width, height) < BLURRED ? "blurred" : "sharp",
    ...(faces ? [FACES[faces.length ? 1 + (Math.max(...faces[0].size) >= CLOSE_UP) : 0]] : []),
  ];
}

/** Return in words what is rare about an image among the training images, or "". */
export function rarity(kinds, counts) {
  const known = Object.entries(counts).map(([names, count]) => [names.split(", "), count]);
  const countOf = (some) =>
    known.reduce((sum, [names, count]) => sum + (some.every((kind) => names.includes(kind)) ? count : 0), 0);
  const total = countOf([]);
  if (total < LEAST) return "";
  const rare = partsOf(kinds)
    .map((some) => ({ some, count: countOf(some) }))
    .filter(({ count }) => count * HARDLY <= total)
    // What one fact says already needs no second.
    .sort((one, other) => one.some.length - other.some.length || one.count - other.count);
  if (!rare.length) return "";
  const [{ some, count }] = rare;
  const subject = `only ${count} of ${total} training images ${count === 1 ? "is" : "are"}`;
  return `${count ? subject : "none of the training images is"} ${some.join(" and ")}`;
}

function partsOf(kinds) {
  const striking = kinds.filter((kind) => STRIKING.includes(kind));
  const pairs = striking.flatMap((one, place) => striking.slice(place + 1).map((other) => [one, other]));
  return [...kinds.map((kind) => [kind]), ...pairs];
}

/** Return the share of an image's contrast within squares of a few pixels, from 0 to 1. */
function sharpness(greys, width, height) {
  const [across, down] = [Math.floor(width / BLOCK), Math.floor(height / BLOCK)];
  const blocks = new Float64Array(across * down);
  const cut = [];
  for (let y = 0; y < down * BLOCK; y += 1)
    for (let x = 0; x < across * BLOCK; x += 1) {
      const grey = greys[y * width + x];
      cut.push(grey);
      blocks[Math.floor(y / BLOCK) * across + Math.floor(x / BLOCK)] += grey / BLOCK ** 2;
    }
  const contrast = variance(cut);
  return contrast ? Math.sqrt(Math.max(0, 1 - variance(blocks) / contrast)) : 1;
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function variance(values) {
  const middle = mean(values);
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / values.length;
}
