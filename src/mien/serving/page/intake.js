// Files and folders dropped on the page.

/** Return the dropped files, and all files in dropped folders and subfolders that are images by their names. */
export async function filesOf(transfer) {
  // Entries are only available during the event, so get all of them first.
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.());
  const files = [...transfer.files];
  if (!entries.some((entry) => entry?.isDirectory)) return files.map((file) => ({ file, name: file.name }));
  const found = await Promise.all(entries.filter(Boolean).map((entry) => filesBelow(entry, "")));
  return found.flat();
}

async function filesBelow(entry, folder) {
  const name = `${folder}${entry.name}`;
  if (entry.isFile) {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    return file && (!folder || file.type.startsWith("image/")) ? [{ file, name }] : [];
  }
  const inside = (await entriesIn(entry)).sort((one, other) => (one.name < other.name ? -1 : 1));
  return (await Promise.all(inside.map((child) => filesBelow(child, `${name}/`)))).flat();
}

async function entriesIn(folder) {
  const reader = folder.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) return found;
    found.push(...some);
  }
}
