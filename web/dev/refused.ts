/** What the contract of each system needs: a refusal, and the body of a request. */
import type { IncomingMessage } from 'node:http';

export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly problemCode: string,
    message: string,
    readonly fields?: Record<string, string>,
  ) {
    super(message);
  }
}

export async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
