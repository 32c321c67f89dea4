/** Short messages: shown for a moment and read out. */

export interface Message {
  id: number;
  text: string;
  kind: 'done' | 'failed';
}

class Say {
  messages = $state.raw<readonly Message[]>([]);
  #last = 0;

  done(text: string): void {
    this.#add(text, 'done', 4000);
  }

  failed(text: string): void {
    this.#add(text, 'failed', 9000);
  }

  dismiss(id: number): void {
    this.messages = this.messages.filter((message) => message.id !== id);
  }

  #add(text: string, kind: Message['kind'], lasts: number): void {
    const id = ++this.#last;
    this.messages = [...this.messages.slice(-2), { id, text, kind }];
    setTimeout(() => this.dismiss(id), lasts);
  }
}

export const say = new Say();
