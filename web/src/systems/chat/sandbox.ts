/** What the errors of programs mean that run here. Pure. */

const WALLS: readonly [RegExp, string][] = [
  [/^PermissionError\b|^FileNotFoundError\b|^OSError\b/, 'Programs run here without files, network, or anything else of a machine. Put what it reads into the code.'],
  [/^ModuleNotFoundError\b|^ImportError\b/, 'Programs run here with a small part of the standard library, and no packages.'],
  [/^TimeoutError\b|^MemoryError\b|^RecursionError\b/, 'Programs run here for a few seconds and with little memory. Try a smaller task.'],
];

/** Why a program that is right elsewhere fails here, or null: the error is the program's own. */
export function wallOf(error: string): string | null {
  const last = error.trimEnd().split('\n').at(-1) ?? '';
  return WALLS.find(([name]) => name.test(last))?.[1] ?? null;
}
