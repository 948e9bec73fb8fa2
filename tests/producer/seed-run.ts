import { BlobRef, type RunEvent, type RunPlan } from '../../src/shared/run-record.ts';
import { type RunId, newRunId } from '../../src/shared/names.ts';
import type { RunStore } from '../../src/shared/run-store.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import type { PhaseVerdict } from '../../src/shared/verdict.ts';

export const NO_BLOB = BlobRef.parse('0'.repeat(64));

/** Of a plan whose answers come from a recording of a real model. */
export const REPLAY = {
  provider: 'replay',
  scripted: null,
  cassette: { ref: NO_BLOB, provider: 'anthropic', simulated: false },
} as const;

/** A plan of a chain of phases. */
export function planOf(phases: readonly string[], extra: Partial<RunPlan> = {}): RunPlan {
  return {
    schemaVersion: 1,
    runId: newRunId(),
    workflow: 'diamond',
    workflowDigest: 'sha256:x',
    definitions: NO_BLOB,
    inputs: { requirement: '<script>alert(1)</script> shorten' },
    provider: 'scripted',
    budget: {},
    scripted: { scenario: 'main', approvals: true },
    phases: phases.map((name, index) => ({
      name,
      needs: phases.slice(Math.max(0, index - 1), index),
      personas: ['coder'],
      policy: 'backend',
      policyFallback: false,
      approvalRole: null,
      approvalRoles: ['stakeholder', 'tech_lead'],
      model: 'scripted',
      attempts: 3,
      rework: 2,
      timeoutMs: 60_000,
      description: '',
    })),
    createdAt: new Date().toISOString(),
    ...extra,
  };
}

export const verdictOf = (phase: string, word: 'passed' | 'blocked'): PhaseVerdict => ({
  phase,
  policy: 'backend',
  fallback: false,
  verdict: word,
  gates: [
    {
      gate: 'tests_passing',
      condition: 'test_pass_rate >= 0.95',
      severity: 'BLOCKING',
      outcome: word === 'passed' ? 'passed' : 'failed',
      values: { test_pass_rate: { value: word === 'passed' ? 1 : 0.5, source: 'collector', simulated: false } },
      message: 'test_pass_rate <b>was</b> measured',
    },
  ],
  criteria: [],
  artifacts: [],
  targets: [],
  errors: [],
  simulated: true,
});

/** Records a round of gating, as a gate worker does. */
export async function recordRound(
  store: RunStore,
  runId: RunId,
  phase: string,
  round: number,
  word: 'passed' | 'blocked',
): Promise<void> {
  const verdict = verdictOf(phase, word);
  await store.updatePhase(runId, phase, (record) => ({
    next: {
      ...record,
      rounds: [...record.rounds, { round, verdict, findings: 0, evidence: NO_BLOB, at: new Date().toISOString() }],
    },
    events: [{ type: 'gate.verdict', phase, round, verdict }],
  }));
}

/** Carries a seeded run to its end, phase by phase. */
export async function finishRun(store: RunStore, runId: RunId, phases: readonly string[]): Promise<void> {
  await moveRun(store, runId, 'running');
  for (const phase of phases) {
    await movePhase(store, runId, phase, 'running');
    await recordRound(store, runId, phase, 0, 'passed');
    await movePhase(store, runId, phase, 'passed');
  }
  await moveRun(store, runId, 'passed');
}

export async function collect(events: AsyncIterable<RunEvent>): Promise<RunEvent[]> {
  const all: RunEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}
