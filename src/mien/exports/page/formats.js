// Formats: what a file is, by its first bytes; and what in it a browser would pass over.

/** Those that every browser reads, and those that some do. */
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
const DEPTH_OF_PNG = 24;

/** Return which format the content of a file has; null where it is none of these. */
export function formatOf(content) {
  const head = String.fromCharCode(...content.subarray(0, HEAD_BYTES));
  return STARTS.find(([start]) => start.test(head))?.[1] ?? null;
}

/** Say whether a PNG has more than 8 bits a channel. */
export function isDeep(content) {
  return content[DEPTH_OF_PNG] > 8;
}

/** Say whether a JPEG ends within its pixels: a browser would show the rest in grey. */
export function lacksEnd(content) {
  for (let place = content.length - 2; place > 0; place -= 1)
    if (content[place] === 0xff) {
      if (content[place + 1] === 0xd9) return false;
      if (content[place + 1] === 0xda) return true;
    }
  return true;
}
