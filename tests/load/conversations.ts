import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readConfig } from '../../src/shared/config.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { findRedis } from '../../src/shared/redis-server.ts';
import { type LoadReport, loadConversations, mib } from './load.ts';

/**
 * `npm run load:conversations -- --conversations 500`: so many conversations at once in one worker process, against the
 * stand-in with answers that take two seconds. Reports memory, processor time, how late the event loop was, how
 * much of that was the worker's own work and not the machine's, and how fast it went; ends with 1 when a conversation did not end well. `--no-command` leaves the sandbox out, `--kilobytes N`
 * makes each conversation so large, `--cpu-prof DIR` profiles the worker, `--json` prints one document.
 */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      conversations: { type: 'string', default: '500' },
      delay: { type: 'string', default: '2000' },
      minutes: { type: 'string', default: '20' },
      kilobytes: { type: 'string', default: '1' },
      'no-command': { type: 'boolean', default: false },
      'cpu-prof': { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const home = await mkdtemp(join(tmpdir(), 'maestro-load-'));
  const { cache } = readConfig({ XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] }, home);
  const redis = await findRedis({
    config: { redisUrl: undefined, home, cache },
    logger: silentLogger(),
    start: 'if-needed',
  });
  try {
    const line = `${'x'.repeat(63)}\n`;
    const report = await loadConversations({
      conversations: Number(values.conversations),
      delayMs: Number(values.delay),
      redisUrl: redis.url,
      prefix: '{load}',
      home,
      ...(values['no-command'] ? {} : { command: 'node --version && ls -R . && cat docs/notes.md | wc -c' }),
      text: line.repeat(16 * Number(values.kilobytes)),
      limitMs: Number(values.minutes) * 60_000,
      env: withoutKeys(process.env),
      nodeArgs: values['cpu-prof'] === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', values['cpu-prof']],
      say: (text) => void process.stderr.write(`${text}\n`),
    });
    process.stdout.write(values.json ? `${JSON.stringify(summaryOf(report), null, 2)}\n` : describe(report));
    return summaryOf(report).failures === 0 ? 0 : 1;
  } finally {
    await redis.stop();
    await rm(home, { recursive: true, force: true });
  }
}

const withoutKeys = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !/^(ANTHROPIC_|MAESTRO_|REDIS_URL$)/.test(name)));

function summaryOf({ talks, seconds, samples, loopDelay, loopBusy, calls, exit }: LoadReport) {
  const good = talks.filter((talk) => talk.status === 'passed' || talk.status === 'passed_with_warnings');
  const [first, last] = [samples[0], samples.at(-1)];
  const cpu = (last?.cpuSeconds ?? 0) - (first?.cpuSeconds ?? 0);
  const gaps = talks.map((talk) => talk.longestGapMs).toSorted((a, b) => a - b);
  return {
    conversations: talks.length,
    failures: talks.length - good.length + (exit === 0 ? 0 : 1),
    faults: talks.reduce((sum, talk) => sum + talk.faults, 0),
    seconds: Math.round(seconds * 10) / 10,
    turnsPerSecond: Math.round((calls / seconds) * 10) / 10,
    atOnce: Math.max(...samples.map((sample) => sample.conversations)),
    rssMiB: {
      start: mib(first?.rssBytes ?? 0),
      peak: mib(Math.max(...samples.map((sample) => sample.rssBytes))),
      end: mib(last?.rssBytes ?? 0),
    },
    cpuSeconds: Math.round(cpu * 10) / 10,
    cpuShare: Math.round((cpu / seconds) * 100) / 100,
    loopDelayMs: {
      p50: Math.round(loopDelay.p50 * 1000),
      p99: Math.round(loopDelay.p99 * 1000),
      max: Math.round(loopDelay.max * 1000),
    },
    loopBusyMs: {
      p99: Math.round(loopBusy.p99 * 1000),
      max: Math.round(loopBusy.max * 1000),
      held: Math.round(loopBusy.held * 1000),
    },
    betweenTurnsMs: { median: gaps[Math.floor(gaps.length / 2)], longest: gaps.at(-1) },
    workerExit: exit,
  };
}

function describe(report: LoadReport): string {
  const all = summaryOf(report);
  return [
    `${all.conversations} conversations, ${all.atOnce} at once in one process: ${all.failures} failures, ${all.faults} faults`,
    `  ${all.seconds} s, ${all.turnsPerSecond} turns a second`,
    `  memory ${all.rssMiB.start} MiB at the start, ${all.rssMiB.peak} at most, ${all.rssMiB.end} at the end`,
    `  processor ${all.cpuSeconds} s, ${all.cpuShare} of a core (of the process itself, without git and the sandbox)`,
    `  event loop late by ${all.loopDelayMs.p50} ms (p50), ${all.loopDelayMs.p99} ms (p99), ${all.loopDelayMs.max} ms at most`,
    `  its own work held the event loop for ${all.loopBusyMs.p99} ms of processor time (p99), ${all.loopBusyMs.max} ms at most; ${all.loopBusyMs.held} ms in stretches of more than 50 ms`,
    `  longest time between two turns of a conversation: median ${all.betweenTurnsMs.median} ms, at most ${all.betweenTurnsMs.longest} ms`,
    `  the worker ended with ${all.workerExit}`,
    '',
  ].join('\n');
}

process.exitCode = await main();
