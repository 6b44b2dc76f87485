// Formats: what a file is, by its first bytes, and what browsers ignore in it.

/** Formats that every browser reads, and that some do. */
export const READ = ["JPEG", "PNG", "GIF", "WEBP", "BMP"];
export const SOMETIMES_READ = ["AVIF", "HEIC"];

const STARTS = [
  [/^\xff\xd8\xff/, "JPEG"],
  [/^\x89PNG\r\n\x1a\n/, "PNG"],
  [/^GIF8[79]a/, "GIF"],
  [/^RIFF[^]{4}WEBP/, "WEBP"],
  [/^BM/, "BMP"],
  [/^[^]{4}ftyp(avif|avis)/, "AVIF"],
  [/^[^]{4}ftyp(mif1|msf1)[^]{4,60}avi[fs]/, "AVIF"],
  [/^[^]{4}ftyp(hei[cxms]|hev[cxms]|mif1|msf1)/, "HEIC"],
  [/^(II[*+]\0|MM\0[*+])/, "TIFF"],
  [/^P[1-6f]\s/, "PPM"],
];
const HEAD_BYTES = 80;
const DRAWING = "a drawing (SVG), a vector drawing: render it at the size you need, and save it as JPEG or PNG";
// What texts start with. Anything else that is text is just that.
const TEXTS = [
  [/^\s*<(!doctype html|html|head|body)/i, "a web page, not an image"],
  [/^\s*<(svg|!doctype svg|\?xml[^]*<svg)/i, DRAWING],
  [/^/, "text, not an image"],
];
const TEXT_BYTES = 4096;
const DEPTH_OF_PNG = 24;
// Markers of a JPEG.
const [START, END] = [0xd8, 0xd9];

/** Return the format of a file's content, or null if it is unknown. */
export function formatOf(content) {
  const head = String.fromCharCode(...content.subarray(0, HEAD_BYTES));
  return STARTS.find(([start]) => start.test(head))?.[1] ?? null;
}

/** Return what a file of no known format is if it is a text, in the words of `mien predict`, or undefined. */
export function textKindOf(content) {
  const start = content.subarray(0, TEXT_BYTES);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(start, { stream: true });
    return text.includes("\0") ? undefined : TEXTS.find(([pattern]) => pattern.test(text))[1];
  } catch {
    return undefined;
  }
}

/** Return whether a PNG has more than 8 bits per channel. */
export function isDeep(content) {
  return content[DEPTH_OF_PNG] > 8;
}

/**
 * Return whether a JPEG is truncated. A browser would show the rest in grey. Phones may append a video with arbitrary
 * bytes, so only the markers tell where the image ends.
 */
export function lacksEnd(content) {
  for (let place = 2; place + 1 < content.length; ) {
    const marker = content[place + 1];
    if (content[place] !== 0xff || isOfPixels(marker)) place += 1;
    else if (marker === END) return false;
    else place += 2 + lengthAt(content, place + 2, marker);
  }
  return true;
}

/** Return whether the byte after 255 means pixels, padding or a restart, rather than a marker. */
function isOfPixels(next) {
  return next === 0 || next === 0xff || (next >= 0xd0 && next <= 0xd7);
}

/** Return the length stored after a marker. Two markers have none. */
function lengthAt(content, place, marker) {
  return marker === 0x01 || marker === START ? 0 : 256 * content[place] + content[place + 1];
}
