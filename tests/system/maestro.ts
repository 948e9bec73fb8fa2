import { type ChildProcess, spawn } from 'node:child_process';
import { readFile, readdir, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import { packagePath } from '../../src/shared/package-root.ts';
import { tempFolder } from '../support/temp-folder.ts';
import type { TestRedis } from '../support/test-redis.ts';

export interface Ended {
  /** The exit code, or the name of the signal that ended it. */
  exit: number | NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  pid: number;
  child: ChildProcess;
  ended: Promise<Ended>;
  /** Resolves when a line of stderr matches; rejects when the command ends without one. */
  says(pattern: RegExp): Promise<RegExpExecArray>;
}

/** An environment without keys, Redis or settings of the one who runs the tests. */
export function cleanEnv(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(ANTHROPIC_|MAESTRO_|VITEST|NODE_|REDIS_URL$|PORT$|CI$)/.test(name),
  );
  return { ...Object.fromEntries(own), ...more };
}

/** Starts the built command as a process of its own group; what still runs when the test ends is killed. */
export function start(args: readonly string[], env: NodeJS.ProcessEnv, cwd: string): Running {
  const child = spawn(process.execPath, [packagePath('bin', 'maestro'), ...args], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code, signal) => resolve({ exit: code ?? signal, stdout, stderr }));
  });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const says = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = pattern.exec(stderr);
        if (found !== null) resolve(found);
      };
      child.stderr.on('data', look);
      look();
      void ended.then(() => reject(new Error(`ended without saying ${pattern.source}: ${stderr}`)));
    });
  return { pid: child.pid ?? 0, child, ended, says };
}

/** Runs the built command to its end. */
export const run = (args: readonly string[], env: NodeJS.ProcessEnv, cwd: string): Promise<Ended> =>
  start(args, env, cwd).ended;

/** The one JSON document on stdout of a command that ended with this code. */
export function jsonOf(ended: Ended, exit: number): unknown {
  if (ended.exit !== exit) throw new Error(`ended with ${ended.exit}, not ${exit}: ${ended.stderr}`);
  return JSON.parse(ended.stdout);
}

export interface Place {
  home: string;
  env: NodeJS.ProcessEnv;
}

/** A home folder of its own, the Redis of the test run with a prefix of its own, and one blob store for all of the test. */
export async function place(redis: TestRedis, blobs?: string): Promise<Place> {
  const home = await tempFolder();
  const env = cleanEnv({
    REDIS_URL: redis.url,
    MAESTRO_PREFIX: redis.prefix,
    MAESTRO_HOME: home,
    MAESTRO_BLOBS: blobs ?? join(home, 'blobs'),
  });
  return { home, env };
}

/** The first phase of the shipped workflow alone: it is over in seconds, and its gates are all real. */
export async function firstPhaseOnly(): Promise<string> {
  const file = join(await tempFolder(), 'first-phase.yaml');
  await writeFile(
    file,
    `apiVersion: maestro/v1
name: url-shortener
inputs: { requirement: { type: string, minLength: 10 } }
phases:
  requirements: { persona: requirement_analyst }
`,
  );
  return file;
}

export const REQUIREMENT = 'requirement=A team wants a service that shortens links.';

const Gates = z.looseObject({
  evaluated: z.number(),
  passed: z.number(),
  errors: z.number(),
  reworkRounds: z.number(),
});
export const RunJson = z.looseObject({
  runId: z.string(),
  status: z.string(),
  simulated: z.boolean(),
  repository: z.string().nullable(),
  commit: z.string().nullable(),
  report: z.string(),
  gates: Gates,
  phases: z.array(z.looseObject({ phase: z.string(), status: z.string(), rounds: z.array(z.looseObject({})) })),
});

export interface ProcessInfo {
  pid: number;
  parent: number;
  /** When it began: pids are used again. */
  began: string;
  text: string;
}

/** Every process that can be seen, with its command line and work folder. */
export async function processes(): Promise<ProcessInfo[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const infos = await Promise.all(
    pids.map(async (pid): Promise<ProcessInfo[]> => {
      try {
        const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        // A process that has ended and was not yet reaped does nothing any more.
        if (fields[0] === 'Z') return [];
        const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ');
        const folder = await readlink(`/proc/${pid}/cwd`).catch(() => '');
        return [{ pid, parent: Number(fields[1]), began: fields[19] ?? '', text: `${command} (in ${folder})` }];
      } catch {
        return [];
      }
    }),
  );
  return infos.flat();
}

/** A process and all that came from it. */
export function familyOf(pid: number, all: readonly ProcessInfo[]): ProcessInfo[] {
  const children = all.filter((info) => info.parent === pid);
  return [...all.filter((info) => info.pid === pid), ...children.flatMap((child) => familyOf(child.pid, all))].filter(
    (info, index, list) => list.findIndex((other) => other.pid === info.pid) === index,
  );
}

/** What is left of a family, and of everything that works below a folder. */
export async function leftOver(family: readonly ProcessInfo[], home: string): Promise<string[]> {
  return (await processes())
    .filter((now) => family.some((was) => was.pid === now.pid && was.began === now.began) || now.text.includes(home))
    .map((now) => `${now.pid} ${now.text}`);
}
