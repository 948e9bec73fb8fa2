import { DelayedError, WaitingChildrenError } from 'bullmq';
import { APPROVAL, judgeRound } from '../gates/judge-round.ts';
import { NO_POLICY, judgementMetrics } from '../gates/load-policy.ts';
import type { RunContext } from '../gates/collector.ts';
import { claimFindings } from '../gates/claims/claims.ts';
import { getJson } from '../shared/blob-store.ts';
import { FleetError } from '../shared/errors.ts';
import { Review } from '../shared/handoff.ts';
import type { GateJob, GateJobResult, PersonaResult } from '../shared/jobs.ts';
import { jobIds } from '../shared/names.ts';
import { RoundEvidence } from '../shared/round-evidence.ts';
import {
  type CommitRef,
  type PhaseRecord,
  type PlannedPhase,
  type RunPlan,
  TERMINAL_PHASE,
  inputsOf,
} from '../shared/run-record.ts';
import { movePhase } from '../shared/transitions.ts';
import type { PhaseVerdict } from '../shared/verdict.ts';
import { enterPhase } from './begin-phase.ts';
import { blockedReason, isBlockedByMeasurement } from './gate-blockers.ts';
import { approvalChildren, reviewChildren, reworkChildren } from './gate-child-specs.ts';
import { personaOutcome, workOutcome } from './gate-children.ts';
import { NO_CLAIMS, claimsOf } from './gate-claims.ts';
import type { GateHandle } from './gate-handle.ts';
import { measureCandidate, mergeWork, storeEvidence, workSources } from './gate-measure.ts';
import { edgesOf } from './edges-of-gate.ts';
import { endedPhase } from './ended-phase.ts';
import { readJudgedWith, warnOfBypasses } from './judged-with.ts';
import { closeRepeatedPhase } from './repeated-phase.ts';
import { sharedFilesEvent } from './shared-files.ts';
import { Turns } from '../shared/turns.ts';
import type { LoadedDefinitions, WorkerContext } from './worker-context.ts';

interface Gate {
  ctx: WorkerContext;
  handle: GateHandle;
  plan: RunPlan;
  generation: number;
  phase: PlannedPhase;
  round: number;
  record: PhaseRecord;
  loaded: LoadedDefinitions;
  /** Aborted when the run ends, and when the phase has used up its time. */
  signal: AbortSignal;
  judged: {
    metrics: ReadonlySet<string>;
    artifacts: ReadonlySet<string>;
    reviews: ReturnType<typeof judgementMetrics>['reviews'];
    roles: string[];
  };
}

type Measured = NonNullable<GateJob['measured']>;

/** A verdict with everything it rests on. */
interface Judged {
  verdict: PhaseVerdict;
  evidence: RoundEvidence;
}

/**
 * Closes one phase. Runs from the top each time it is woken, and finds in its children and records how far it came:
 * work done -> measured -> reviewed -> approved -> verdict -> handed on, reworked or blocked.
 * A phase that may not hand on its work ends as a failed job, so that the queue tells the same as the verdict.
 */
export async function closePhase(ctx: WorkerContext, handle: GateHandle): Promise<GateJobResult> {
  const { runId, phase: name } = handle.data;
  const plan = await ctx.store.getPlan(runId);
  const phase = plan.phases.find((planned) => planned.name === name);
  if (phase === undefined) throw new FleetError('INTERNAL', `run ${runId} has no phase "${name}" in its plan`);
  const record = await ctx.store.getPhase(runId, name);
  if (TERMINAL_PHASE.includes(record.status)) return endedPhase(record);
  if (phase.repeat !== undefined) return closeRepeatedPhase({ ctx, handle, plan, phase });
  if (record.status === 'waiting') {
    // Work that is given needs no persona to begin with.
    await enterPhase(ctx, handle, plan, phase, record.status);
  }
  const loaded = await ctx.definitions.get(plan.definitions);
  const { round } = record;
  const { generation, done, given } = handle.data;
  const judged = judgedBy(phase, loaded);
  const { signal } = handle;
  const gate: Gate = { ctx, handle, plan, generation, phase, round, record, loaded, signal, judged };

  const isGiven = given !== null && round === record.firstRound;
  const work = isGiven
    ? ({ state: 'done', results: [] } as const)
    : workOutcome(await handle.children(), {
        runId,
        generation,
        phase: name,
        personas: phase.personas,
        round,
        done,
      });
  if (work.state === 'failed') return endPhase(gate, isBlocking(work.reason) ? 'blocked' : 'failed', work.reason);
  if (work.state === 'absent') return startRework(gate);
  return MEASURING.run(signal, () =>
    inTime(gate, (timed) =>
      closeRound(timed, () => (isGiven ? measureGiven(timed, given) : measureRound(timed, work.results))),
    ),
  );
}

/** Not a fault of worker or model: what the work needs is not there, or may not be had. */
const isBlocking = (reason: string): boolean =>
  ['BUDGET_EXCEEDED', 'NEEDS_UNMET', 'NETWORK_NOT_ALLOWED', 'MCP_UNAVAILABLE'].some((code) => reason.includes(code));

/** Collectors load a machine: one phase is measured at a time, while the gate jobs of others wait in the process. */
const MEASURING = new Turns(1);

/** Bounds an evaluation by the time of its phase, which begins when its turn has come. */
async function inTime(gate: Gate, evaluate: (gate: Gate) => Promise<GateJobResult>): Promise<GateJobResult> {
  const { phase, handle } = gate;
  const timeUp = AbortSignal.timeout(phase.timeoutMs);
  try {
    return await evaluate({ ...gate, signal: AbortSignal.any([handle.signal, timeUp]) });
  } catch (err) {
    const isWait = err instanceof WaitingChildrenError || err instanceof DelayedError;
    if (isWait || !timeUp.aborted || handle.signal.aborted) throw err;
    return endPhase(gate, 'failed', `timed out after ${phase.timeoutMs / 1000} s while its gates were measured`);
  }
}

async function closeRound(gate: Gate, measure: () => Promise<Measured>): Promise<GateJobResult> {
  const { ctx, handle } = gate;
  let measured = handle.data.measured?.round === gate.round ? handle.data.measured : undefined;
  if (measured === undefined) {
    const started = { type: 'gates.started', phase: gate.phase.name, round: gate.round } as const;
    await ctx.store.append(gate.plan.runId, [started], handle.fence);
    measured = await measure();
  }
  const first = await getJson(ctx.blobs, measured.evidence, RoundEvidence);
  const early = await judge(gate, first, measured.conflicts);
  if (early.verdict.verdict === 'blocked' && isBlockedByMeasurement(early.verdict, gate.judged))
    return conclude(gate, measured, early);

  const run = await gatherJudgements(gate, measured);
  const evidence = await measureCandidate(ctx, { ...inputOf(gate, measured, run), previous: first });
  return conclude(gate, measured, await judge(gate, evidence, measured.conflicts));
}

function judgedBy(phase: PlannedPhase, loaded: LoadedDefinitions): Gate['judged'] {
  const { policySet } = loaded;
  const metrics = judgementMetrics(policySet, phase.policy ?? NO_POLICY);
  const artifacts = Object.entries(policySet.artifacts).flatMap(([name, spec]) =>
    spec.source === 'reviews' || spec.source === 'approvals' ? [name] : [],
  );
  return {
    metrics: new Set([APPROVAL, ...[...metrics.reviews, ...metrics.approvals].map((entry) => entry.metric)]),
    artifacts: new Set(artifacts),
    reviews: metrics.reviews,
    roles: phase.approvalRoles,
  };
}

const inputOf = (
  gate: Gate,
  measured: Pick<Measured, 'candidate'>,
  run: RunContext,
): Omit<Parameters<typeof measureCandidate>[1], 'part'> => ({
  plan: gate.plan,
  phase: gate.phase,
  round: gate.round,
  candidate: measured.candidate,
  run,
  loaded: gate.loaded,
  signal: gate.signal,
});

const runContext = (gate: Gate): RunContext => ({
  approvals: [],
  judgements: [],
  phaseStartedAt: gate.record.startedAt ?? undefined,
  round: gate.round,
  inputs: inputsOf(gate.plan, gate.phase.prefix),
});

async function measureRound(gate: Gate, results: readonly PersonaResult[]): Promise<Measured> {
  const { ctx } = gate;
  const edges = await edgesOf(gate, results);
  const {
    candidate,
    conflicts,
    findings: seen,
  } = await mergeWork(ctx, gate.phase, workSources(gate.phase, results), edges.look);
  const evidence = await measureCandidate(ctx, inputOf(gate, { candidate }, runContext(gate)));
  const claimed = gate.phase.policy === null ? NO_CLAIMS : await claimsOf(ctx, results, evidence.measurements);
  // What a hand-off claims is compared with what is there; the contradictions are findings like any other.
  const findings = [
    ...evidence.findings,
    ...results.flatMap(({ persona, findings: own }) => own.map((finding) => ({ ...finding, persona }))),
    ...seen,
    ...claimFindings(claimed.claims),
  ];
  const integrity = [...evidence.integrity, ...claimed.checks, ...edges.check(seen)];
  return keepMeasured(gate, { ...evidence, findings, integrity, claims: claimed.claims }, { candidate, conflicts });
}

/**
 * Judges work as it was left when the run ended, or as a person has mended it since. What was claimed of the very same
 * work still stands beside it.
 */
async function measureGiven(gate: Gate, given: CommitRef): Promise<Measured> {
  const { ctx, record } = gate;
  const edges = await edgesOf(gate);
  const sources = [{ label: gate.phase.name, ...given }];
  const { candidate, conflicts, findings: seen } = await mergeWork(ctx, gate.phase, sources, edges.look);
  const measured = await measureCandidate(ctx, inputOf(gate, { candidate }, runContext(gate)));
  const evidence = {
    ...measured,
    findings: [...measured.findings, ...seen],
    integrity: [...measured.integrity, ...edges.check(seen)],
  };
  const judgedBefore = record.rounds.find((known) => known.candidate?.commit === given.commit);
  if (judgedBefore === undefined) return keepMeasured(gate, evidence, { candidate, conflicts });
  const { claims, integrity } = await getJson(ctx.blobs, judgedBefore.evidence, RoundEvidence);
  const claimChecks = integrity.filter((check) => check.check === 'claims_hold');
  return keepMeasured(
    gate,
    {
      ...evidence,
      findings: [...evidence.findings, ...claimFindings(claims)],
      integrity: [...evidence.integrity, ...claimChecks],
      claims,
    },
    { candidate, conflicts },
  );
}

/** Keeps what was measured while the job waits for reviews and approvals. */
async function keepMeasured(
  gate: Gate,
  evidence: RoundEvidence,
  { candidate, conflicts }: Pick<Measured, 'candidate' | 'conflicts'>,
): Promise<Measured> {
  const { ctx, handle, round } = gate;
  const measured: Measured = { round, evidence: await storeEvidence(ctx, evidence), candidate, conflicts };
  await handle.save({ ...handle.data, measured });
  return measured;
}

/** The verdict on what is known, and the evidence with what it was judged with: whoever has both reaches it again. */
async function judge(gate: Gate, evidence: RoundEvidence, conflicts: string[]): Promise<Judged> {
  const judgedWith = { ...(await readJudgedWith(gate.ctx, gate.plan, gate.phase)), conflicts };
  const { plan, phase, loaded } = gate;
  const verdict = judgeRound({ policySet: loaded.policySet, plan, phase, evidence, judgedWith });
  return { verdict, evidence: { ...evidence, judgedWith } };
}

/** Collects the reviews and approvals of this round; asks for the missing ones and waits. */
async function gatherJudgements(gate: Gate, measured: Measured): Promise<RunContext> {
  const { ctx, handle, plan, phase, round, judged } = gate;
  const children = await handle.children();
  const specs = reviewChildren(gate, judged.reviews, measured.candidate);
  const outcomes = specs.map((spec) => ({ spec, outcome: personaOutcome(children, spec.jobId) }));
  if (outcomes.some(({ outcome }) => outcome.state === 'absent')) return handle.waitFor(specs);
  const judgements: RunContext['judgements'][number][] = [];
  for (const { outcome } of outcomes) {
    // A review that failed leaves its metrics without a value, and those gates in error.
    if (outcome.state !== 'done') continue;
    const { persona: reviewer, simulated, handoff } = outcome.result;
    const review = await getJson(ctx.blobs, handoff, Review);
    judgements.push(...review.judgements.map((judgement) => ({ reviewer, simulated, judgement })));
  }
  const decided = (await ctx.store.getApprovals(plan.runId)).filter(
    (approval) => approval.phase === phase.name && approval.round === round,
  );
  const open = judged.roles.filter((role) => !decided.some((approval) => approval.role === role));
  const run: RunContext = { ...runContext(gate), approvals: decided, judgements };
  if (open.length === 0) {
    await movePhase(ctx.store, plan.runId, phase.name, 'running', { fence: handle.fence });
    return run;
  }
  const asked = open.filter(
    (role) =>
      !children.values.has(
        jobIds.approval({ runId: plan.runId, generation: gate.generation }, phase.name, role, round),
      ),
  );
  if (asked.length === 0) return run;
  await movePhase(ctx.store, plan.runId, phase.name, 'awaiting_approval', {
    fence: handle.fence,
    events:
      gate.record.status === 'awaiting_approval'
        ? []
        : asked.map((role) => ({ type: 'approval.requested', phase: phase.name, role })),
  });
  return handle.waitFor(approvalChildren(gate, asked));
}

/** Records the verdict of the round and does what it says. The verdict is the only thing that decides. */
async function conclude(gate: Gate, measured: Measured, { verdict, evidence }: Judged): Promise<GateJobResult> {
  const { ctx, handle, plan, phase, round } = gate;
  const blob = await storeEvidence(ctx, evidence);
  const at = new Date().toISOString();
  const roundRecord = {
    round,
    verdict,
    findings: evidence.findings.length,
    tree: evidence.tree,
    evidence: blob,
    candidate: measured.candidate,
    at,
  };
  const withRound = (before: PhaseRecord): PhaseRecord => ({
    ...before,
    rounds: [...before.rounds.filter((known) => known.round !== round), roundRecord],
    simulated: before.simulated || verdict.simulated,
  });
  const verdictEvent = { type: 'gate.verdict', phase: phase.name, round, verdict } as const;
  const told = [...sharedFilesEvent(phase.name, round, evidence.findings), verdictEvent];
  await warnOfBypasses(ctx, gate.loaded.policySet, { runId: plan.runId, phase: phase.name, verdict });
  const now = (): Promise<PhaseRecord> => ctx.store.getPhase(plan.runId, phase.name);
  const report = (): Promise<void> => handle.report({ runId: plan.runId, phase: phase.name, round, verdict });

  if (verdict.verdict !== 'blocked') {
    const isMoved = await movePhase(ctx.store, plan.runId, phase.name, verdict.verdict, {
      fence: handle.fence,
      events: told,
      change: (before) => ({ ...withRound(before), ...measured.candidate }),
    });
    if (isMoved) await report();
    // A run that was cancelled meanwhile stays cancelled, and its job says so too.
    return endedPhase(await now());
  }
  const reason = blockedReason(verdict);
  const reworked = round - gate.record.firstRound;
  if (reworked >= phase.rework) {
    const suffix = phase.rework > 0 ? ` after ${phase.rework} rework rounds` : '';
    const isMoved = await movePhase(ctx.store, plan.runId, phase.name, 'blocked', {
      reason: `${reason}${suffix}`,
      fence: handle.fence,
      events: told,
      change: withRound,
    });
    if (isMoved) await report();
    return endedPhase(await now());
  }
  const goesOn = await movePhase(ctx.store, plan.runId, phase.name, 'running', {
    fence: handle.fence,
    events: [
      ...told,
      {
        type: 'rework.requested',
        phase: phase.name,
        round: round + 1,
        findings: evidence.findings.length,
        headline: reason,
      },
    ],
    change: (before) => ({ ...withRound(before), round: round + 1 }),
  });
  if (!goesOn) return endedPhase(await now());
  await report();
  return handle.waitFor(reworkChildren({ ...gate, round: round + 1 }, measured.candidate, blob));
}

/** The record says a rework round began, but its jobs are not there: the worker died in between. */
async function startRework(gate: Gate): Promise<GateJobResult> {
  const last = gate.record.rounds.find((known) => known.round === gate.round - 1);
  return gate.handle.waitFor(
    reworkChildren(gate, gate.handle.data.measured?.candidate ?? null, last?.evidence ?? null),
  );
}

async function endPhase(gate: Gate, status: 'blocked' | 'failed', reason: string): Promise<GateJobResult> {
  await movePhase(gate.ctx.store, gate.plan.runId, gate.phase.name, status, { reason, fence: gate.handle.fence });
  return endedPhase(await gate.ctx.store.getPhase(gate.plan.runId, gate.phase.name));
}
