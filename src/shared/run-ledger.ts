import { type LedgerCall, parseLedger } from './call-ledger.ts';
import type { Redis } from './redis.ts';
import { runKey } from './run-keys.ts';
import type { RunStore } from './run-store.ts';

/** Every call of a run, in the order in which they ended; also of a run that has left Redis. */
export async function readLedger(
  { redis, prefix, store }: { redis: Redis; prefix: string; store: RunStore },
  runId: string,
): Promise<LedgerCall[]> {
  const calls = await redis.lrange(runKey(prefix, runId, 'calls'), 0, -1);
  return parseLedger(calls.length > 0 ? calls : ((await store.archive?.find(runId))?.calls ?? []));
}
