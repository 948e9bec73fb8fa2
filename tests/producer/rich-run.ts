import type { Redis } from '../../src/shared/redis.ts';
import type { LedgerCall } from '../../src/shared/call-ledger.ts';
import { newRunId } from '../../src/shared/names.ts';
import { put } from '../../src/shared/question.ts';
import { runKey } from '../../src/shared/run-keys.ts';
import type { RunPlan } from '../../src/shared/run-record.ts';
import type { RunStore } from '../../src/shared/run-store.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import { noopPlan } from '../support/noop-handlers.ts';
import { recordRound } from './seed-run.ts';

export interface Seeding {
  store: RunStore;
  redis: Redis;
  prefix: string;
}

export const QUESTION = 'q_0123456789abcdef';
const SHAPE = {
  requirements: [],
  design: ['requirements'],
  backend: ['design'],
  frontend: ['design'],
  testing: ['backend', 'frontend'],
  release: ['testing'],
};

/** A run in which much has happened: rework, turns that tell where their time went, costs, and a question to a person. */
export async function seedRichRun({ store, redis, prefix }: Seeding): Promise<RunPlan> {
  const began = Date.now() - 60_000;
  const plan = noopPlan(
    SHAPE,
    { policy: 'backend', rework: 3, personas: ['backend_developer'], model: 'claude-sonnet' },
    { inputs: { requirement: 'A service that shortens addresses and counts who follows them.' } },
  );
  const { runId } = plan;
  await store.createRun({
    ...plan,
    runId,
    budget: { usd: 5, tokens: 2_000_000 },
    provider: 'anthropic',
    scripted: null,
  });
  await moveRun(store, runId, 'running');
  for (const phase of ['requirements', 'design', 'backend']) {
    await movePhase(store, runId, phase, 'running');
    await turnsOf({ store, redis, prefix }, plan, phase, began);
  }
  for (const phase of ['requirements', 'design']) {
    await recordRound(store, runId, phase, 0, 'passed');
    await movePhase(store, runId, phase, 'passed');
  }
  for (const round of [0, 1, 2]) {
    await store.updatePhase(runId, 'backend', (record) => ({
      next: { ...record, round },
      events: [{ type: 'gates.started', phase: 'backend', round }],
    }));
    await recordRound(store, runId, 'backend', round, round < 2 ? 'blocked' : 'passed');
  }
  await movePhase(store, runId, 'frontend', 'running');
  await ask(store, runId, { id: QUESTION, question: 'Which colour shall the button <b>have</b>?' });
  return plan;
}

/** The frontend of a run asks a person. */
export async function ask(store: RunStore, runId: RunPlan['runId'], of: { id: string; question: string }) {
  const options = ['blue', 'green'];
  const { question, event } = put({ phase: 'frontend', persona: 'frontend_developer', round: 0, ...of, options });
  await movePhase(store, runId, 'frontend', 'awaiting_approval', {
    asking: () => ({ questions: [question], events: [event] }),
  });
}

/** Ten turns of a phase: each waits half a second, asks the model for three and uses tools for one. */
async function turnsOf({ store, redis, prefix }: Seeding, { runId }: RunPlan, phase: string, began: number) {
  const usage = { calls: 1, inputTokens: 900, outputTokens: 300, cacheReadTokens: 4_000, cacheWriteTokens: 100 };
  const who = { phase, persona: 'backend_developer', kind: 'work' as const, round: 0 };
  const turns = Array.from({ length: 10 }, (_, turn) => turn + 1);
  await store.updatePhase(runId, phase, (record) => ({
    next: { ...record, usage: { ...usage, calls: 10, costUsd: 0.125 } },
    events: turns.map((turn) => ({
      type: 'persona.turn' as const,
      ...who,
      turn,
      tools: ['write_file'],
      usage: { ...usage, costUsd: 0.0125 },
      startedAt: new Date(began + turn * 5_000).toISOString(),
      waitedMs: 500,
      modelMs: 3_000,
      toolMs: 1_000,
    })),
  }));
  for (const turn of turns) {
    const call: LedgerCall = {
      workflow: 'noop',
      ...who,
      at: new Date(began + turn * 5_000).toISOString(),
      turn,
      attempt: 1,
      model: 'claude-sonnet',
      answeredBy: 'claude-sonnet',
      host: '127.0.0.1',
      requestId: newRunId(),
      outcome: 'answered',
      inputTokens: usage.inputTokens,
      outputTokens: usage.outputTokens,
      cacheReadTokens: usage.cacheReadTokens,
      cacheWriteTokens: usage.cacheWriteTokens,
      thinkingTokens: 0,
      repeatTokens: 4_000,
      repeatCachedTokens: 4_000,
      micros: 12_500,
      latencyMs: 3_000,
      simulated: false,
      replayed: false,
    };
    await redis.rpush(runKey(prefix, runId, 'calls'), JSON.stringify(call));
  }
}
