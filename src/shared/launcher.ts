import { type ChildProcess, fork } from 'node:child_process';
import { FleetError } from './errors.ts';
import { LauncherReply, type LauncherRequest } from './launcher-messages.ts';
import { packagePath } from './package-root.ts';
import type { ProcessOptions, ProcessResult } from './process.ts';
import { toldError } from './told-error.ts';

interface Pending extends Pick<ProcessOptions, 'onOutput' | 'onProgress'> {
  resolve: (result: ProcessResult) => void;
  reject: (err: Error) => void;
}

const SCRIPT = packagePath('dist', 'shared', 'launcher-main.js');

/**
 * Starts programs in a small process of its own. Starting one copies the page tables of the process that does it, and
 * holds up its event loop meanwhile: some 8 ms with 200 MB in memory, 50 ms with 800 MB. A worker that holds hundreds
 * of conversations has that much, and starts several programs a turn.
 */
export class Launcher {
  readonly #script: string;
  readonly #pending = new Map<number, Pending>();
  #child: ChildProcess | undefined;
  #last = 0;

  constructor(script = SCRIPT) {
    this.#script = script;
  }

  /** The process that starts the programs, while there is one. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** As `runHere`, for programs whose input is given whole. */
  async run(options: ProcessOptions & { stdin?: string | Uint8Array | undefined }): Promise<ProcessResult> {
    const { signal, stdin, files = [] } = options;
    const child = this.#child ?? this.#start();
    this.#last += 1;
    const id = this.#last;
    const onAbort = (): void => this.#send(child, { type: 'abort', id });
    try {
      return await new Promise<ProcessResult>((resolve, reject) => {
        const { onOutput, onProgress } = options;
        this.#pending.set(id, { resolve, reject, onOutput, onProgress });
        // Somebody who waits for a program keeps this process alive.
        child.channel?.ref();
        this.#send(child, {
          type: 'run',
          id,
          argv: [...options.argv],
          cwd: options.cwd,
          env: { ...options.env },
          timeoutMs: options.timeoutMs,
          outputBytes: options.outputBytes,
          ...(stdin === undefined ? {} : { stdin }),
          ...(options.memoryBytes === undefined ? {} : { memoryBytes: options.memoryBytes }),
          files: files.map((file) => `/proc/${process.pid}/fd/${file}`),
          isHostile: options.isHostile ?? false,
          hasReport: options.hasReport ?? false,
          tellsOutput: onOutput !== undefined,
          tellsProgress: onProgress !== undefined,
        });
        if (signal?.aborted === true) onAbort();
        signal?.addEventListener('abort', onAbort, { once: true });
      });
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#pending.delete(id);
      if (this.#pending.size === 0) child.channel?.unref();
    }
  }

  /** Ends the process, and every program that it started. */
  close(): void {
    this.#child?.disconnect();
    this.#lose(this.#child, 'was told to end');
  }

  #start(): ChildProcess {
    const child = fork(this.#script, {
      // Nothing of the worker's environment: there are keys in it.
      env: {},
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // A signal to the worker's group is the worker's to answer.
      detached: true,
    });
    child.unref();
    child.channel?.unref();
    child.on('message', (message) => this.#take(LauncherReply.parse(message)));
    child.once('error', (err) => this.#lose(child, `failed: ${err.message}`));
    child.once('exit', (code, signal) => this.#lose(child, `ended with ${signal ?? code}`));
    this.#child = child;
    return child;
  }

  #send(child: ChildProcess, request: LauncherRequest): void {
    // One that is gone has told so, and whoever waited for it has been told.
    if (child.connected) child.send(request);
  }

  #take(reply: LauncherReply): void {
    const pending = this.#pending.get(reply.id);
    if (reply.type === 'output') pending?.onOutput?.(reply.stream, reply.text);
    else if (reply.type === 'progress') pending?.onProgress?.(reply.progress);
    else if (reply.type === 'ended') pending?.resolve(reply.result);
    else pending?.reject(toldError(reply));
  }

  #lose(child: ChildProcess | undefined, how: string): void {
    if (child === undefined || this.#child !== child) return;
    this.#child = undefined;
    const lost = new FleetError('INTERNAL', `the process that starts programs ${how}`, { retry: true });
    for (const { reject } of this.#pending.values()) reject(lost);
  }
}
