import { openQueues } from '../../producer/bull-board.ts';
import type { FleetQueue } from '../../producer/fleet-schemas.ts';
import { readFleet } from '../../producer/fleet-status.ts';
import { EXIT } from '../../shared/errors.ts';
import type { WorkerStanding } from '../../shared/worker-registry.ts';
import { allPersonas } from '../policies.ts';
import { inColumns } from '../columns.ts';
import { type CommandContext, withSession } from '../session.ts';
import type { Terminal } from '../terminal.ts';
import { count, oneLine } from '../text.ts';
import { elapsed } from '../words.ts';

/** `maestro workers`: which worker processes there are, how they are, and how deep the queues are. */
export function workersCommand(context: CommandContext, flags: { json?: boolean }): Promise<number> {
  const { terminal } = context;
  return withSession(context, { startRedis: false }, async ({ redis, config, store }) => {
    const personas = Object.keys(await allPersonas(context, {}));
    const queues = openQueues(redis, config.prefix, personas);
    try {
      const fleet = await readFleet({ redis, prefix: config.prefix, store, queues });
      if (flags.json === true) {
        terminal.out(JSON.stringify(fleet, null, 2));
        return EXIT.passed;
      }
      const { outColors: colors } = terminal;
      if (fleet.workers.length === 0) terminal.err('no worker is running; start one with `maestro worker`');
      else for (const line of workerTable(fleet.workers, colors)) terminal.out(line);
      const busy = fleet.queues.filter(isBusy);
      if (busy.length > 0) for (const line of ['', ...queueTable(busy, colors)]) terminal.out(line);
      const idle = fleet.queues.length - busy.length;
      if (idle > 0) terminal.err(`${count(idle, 'queue')} without jobs`);
      return EXIT.passed;
    } finally {
      await queues.close();
    }
  });
}

const MIB = 1024 ** 2;
const SLOW_LOOP_MS = 200;

function workerTable(workers: readonly WorkerStanding[], colors: Terminal['colors']): string[] {
  const columns = [
    { title: 'WORKER' },
    { title: 'STATE' },
    { title: 'SERVES' },
    { title: 'JOBS', align: 'right' },
    { title: 'TALKS', align: 'right' },
    { title: 'DONE', align: 'right' },
    { title: 'FAILED', align: 'right' },
    { title: 'CPU', align: 'right' },
    { title: 'MEMORY', align: 'right' },
    { title: 'LOOP P99', align: 'right' },
    { title: 'UP', align: 'right' },
    { title: 'VERSION' },
  ] as const;
  const rows = workers.map((worker) => [
    { text: oneLine(`${worker.host} ${worker.pid}`) },
    { text: worker.state, paint: worker.state === 'working' ? colors.green : colors.yellow },
    { text: servesText(worker) },
    { text: String(Object.values(worker.active).reduce((sum, jobs) => sum + jobs, 0)) },
    { text: talksText(worker) },
    { text: String(worker.done) },
    { text: String(worker.failed), paint: worker.failed > 0 ? colors.yellow : undefined },
    { text: `${Math.round(worker.cpu * 100)}%` },
    { text: `${Math.round(worker.rssBytes / MIB)} MiB` },
    { text: `${worker.loopDelayP99Ms} ms`, paint: worker.loopDelayP99Ms > SLOW_LOOP_MS ? colors.red : undefined },
    { text: elapsed(Date.now() - Date.parse(worker.startedAt)) },
    { text: oneLine(worker.version) },
  ]);
  return inColumns(columns, rows, colors.dim);
}

const talksText = ({ conversations, maxConversations }: WorkerStanding): string =>
  maxConversations === undefined ? String(conversations) : `${conversations}/${maxConversations}`;

function servesText({ personas, gates, concurrency }: WorkerStanding): string {
  const own = personas.length === 1 ? (personas[0] ?? '') : count(personas.length, 'persona');
  const talks = personas.length === 0 ? [] : [`${own} × ${concurrency}`];
  return oneLine([...talks, ...(gates ? ['gates'] : [])].join(', '));
}

const isBusy = ({ depth, perMinute60 }: FleetQueue): boolean =>
  perMinute60 > 0 || Object.values(depth).some((jobs) => jobs > 0);

function queueTable(queues: readonly FleetQueue[], colors: Terminal['colors']): string[] {
  const columns = [
    { title: 'QUEUE' },
    { title: 'WAITING', align: 'right' },
    { title: 'ACTIVE', align: 'right' },
    { title: 'DELAYED', align: 'right' },
    { title: 'FAILED', align: 'right' },
    { title: '/MIN (5 MIN)', align: 'right' },
    { title: '/MIN (1 H)', align: 'right' },
    { title: 'WORKERS', align: 'right' },
  ] as const;
  const rows = queues.map(({ queue, depth, workers, perMinute5, perMinute60 }) => {
    const isUnserved = workers === 0 && depth.waiting > 0;
    return [
      { text: queue },
      { text: String(depth.waiting), paint: isUnserved ? colors.red : undefined },
      { text: String(depth.active) },
      { text: String(depth.delayed) },
      { text: String(depth.failed), paint: depth.failed > 0 ? colors.yellow : undefined },
      { text: String(perMinute5) },
      { text: String(perMinute60) },
      { text: isUnserved ? 'none' : String(workers), paint: isUnserved ? colors.red : undefined },
    ];
  });
  return inColumns(columns, rows, colors.dim);
}
