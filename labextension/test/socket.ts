import { type ClientFrame, PROTOCOL, type ServerFrame } from '../src/wire/types';

/** A WebSocket that a test holds in its hand. */
export class FakeSocket {
  static all: FakeSocket[] = [];

  static get last(): FakeSocket {
    return FakeSocket.all.at(-1)!;
  }

  static readonly constructible = FakeSocket as unknown as new (url: string) => WebSocket;

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as ClientFrame);
  }

  close(): void {
    this.closed = true;
  }

  /** The server says something. */
  say(frame: ServerFrame): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  hello(): this {
    this.say({ type: 'hello', version: '0', protocol: PROTOCOL, server: 's' });
    return this;
  }

  /** The line breaks. */
  break(): void {
    this.onclose?.();
  }

  /** The frames sent since the last look. */
  take(): ClientFrame[] {
    return this.sent.splice(0);
  }

  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  closed = false;
  private readonly sent: ClientFrame[] = [];
}
