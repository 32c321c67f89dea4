/** Files that were dropped, those in folders, too. */

/** Rejects when the browser can't read one of them. */
export async function droppedFiles(transfer: DataTransfer | null): Promise<{ files: (readonly [File, string])[]; folders: boolean }> {
  // The list is emptied as soon as the event is over, so its entries are taken before anything is awaited.
  const entries = [...(transfer?.items ?? [])].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const files: (readonly [File, string])[] = [];
  for (const entry of entries) await walk(entry, files);
  return { files, folders: entries.some((entry) => entry.isDirectory) };
}

async function walk(entry: FileSystemEntry, found: (readonly [File, string])[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push([file, entry.fullPath.replace(/^\//, '')]);
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // A reader gives some at a time, and none at the end.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const each of some) await walk(each, found);
  }
}
