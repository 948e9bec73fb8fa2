import { type ChildProcess, fork } from 'node:child_process';
import { homedir, tmpdir } from 'node:os';
import { FleetError } from '../../shared/errors.ts';
import { packagePath } from '../../shared/package-root.ts';
import type { SandboxSettings } from '../../shared/sandbox/sandbox-settings.ts';
import { toldError } from '../../shared/told-error.ts';
import type { CollectContext, Collected, Collector } from '../collector.ts';
import { type CollectMessage, CollectReply, type DeclaredIn, nameOf } from './messages.ts';

const SCRIPT = packagePath('dist', 'gates', 'separate', 'collect-main.js');
/** As many as measure at once in an ordinary worker stay for the next measurement. */
const MOST_IDLE = 2;
const HEAP_MIB = 1024;
/** How long a collector that was told to stop may take. */
const STOP_MS = 2_000;

/**
 * Runs collectors in processes of their own, one at a time in each. Collectors read hostile files: parsing a megabyte of
 * Markdown can take minutes and gigabytes. Here that holds up no conversation, ends with the collector's time, and costs
 * the process that has it when memory runs out.
 */
export class CollectorProcesses {
  readonly #sandbox: SandboxSettings;
  readonly #script: string;
  readonly #all = new Set<ChildProcess>();
  readonly #idle: ChildProcess[] = [];
  #isClosed = false;

  constructor(sandbox: SandboxSettings, script = SCRIPT) {
    this.#sandbox = sandbox;
    this.#script = script;
  }

  /** The processes that there are. */
  get pids(): number[] {
    return [...this.#all].flatMap(({ pid }) => pid ?? []);
  }

  /** The same collector, which measures in another process. */
  separate(collector: Collector, declared?: DeclaredIn): Collector {
    const { parts } = collector;
    const part = (one: Collector): Collector => this.separate(one);
    return {
      ...collector,
      ...(parts === undefined
        ? {}
        : { parts: { all: parts.all.map(part), of: async (root) => (await parts.of(root)).map(part) } }),
      collect: (context) => this.#collect(nameOf(collector), declared, context),
    };
  }

  /** Ends all of them, with whatever they started. */
  close(): void {
    this.#isClosed = true;
    // One that parses hears of nothing.
    for (const child of this.#all) if (!this.#idle.includes(child)) child.kill('SIGKILL');
    for (const child of this.#idle) leave(child);
  }

  async #collect(collector: string, declared: DeclaredIn | undefined, context: CollectContext): Promise<Collected> {
    const { sandbox: _, signal, logger, ...input } = context;
    signal.throwIfAborted();
    const child = this.#idle.pop() ?? this.#start();
    let killTimer: NodeJS.Timeout | undefined;
    const stop = (): void => {
      send(child, { type: 'abort' });
      killTimer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    };
    try {
      return await new Promise<Collected>((resolve, reject) => {
        const onExit = (code: number | null, by: NodeJS.Signals | null): void => {
          child.off('message', onMessage);
          reject(
            new FleetError('INTERNAL', `the process that measured ended (${by ?? `code ${code}`})`, { retry: true }),
          );
        };
        const onMessage = (message: unknown): void => {
          child.off('exit', onExit);
          this.#giveBack(child);
          const reply = CollectReply.safeParse(message);
          if (!reply.success) reject(reply.error);
          else if (reply.data.type === 'collected') resolve(reply.data.collected);
          else reject(toldError(reply.data));
        };
        child.once('exit', onExit);
        child.once('message', onMessage);
        child.ref();
        child.channel?.ref();
        signal.addEventListener('abort', stop, { once: true });
        const request = { collector, declared, input, sandbox: this.#sandbox, logLevel: logger.level };
        send(child, { type: 'collect', request });
      });
    } finally {
      clearTimeout(killTimer);
      signal.removeEventListener('abort', stop);
    }
  }

  #start(): ChildProcess {
    if (this.#isClosed) throw new FleetError('CANCELLED', 'measuring was cancelled');
    const child = fork(this.#script, {
      // Nothing of the worker's environment: there are keys in it.
      env: { HOME: homedir(), TMPDIR: tmpdir() },
      execArgv: [`--max-old-space-size=${HEAP_MIB}`],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // A signal to the worker's group is the worker's to answer.
      detached: true,
    });
    this.#all.add(child);
    // Whoever waits for it is told by its end.
    child.on('error', () => undefined);
    child.once('exit', () => {
      this.#all.delete(child);
      const at = this.#idle.indexOf(child);
      if (at !== -1) this.#idle.splice(at, 1);
    });
    return child;
  }

  #giveBack(child: ChildProcess): void {
    child.unref();
    child.channel?.unref();
    if (this.#isClosed || this.#idle.length >= MOST_IDLE) leave(child);
    else this.#idle.push(child);
  }
}

/** Lets it end; one that is gone already has no channel any more. */
function leave(child: ChildProcess): void {
  if (child.connected) child.disconnect();
}

function send(child: ChildProcess, message: CollectMessage): void {
  if (child.connected) child.send(message);
}
