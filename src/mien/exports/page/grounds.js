// Backgrounds for transparent images, by the rules of `mien.core.grounds`.

/** In order of preference. */
export const GROUNDS = { white: 255, black: 0, grey: 128 };
const LEAST_CONTRAST = 32;
const LEAST_SHARE = 0.05;
const SIDE = 128;

/** Return the backgrounds on which pixels with four channels would be nearly invisible. */
export function lostOn(pixels, width, height) {
  const [across, down] = [width, height].map((length) => Math.max(1, Math.floor(length / SIDE)));
  const found = [];
  for (let y = 0; y < height; y += down)
    for (let x = 0; x < width; x += across) found.push(pixels.subarray(4 * (y * width + x), 4 * (y * width + x) + 4));
  const alphas = found.reduce((sum, pixel) => sum + pixel[3], 0);
  if (!alphas || 1 - alphas / 255 / found.length < LEAST_SHARE) return [];
  return Object.keys(GROUNDS).filter((name) => {
    const contrasts = found.map(([red, green, blue, alpha]) => alpha * furthest([red, green, blue], GROUNDS[name]));
    return contrasts.reduce((sum, contrast) => sum + contrast, 0) / alphas < LEAST_CONTRAST;
  });
}

/** Return the background for an image that would be invisible on some: the first on which it is visible, or white. */
export function groundFor(lost) {
  return Object.keys(GROUNDS).find((name) => !lost.includes(name)) ?? "white";
}

function furthest(colours, level) {
  return Math.max(...colours.map((colour) => Math.abs(colour - level)));
}
