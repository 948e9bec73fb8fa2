import { putJson } from '../shared/blob-store.ts';
import { errorMessage } from '../shared/errors.ts';
import { seal } from '../shared/evidence/dsse.ts';
import { writeSeal } from '../shared/evidence/seal-store.ts';
import { signingKey } from '../shared/evidence/signing-key.ts';
import { statementOf } from '../shared/evidence/statement.ts';
import type { RunId } from '../shared/names.ts';
import { readLedger } from '../shared/run-ledger.ts';
import { TERMINAL_RUN } from '../shared/run-record.ts';
import type { WorkerContext } from './worker-context.ts';

/**
 * Signs what an ended run was: its records, and by their hashes all that they rest on. Safe to repeat. A run that could not
 * be sealed stays as it ended; whoever verifies it is told that nothing was signed.
 */
export async function sealRun(ctx: WorkerContext, runId: RunId): Promise<void> {
  const { store, blobs, redis, config, logger } = ctx;
  try {
    const run = await store.getRun(runId);
    if (!TERMINAL_RUN.includes(run.status)) return;
    const [plan, phases] = await Promise.all([store.getPlan(runId), store.getPhases(runId)]);
    const calls = await putJson(blobs, await readLedger({ redis, prefix: config.prefix, store }, runId));
    const statement = statementOf({ sealedAt: new Date().toISOString(), run, plan, phases, calls });
    const key = await signingKey(config.signingKey);
    await writeSeal({ redis, prefix: config.prefix, blobs }, runId, seal(Buffer.from(JSON.stringify(statement)), key));
  } catch (err) {
    logger.error({ err, runId }, `the evidence of a run was not sealed: ${errorMessage(err)}`);
  }
}
