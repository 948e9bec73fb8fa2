import { PassThrough } from 'node:stream';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { type JSONRPCMessage, JSONRPCMessageSchema } from '@modelcontextprotocol/sdk/types.js';
import { errorMessage } from '../../../shared/errors.ts';
import type { Sandbox, SandboxCommand } from '../../../shared/sandbox/sandbox.ts';

/** Of all that a server says in one conversation. */
const MAX_BYTES = 16 * 1024 ** 2;
const MAX_LINE = 4 * 1024 ** 2;
/** Each costs this process time; what is no message costs the most. */
const MAX_MESSAGES = 20_000;
const MAX_NONSENSE = 100;
const KEPT_COMPLAINTS = 2_000;
/** It lives as long as the conversation, which ends it: what is for one command would end it in the middle. */
const CPU_SECONDS = 3_600;
const LIMITS = { wallMs: 24 * 3_600_000, cpuSeconds: CPU_SECONDS, outputBytes: 2 * MAX_BYTES };
const MAY_USE = `it may use ${CPU_SECONDS} s of CPU time, and the memory of a command`;

/** Talks with an MCP server that runs in the sandbox, over its standard input and output: one JSON message a line. */
export class SandboxTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: Transport['onmessage'];
  readonly #sandbox: Sandbox;
  readonly #command: Pick<SandboxCommand, 'argv' | 'mounts' | 'cwd' | 'env' | 'egress'>;
  readonly #input = new PassThrough();
  readonly #stop = new AbortController();
  #ended: Promise<void> = Promise.resolve();
  #line = '';
  #bytes = 0;
  #messages = 0;
  #nonsense = 0;
  #complaints = '';
  #why = '';

  constructor(sandbox: Sandbox, command: Pick<SandboxCommand, 'argv' | 'mounts' | 'cwd' | 'env' | 'egress'>) {
    this.#sandbox = sandbox;
    this.#command = command;
  }

  /** Why it is gone, and the last that it said of it. */
  get why(): string {
    return [this.#why, this.#complaints.trim()].filter(Boolean).join(': ');
  }

  start(): Promise<void> {
    this.#ended = this.#live();
    return Promise.resolve();
  }

  async #live(): Promise<void> {
    try {
      const {
        exitCode,
        endedBy,
        refusals = [],
      } = await this.#sandbox.run({
        ...this.#command,
        stdin: this.#input,
        signal: this.#stop.signal,
        limits: LIMITS,
        onOutput: (stream, text) => (stream === 'stdout' ? this.#hear(text) : this.#complain(text)),
      });
      const refused = refusals.length === 0 ? '' : ` (the network refused: ${refusals.join('; ')})`;
      this.#why ||=
        (endedBy === 'exit' ? `it ended with exit code ${exitCode}` : `it was ended (${endedBy}; ${MAY_USE})`) +
        refused;
    } catch (err) {
      this.#why ||= errorMessage(err);
    }
    this.onclose?.();
  }

  send(message: JSONRPCMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#why !== '') reject(new Error(this.why));
      else this.#input.write(`${JSON.stringify(message)}\n`, (err) => (err ? reject(err) : resolve()));
    });
  }

  async close(): Promise<void> {
    this.#input.end();
    this.#stop.abort();
    await this.#ended;
  }

  #complain(text: string): void {
    this.#complaints = (this.#complaints + text).slice(-KEPT_COMPLAINTS);
  }

  #hear(text: string): void {
    this.#bytes += Buffer.byteLength(text);
    // Only what is new is looked through: a long line that comes in small pieces stays cheap.
    const lines = text.split('\n');
    lines[0] = this.#line + (lines[0] ?? '');
    this.#line = lines[0];
    if (this.#bytes > MAX_BYTES || this.#line.length > MAX_LINE) {
      this.#end(`it said more than is listened to (${MAX_BYTES} bytes, ${MAX_LINE} in a line)`);
      return;
    }
    this.#line = lines.pop() ?? '';
    for (const line of lines) {
      if (this.#stop.signal.aborted) return;
      if (line.trim() !== '') this.#take(line);
    }
  }

  #end(why: string): void {
    this.#why ||= why;
    this.#stop.abort();
  }

  #take(line: string): void {
    this.#messages += 1;
    if (this.#messages > MAX_MESSAGES) this.#end(`it sent more than ${MAX_MESSAGES} messages`);
    try {
      this.onmessage?.(JSONRPCMessageSchema.parse(JSON.parse(line)));
    } catch (err) {
      // A server that prints a few other things than messages is heard all the same.
      this.#nonsense += 1;
      if (this.#nonsense > MAX_NONSENSE) this.#end('what it prints are no messages');
      this.onerror?.(new Error(`it said what is no message: ${errorMessage(err)}`));
    }
  }
}
