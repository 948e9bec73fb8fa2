import { type ShelvedBlobs, putJson } from '../../src/shared/blob-store.ts';
import { RunArchive } from '../../src/shared/archive.ts';
import { FleetError } from '../../src/shared/errors.ts';
import type { Handoff } from '../../src/shared/handoff.ts';
import { readConfig } from '../../src/shared/config.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { newRunId } from '../../src/shared/names.ts';
import { type Logger, silentLogger } from '../../src/shared/logger.ts';
import type { Redis } from '../../src/shared/redis.ts';
import {
  BlobRef,
  NO_USAGE,
  type PhaseStatus,
  type PlannedPhase,
  RunPlan,
  TERMINAL_PHASE,
} from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { movePhase } from '../../src/shared/transitions.ts';
import { beginPhase } from '../../src/workers/begin-phase.ts';
import type { FleetHandlers } from '../../src/workers/fleet.ts';
import { endedPhase } from '../../src/workers/ended-phase.ts';
import { reworkChildren } from '../../src/workers/gate-child-specs.ts';
import { workOutcome } from '../../src/workers/gate-children.ts';
import { closeRepeatedPhase } from '../../src/workers/repeated-phase.ts';
import { DefinitionsCache, type WorkerContext } from '../../src/workers/worker-context.ts';

const NO_BLOB = BlobRef.parse('0'.repeat(64));

/** A plan of phases that are given by their needs alone, for personas that do nothing. */
export function noopPlan(
  phases: Readonly<Record<string, readonly string[]>>,
  overrides: Partial<PlannedPhase> = {},
  of: { inputs?: RunPlan['inputs']; phase?: (name: string) => Partial<PlannedPhase> } = {},
): RunPlan {
  return RunPlan.parse({
    schemaVersion: 1,
    runId: newRunId(),
    workflow: 'noop',
    workflowDigest: 'none',
    definitions: NO_BLOB,
    inputs: of.inputs ?? {},
    provider: 'scripted',
    budget: {},
    scripted: { scenario: 'main', approvals: true },
    phases: Object.entries(phases).map(([name, needs]) => ({
      name,
      needs: [...needs],
      personas: ['noop'],
      policy: null,
      policyFallback: false,
      approvalRole: null,
      approvalRoles: [],
      model: 'none',
      attempts: 3,
      rework: 0,
      timeoutMs: 60_000,
      description: '',
      ...overrides,
      ...of.phase?.(name),
    })),
    createdAt: new Date().toISOString(),
  });
}

/** One attempt at the work of a persona, or at the verdict of a gate. */
export interface NoopStep {
  ctx: WorkerContext;
  plan: RunPlan;
  phase: PlannedPhase;
  round: number;
  /** The lock that the attempt holds. */
  lock: { lockKey: string; token: string };
}
export interface NoopWork extends NoopStep {
  persona: string;
  attempt: number;
}

export interface Behaviour {
  /** Does the work; may throw or take its time. */
  work?: (step: NoopWork) => Promise<void> | void;
  /** The outputs it hands over. */
  outputs?: (step: NoopWork) => Handoff['outputs'];
  /** What the gate says; `passed` when absent. May throw. A blocked phase with rework left is reworked. */
  verdict?: (step: NoopStep) => Promise<PhaseStatus> | PhaseStatus;
  /** Called between the reading and the writing of what a fenced step commits. */
  inCommit?: (step: NoopStep) => void;
}

function plannedPhase(plan: RunPlan, name: string): PlannedPhase {
  const phase = plan.phases.find((planned) => planned.name === name);
  if (phase === undefined) throw new FleetError('INTERNAL', `no phase "${name}"`);
  return phase;
}

/** Personas and gates that only do what they are told to; they commit as the real ones do, behind the same fences. */
export function noopHandlers(behaviour: Behaviour): FleetHandlers {
  return {
    persona: async (ctx, attempt) => {
      const { data, fence } = attempt;
      const { persona, kind, round } = data;
      const plan = await ctx.store.getPlan(data.runId);
      const phase = plannedPhase(plan, data.phase);
      const step: NoopWork = { ctx, plan, phase, round, lock: fence, persona, attempt: attempt.attempt.number };
      if ((await beginPhase(ctx, attempt, plan, phase)) === 'skipped') return null;
      await behaviour.work?.(step);
      const outputs = behaviour.outputs?.(step);
      const handoff = outputs === undefined ? NO_BLOB : await putJson(ctx.blobs, { summary: 'nothing', outputs });
      await ctx.store.updatePhase(
        plan.runId,
        phase.name,
        (record) => {
          behaviour.inCommit?.(step);
          return {
            next: { ...record, handoffs: { ...record.handoffs, [persona]: handoff } },
            events: [{ type: 'persona.done', phase: phase.name, persona, kind, round, summary: '', simulated: true }],
          };
        },
        fence,
      );
      return {
        phase: phase.name,
        persona,
        kind,
        round,
        commit: null,
        bundle: null,
        handoff,
        transcript: NO_BLOB,
        findings: [],
        usage: NO_USAGE,
        provider: 'scripted',
        simulated: true,
      };
    },
    gate: (ctx, handle) => closeNoopPhase(behaviour, ctx, handle),
  };
}

type GateArguments = Parameters<FleetHandlers['gate']>;
type GateResult = Awaited<ReturnType<FleetHandlers['gate']>>;

async function closeNoopPhase(
  behaviour: Behaviour,
  ctx: GateArguments[0],
  handle: GateArguments[1],
): Promise<GateResult> {
  const { runId } = handle.data;
  const plan = await ctx.store.getPlan(runId);
  const phase = plannedPhase(plan, handle.data.phase);
  const record = await ctx.store.getPhase(runId, phase.name);
  if (TERMINAL_PHASE.includes(record.status)) return endedPhase(record);
  if (phase.repeat !== undefined) return closeRepeatedPhase({ ctx, handle, plan, phase });
  // Work that was done before the run was taken up again needs nobody to begin with.
  if (record.status === 'waiting') await movePhase(ctx.store, runId, phase.name, 'running', { fence: handle.fence });
  if (record.status === 'waiting') await movePhase(ctx.store, runId, phase.name, 'running', { fence: handle.fence });
  const { round } = record;
  const step: NoopStep = { ctx, plan, phase, round, lock: handle.fence };
  const again = (next: number): Promise<never> =>
    handle.waitFor(reworkChildren({ plan, generation: handle.data.generation, phase, round: next }, null, null));

  const { generation, done } = handle.data;
  const of = { runId, generation, phase: phase.name, personas: phase.personas, round, done };
  const work = workOutcome(await handle.children(), of);
  if (work.state === 'absent') return again(round);
  const status = work.state === 'done' ? ((await behaviour.verdict?.(step)) ?? 'passed') : 'failed';
  const isReworked = status === 'blocked' && round - record.firstRound < phase.rework;
  const headline = 'told to be reworked';
  await movePhase(ctx.store, runId, phase.name, isReworked ? 'running' : status, {
    reason: work.state === 'failed' ? work.reason : status === 'passed' ? '' : `told to be ${status}`,
    fence: handle.fence,
    change: (before) => {
      behaviour.inCommit?.(step);
      return isReworked ? { ...before, round: round + 1 } : before;
    },
    events: isReworked
      ? [{ type: 'rework.requested', phase: phase.name, round: round + 1, findings: 0, headline }]
      : [],
  });
  return isReworked ? again(round + 1) : endedPhase(await ctx.store.getPhase(runId, phase.name));
}

/** What a worker process needs, for personas that need nothing. */
export function noopContext(at: {
  redis: Redis;
  redisUrl: string;
  prefix: string;
  home: string;
  logger?: Logger;
}): WorkerContext & { blobs: ShelvedBlobs } {
  const config = { ...readConfig({ MAESTRO_HOME: at.home }, '/'), prefix: at.prefix };
  const blobs = openBlobStore(config.blobs);
  return {
    config,
    redis: at.redis,
    redisUrl: at.redisUrl,
    store: new RunStore(at.redis, at.prefix, new RunArchive(at.redis, at.prefix, blobs)),
    blobs,
    sandbox: {
      kind: 'off',
      description: 'nothing is run',
      pathOf: (_mounts, inside) => inside,
      run: () => Promise.reject(new Error('no-op personas run nothing')),
    },
    definitions: new DefinitionsCache(blobs),
    models: { apiVersion: 'maestro/v1', aliases: {}, prices: {} },
    logger: at.logger ?? silentLogger(),
  };
}
