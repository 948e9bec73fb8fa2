import { FleetError } from '../../src/shared/errors.ts';
import { readConfig } from '../../src/shared/config.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { newRunId } from '../../src/shared/names.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { type Redis, connectRedis } from '../../src/shared/redis.ts';
import { onTestFinished } from 'vitest';
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
import { type Fleet, type FleetHandlers, startFleet } from '../../src/workers/fleet.ts';
import { workOutcome } from '../../src/workers/gate-children.ts';
import { DefinitionsCache, type WorkerContext } from '../../src/workers/worker-context.ts';
import { tempFolder } from './temp-folder.ts';
import type { TestRedis } from './test-redis.ts';

const NO_BLOB = BlobRef.parse('0'.repeat(64));

/** A plan of phases that are given by their needs alone, for personas that do nothing. */
export function noopPlan(
  phases: Readonly<Record<string, readonly string[]>>,
  overrides: Partial<PlannedPhase> = {},
): RunPlan {
  return RunPlan.parse({
    schemaVersion: 1,
    runId: newRunId(),
    workflow: 'noop',
    workflowDigest: 'none',
    definitions: NO_BLOB,
    inputs: {},
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
    })),
    createdAt: new Date().toISOString(),
  });
}

export interface NoopFleet {
  store: RunStore;
  redis: Redis;
  fleet: Fleet;
  /** Phases in the order their personas began and ended. */
  log: string[];
}

interface Behaviour {
  /** What a phase's gate says; `passed` when not named. */
  verdicts?: Readonly<Record<string, PhaseStatus>>;
  /** Called for each persona job; may throw or take its time. */
  /** The same, when it differs from run to run. */
  verdictOf?: (runId: string, phase: string) => PhaseStatus;
  /** Called before a gate says anything; may throw. */
  judge?: (phase: string) => void;
  work?: (phase: string, attempt: number, runId: string) => Promise<void> | void;
  personas?: readonly string[];
  concurrency?: number;
}

/** The real queues, edges, run jobs and store, with personas and gates that only say what they are told to. */
export async function startNoopFleet(at: TestRedis, behaviour: Behaviour = {}): Promise<NoopFleet> {
  const redis = await connectRedis(at.url, 'worker');
  onTestFinished(() => redis.disconnect());
  const store = new RunStore(redis, at.prefix);
  const log: string[] = [];
  const handlers: FleetHandlers = {
    persona: async (ctx, attempt) => {
      const { data, fence } = attempt;
      const plan = await ctx.store.getPlan(data.runId);
      const phase = plan.phases.find((planned) => planned.name === data.phase);
      if (phase === undefined) throw new FleetError('INTERNAL', 'no such phase');
      await beginPhase(ctx.store, attempt, phase);
      log.push(`${phase.name}+`);
      await behaviour.work?.(phase.name, attempt.attempt.number, data.runId);
      log.push(`${phase.name}-`);
      await ctx.store.append(data.runId, [], fence);
      const { persona, kind, round } = data;
      return {
        phase: phase.name,
        persona,
        kind,
        round,
        commit: null,
        bundle: null,
        handoff: NO_BLOB,
        transcript: NO_BLOB,
        findings: [],
        usage: NO_USAGE,
        provider: 'scripted',
        simulated: true,
      };
    },
    gate: async (ctx, handle) => {
      const { runId, phase } = handle.data;
      const record = await ctx.store.getPhase(runId, phase);
      if (TERMINAL_PHASE.includes(record.status))
        throw new FleetError('PHASE_NOT_PASSED', `${record.status}: ${record.reason}`);
      const plan = await ctx.store.getPlan(runId);
      const personas = plan.phases.find((planned) => planned.name === phase)?.personas ?? [];
      const work = workOutcome(await handle.children(), { runId, phase, personas, round: 0 });
      behaviour.judge?.(phase);
      const status =
        work.state === 'done'
          ? (behaviour.verdictOf?.(runId, phase) ?? behaviour.verdicts?.[phase] ?? 'passed')
          : 'failed';
      await movePhase(ctx.store, runId, phase, status, {
        reason: work.state === 'failed' ? work.reason : status === 'passed' ? '' : `told to be ${status}`,
        fence: handle.fence,
      });
      if (status !== 'passed') throw new FleetError('PHASE_NOT_PASSED', `${status}: told to`);
      return { phase, status, verdict: null };
    },
  };
  const config = { ...readConfig({ MAESTRO_HOME: await tempFolder() }, '/'), prefix: at.prefix };
  const blobs = openBlobStore(config.blobs);
  const ctx: WorkerContext = {
    config,
    redis,
    redisUrl: at.url,
    store,
    blobs,
    sandbox: {
      kind: 'off',
      description: 'nothing is run',
      pathOf: (_mounts, inside) => inside,
      run: () => Promise.reject(new Error('no-op personas run nothing')),
    },
    definitions: new DefinitionsCache(blobs),
    models: { apiVersion: 'maestro/v1', aliases: {}, prices: {} },
    logger: silentLogger(),
  };
  const options = { personas: behaviour.personas ?? ['noop'], gates: true, concurrency: behaviour.concurrency ?? 10 };
  const fleet = await startFleet(ctx, options, handlers);
  return { store, redis, fleet, log };
}
