/** Several addresses that were pasted into the field for one, on their way to the import page. */
let text = '';

export function carryPasted(lines: string): void {
  text = lines;
}

export function takePasted(): string {
  const taken = text;
  text = '';
  return taken;
}
