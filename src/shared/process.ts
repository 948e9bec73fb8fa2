import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { Readable, type Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { FleetError, errorMessage } from './errors.ts';
import { emptyFile, inheritedFiles } from './inherited-files.ts';
import { watchMemory } from './memory-watch.ts';
import { type ProgressListener, ProgressTeller } from './output-progress.ts';

export type OutputListener = (stream: 'stdout' | 'stderr', text: string) => void;

export interface ProcessOptions {
  /** Program and arguments, given to the system as they are: no shell. The program is looked up on `env.PATH`. */
  argv: readonly string[];
  cwd: string;
  /** The whole environment; nothing is inherited. */
  env: Readonly<Record<string, string>>;
  timeoutMs: number;
  /** stdout and stderr are each cut after so many bytes; of the rest, which is read and dropped, the end is kept. */
  outputBytes: number;
  /** The program and all it starts may hold so much memory together; checked now and then, where the system tells. */
  memoryBytes?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Written to the program, which otherwise finds its input closed. */
  stdin?: string | Uint8Array | Readable | undefined;
  /** Open files that the program finds as its descriptors 3 and up. */
  files?: readonly number[];
  /**
   * What others left open to this process is covered, up to the last of it, so that the program finds nothing there.
   * With so many files Node may no longer tell that a program could not be started at all: only for one known to be there.
   */
  isHostile?: boolean;
  /** Whether the program finds, after `files`, one that it may write a report to, which is then part of the result. */
  hasReport?: boolean;
  /** Called with pieces of output as they come, until the cut. */
  onOutput?: OutputListener | undefined;
  /** Told now and then what the program prints, past the cut as well; what the end brings is in the result alone. */
  onProgress?: ProgressListener | undefined;
}

export interface ProcessResult {
  /** Null unless the program ended by itself. */
  exitCode: number | null;
  endedBy: 'exit' | 'signal' | 'timeout' | 'aborted' | 'memory';
  stdout: string;
  stderr: string;
  truncated: boolean;
  durationMs: number;
  /** What the program reported; only when it was given where to. */
  report?: string | undefined;
}

/** How long a program may tidy up between SIGTERM and SIGKILL. */
const TERM_GRACE_MS = 1000;
/** How long output may still arrive after the program ended, when something outside its group holds the pipe. */
const DRAIN_GRACE_MS = 500;
const REPORT_BYTES = 10_000;

interface Starter {
  run(options: ProcessOptions & { stdin?: string | Uint8Array | undefined }): Promise<ProcessResult>;
}
let starter: Starter | undefined;

/** From now on another process starts the programs of this one; undefined takes that back. One for all of a process. */
export const startProgramsBy = (launcher: Starter | undefined): void => {
  starter = launcher;
};

/**
 * Runs a program in a process group of its own, and ends the whole group with it.
 * A program that fails is a result. Throws `TOOL_UNAVAILABLE` when it cannot be started.
 */
export function runProcess(options: ProcessOptions): Promise<ProcessResult> {
  const { stdin } = options;
  // Input that is still to come stays in the process that it comes from.
  if (starter === undefined || stdin instanceof Readable) return runHere(options);
  return starter.run({ ...options, stdin });
}

/** The same, started from this very process. */
export async function runHere(options: ProcessOptions): Promise<ProcessResult> {
  const startedAt = performance.now();
  const stdout = new CappedText(options.outputBytes, (text) => options.onOutput?.('stdout', text));
  const stderr = new CappedText(options.outputBytes, (text) => options.onOutput?.('stderr', text));
  const report = new CappedText(REPORT_BYTES, () => undefined);
  const end: Ending = options.signal?.aborted
    ? { exitCode: null, endedBy: 'aborted' }
    : await runToEnd(options, { stdout, stderr, report });
  return {
    ...end,
    ...(options.hasReport === true ? { report: report.finish() } : {}),
    stdout: stdout.finish(),
    stderr: stderr.finish(),
    truncated: stdout.truncated || stderr.truncated,
    durationMs: Math.round(performance.now() - startedAt),
  };
}

type Child = ChildProcess & { stdin: Writable; stdout: Readable; stderr: Readable };
const hasPipes = (child: ChildProcess): child is Child =>
  child.stdin !== null && child.stdout !== null && child.stderr !== null;
type Ending = Pick<ProcessResult, 'exitCode' | 'endedBy'>;

interface Heard {
  stdout: CappedText;
  stderr: CappedText;
  report: CappedText;
}

async function runToEnd(options: ProcessOptions, { stdout, stderr, report }: Heard): Promise<Ending> {
  const child = start(options);
  const reporting = reportOf(options, child);
  const { signal } = options;
  return new Promise<Ending>((resolve, reject) => {
    let stoppedBy: 'timeout' | 'aborted' | 'memory' | undefined;
    let killTimer: NodeJS.Timeout | undefined;
    let drainTimer: NodeJS.Timeout | undefined;
    const stop = (why: 'timeout' | 'aborted'): void => {
      stoppedBy ??= why;
      signalGroup(child, 'SIGTERM');
      killTimer ??= setTimeout(() => signalGroup(child, 'SIGKILL'), TERM_GRACE_MS);
    };
    const onAbort = (): void => stop('aborted');
    const wallTimer = setTimeout(() => stop('timeout'), options.timeoutMs);
    const progress = options.onProgress === undefined ? undefined : new ProgressTeller(options.onProgress);
    const unwatch = watch(options, child, () => {
      stoppedBy ??= 'memory';
      signalGroup(child, 'SIGKILL');
    });
    const settle = (): void => {
      progress?.stop();
      unwatch?.();
      for (const timer of [wallTimer, killTimer, drainTimer]) clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    for (const [stream, kept] of [
      ['stdout', stdout],
      ['stderr', stderr],
    ] as const)
      child[stream].on('data', (chunk: Buffer) => {
        kept.add(chunk);
        progress?.add(stream, chunk);
      });
    reporting?.on('data', (chunk: Buffer) => report.add(chunk));
    // A program need not read its input: a broken pipe here is its choice and shows in its exit code.
    child.stdin.on('error', () => child.stdin.destroy());
    if (options.stdin instanceof Readable) options.stdin.pipe(child.stdin);
    else child.stdin.end(options.stdin ?? '');
    child.once('error', (err) => {
      settle();
      reject(startFailure(options, err));
    });
    child.once('exit', () => {
      // What the program left running in its group must not outlive it.
      signalGroup(child, 'SIGKILL');
      drainTimer = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
        reporting?.destroy();
      }, DRAIN_GRACE_MS);
    });
    child.once('close', (code, endSignal) => {
      settle();
      const endedBy = stoppedBy ?? (endSignal === null ? 'exit' : 'signal');
      resolve({ exitCode: stoppedBy === undefined ? code : null, endedBy });
    });
  });
}

const watch = ({ memoryBytes }: ProcessOptions, { pid }: Child, onOver: () => void): (() => void) | undefined =>
  memoryBytes === undefined || pid === undefined ? undefined : watchMemory(pid, memoryBytes, onOver);

function start(options: ProcessOptions): Child {
  const [program, ...args] = options.argv;
  if (program === undefined) throw new FleetError('BAD_INPUT', 'there is no program to run');
  try {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...options.env },
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe', ...filesFrom3(options)],
      windowsHide: true,
    });
    if (hasPipes(child)) return child;
    throw new Error('it has no pipes');
  } catch (err) {
    // Node refuses arguments that no program could receive, such as text with a NUL byte.
    throw new FleetError('BAD_INPUT', `${program} cannot be run: ${errorMessage(err)}`, { cause: err });
  }
}

function filesFrom3({ files = [], isHostile = false, hasReport = false }: ProcessOptions): (number | 'pipe')[] {
  const given = hasReport ? [...files, 'pipe' as const] : files;
  const last = Math.max(2 + given.length, ...(isHostile ? inheritedFiles() : []));
  return Array.from({ length: last - 2 }, (_none, index) => given[index] ?? emptyFile());
}

function reportOf({ files = [], hasReport = false }: ProcessOptions, child: Child): Readable | undefined {
  const stream = hasReport ? child.stdio[3 + files.length] : undefined;
  return stream instanceof Readable ? stream : undefined;
}

function startFailure(options: ProcessOptions, err: Error): FleetError {
  const program = options.argv[0] ?? '';
  if (!existsSync(options.cwd)) {
    return new FleetError('NOT_FOUND', `${program} cannot be run in ${options.cwd}: there is no such folder`, {
      cause: err,
    });
  }
  const code = 'code' in err ? err.code : undefined;
  if (code === 'ENOENT' || code === 'EACCES') {
    const why = code === 'ENOENT' ? 'is not installed' : 'is not executable';
    return new FleetError('TOOL_UNAVAILABLE', `${program} ${why}`, {
      remedy: `Install ${program}, or put it on PATH.`,
      cause: err,
    });
  }
  return new FleetError('INTERNAL', `${program} cannot be run: ${err.message}`, { cause: err, retry: true });
}

/** Signals every process of the child's group; a group that is already gone is fine. */
function signalGroup(child: Child, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (err) {
    const code = err instanceof Error && 'code' in err ? err.code : undefined;
    if (code !== 'ESRCH' && code !== 'EPERM') throw err;
    // A group that another user now owns cannot be signalled as a whole; its first process can.
    if (code === 'EPERM') child.kill(signal);
  }
}

/** How much of the end is kept of what was cut: an eighth of the limit, and no more than this. */
const TAIL_BYTES = 16 * 1024;

/** Text of a stream, kept up to a number of bytes, and its end. */
class CappedText {
  truncated = false;
  readonly #decoder = new StringDecoder('utf8');
  readonly #limit: number;
  readonly #listener: (text: string) => void;
  #pieces: string[] = [];
  #bytes = 0;
  #end: Buffer = Buffer.alloc(0);
  #dropped = 0;

  constructor(limit: number, listener: (text: string) => void) {
    this.#limit = limit;
    this.#listener = listener;
  }

  add(chunk: Buffer): void {
    if (this.truncated) {
      this.#keepEnd(chunk);
      return;
    }
    const room = this.#limit - this.#bytes;
    this.#bytes += Math.min(chunk.length, room);
    this.#emit(this.#decoder.write(chunk.length > room ? chunk.subarray(0, room) : chunk));
    if (chunk.length > room) {
      this.truncated = true;
      this.#emit(`\n[output cut after ${this.#limit} bytes]\n`);
      this.#keepEnd(chunk.subarray(room));
    }
  }

  finish(): string {
    if (!this.truncated) this.#emit(this.#decoder.end());
    else if (this.#end.length > 0) {
      // The cut may lie within a character.
      const end = this.#end.toString('utf8').replace(/^\uFFFD+/, '');
      this.#emit(`[${this.#dropped - this.#end.length} bytes left out; the end is:]\n${end}`);
    }
    return this.#pieces.join('');
  }

  #keepEnd(chunk: Buffer): void {
    const kept = Math.min(TAIL_BYTES, Math.floor(this.#limit / 8));
    this.#dropped += chunk.length;
    this.#end = chunk.length >= kept ? chunk.subarray(-kept) : Buffer.concat([this.#end, chunk]).subarray(-kept);
  }

  #emit(text: string): void {
    if (text === '') return;
    this.#pieces.push(text);
    this.#listener(text);
  }
}
