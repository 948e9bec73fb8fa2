import type { WorkerStanding } from '../shared/worker-registry.ts';
import { type Value, gauge } from './limit-metrics.ts';

/** The worker processes, as they said with their last heartbeat. */
export function workerLines(workers: readonly WorkerStanding[]): string[] {
  const each = (value: (worker: WorkerStanding) => number): Value[] =>
    workers.map((worker) => [{ worker: worker.id, host: worker.host }, value(worker)]);
  return [
    ...gauge('maestro_workers', 'Worker processes, by state.', [
      [{ state: 'working' }, workers.filter(({ state }) => state === 'working').length],
      [{ state: 'draining' }, workers.filter(({ state }) => state === 'draining').length],
    ]),
    ...gauge(
      'maestro_worker_conversations',
      'Conversations with a model under way, by worker.',
      each(({ conversations }) => conversations),
    ),
    ...gauge(
      'maestro_worker_max_conversations',
      'Conversations that a worker may hold at once.',
      workers.flatMap(({ id, host, maxConversations }): Value[] =>
        maxConversations === undefined ? [] : [[{ worker: id, host }, maxConversations]],
      ),
    ),
    ...gauge(
      'maestro_worker_resident_memory_bytes',
      'Memory, by worker.',
      each(({ rssBytes }) => rssBytes),
    ),
    ...gauge(
      'maestro_worker_event_loop_delay_p99_seconds',
      'How late the event loop of a worker was of late, at the 99th percentile.',
      each(({ loopDelayP99Ms }) => loopDelayP99Ms / 1000),
    ),
  ];
}
