import { join } from 'node:path';
import { describePolicy } from '../gates/describe-policy.ts';
import { judgementMetrics } from '../gates/load-policy.ts';
import { putJson } from '../shared/blob-store.ts';
import { FleetError } from '../shared/errors.ts';
import { Handoff, Review } from '../shared/handoff.ts';
import type { PersonaJob, PersonaResult } from '../shared/jobs.ts';
import type { Persona } from '../shared/persona-schema.ts';
import { findPersona } from '../shared/persona-files.ts';
import { durationMs } from '../shared/workflow-schema.ts';
import { contextTokensOf, outageLimitMs, priceOf } from '../shared/model-config.ts';
import { type PlannedPhase, type RunPlan, inputsOf, isReplayedRun } from '../shared/run-record.ts';
import type { Fence } from '../shared/run-store.ts';
import type { Finding } from '../shared/verdict.ts';
import { type Source, type Workspace, openWorkspace } from '../shared/workspace.ts';
import { checkHandoff } from './agent/check-handoff.ts';
import { type AgentPrompt, reviewPrompt, workPrompt } from './agent/prompts.ts';
import { abandonIfHopeless } from './abandoned-talk.ts';
import type { SavedWork } from './agent/checkpoint-store.ts';
import type { FinalTool } from './agent/agent-options.ts';
import { type AgentResult, runAgent } from './agent/run-agent.ts';
import type { ToolContext } from './agent/tool.ts';
import { WorkTree } from './agent/work-tree.ts';
import { askPerson, withdrawQuestions } from './ask-person.ts';
import { askedOutputs } from './asked-outputs.ts';
import { beginPhase } from './begin-phase.ts';
import { countTurn, tellNote } from './conversation-log.ts';
import { ancestorHandoffs, edgesOfJob } from './edges-of-job.ts';
import { findingsOf } from './findings-of-job.ts';
import { inScratch } from './gate-measure.ts';
import { gatesNow } from './gates-now.ts';
import { liveCommandsOf } from './live-commands-of-job.ts';
import { accountFor } from './account-of-job.ts';
import { fallbackFor, providerFor } from './provider-of-job.ts';
import { neededSources } from './needed-sources.ts';
import { Parked } from './parking.ts';
import { openPersonaTools } from './persona-tools.ts';
import { checkpoint, conversationId, savedWork, signature } from './saved-files.ts';
import { refusedEvents, refusedFindings } from './refused-calls.ts';
import { sharedBefore } from './shared-files.ts';
import { turnsOf } from './turns-of-job.ts';
import type { LoadedDefinitions, WorkerContext } from './worker-context.ts';

const IDLE_MS = 120_000;
/** A reviewer looks and judges; whatever else its persona may do, it does not write. */
const REVIEW_TOOLS: readonly Persona['tools'][number][] = ['list_files', 'read_file', 'search'];

const HAND_OFF: FinalTool<Handoff> = {
  name: 'hand_off',
  description: 'Ends your work and hands it to the gates. Call it once, when everything is written and checked.',
  schema: Handoff,
};
const HAND_OVER_REVIEW: FinalTool<Review> = {
  name: 'hand_over_review',
  description:
    'Ends your review. One judgement per metric; every item that is met quotes the file and line it rests on.',
  schema: Review,
};

export interface PersonaAttempt {
  data: PersonaJob;
  fence: Fence;
  signal: AbortSignal;
  attempt: { number: number; isLast: boolean };
  /** Called before each model call; throws when the run is paused, so that nothing more is spent. */
  pausePoint: () => void;
}

interface Job extends PersonaAttempt {
  ctx: WorkerContext;
  plan: RunPlan;
  phase: PlannedPhase;
  persona: Persona;
  loaded: LoadedDefinitions;
}

/**
 * Does the work of one persona in one phase, or a review of it, and hands over a commit or a judgement; null when the
 * phase is skipped.
 */
export async function doPersonaJob(ctx: WorkerContext, attempt: PersonaAttempt): Promise<PersonaResult | null> {
  const { data } = attempt;
  const plan = await ctx.store.getPlan(data.runId);
  const phase = plan.phases.find((planned) => planned.name === data.phase);
  if (phase === undefined)
    throw new FleetError('INTERNAL', `run ${data.runId} has no phase "${data.phase}" in its plan`);
  if ((await beginPhase(ctx, attempt, plan, phase)) === 'skipped') return null;
  const loaded = await ctx.definitions.get(plan.definitions);
  const persona = findPersona(loaded.definitions.personas, data.persona);
  if (persona === undefined)
    throw new FleetError('INTERNAL', `the run's definitions hold no persona "${data.persona}"`);
  const limitMs = Math.min(phase.timeoutMs, durationMs(persona.timeout ?? '480h'));
  const timeUp = AbortSignal.timeout(limitMs);
  const signal = AbortSignal.any([attempt.signal, timeUp]);
  try {
    return await inScratch(ctx, (dir) => work({ ...attempt, ctx, plan, phase, persona, loaded, signal }, dir));
  } catch (caught) {
    const err = timeUp.aborted && !attempt.signal.aborted ? timedOut(phase, limitMs) : caught;
    await reportFault(ctx, attempt, err);
    throw err;
  }
}

const timedOut = (phase: PlannedPhase, limitMs: number): FleetError =>
  new FleetError('TIMEOUT', `phase "${phase.name}" timed out after ${limitMs / 1000} s; its work was stopped`, {
    remedy: `Raise \`timeout\` of the ${limitMs < phase.timeoutMs ? 'persona' : 'phase'}.`,
  });

async function reportFault(ctx: WorkerContext, { data, fence, attempt }: PersonaAttempt, err: unknown): Promise<void> {
  if (err instanceof Parked) return;
  if (err instanceof FleetError && (err.code === 'STALE_ATTEMPT' || err.code === 'CANCELLED')) return;
  const { phase, persona, round } = data;
  const message = err instanceof FleetError ? `${err.code}: ${err.message}` : String(err);
  const final = attempt.isLast || (err instanceof FleetError && !err.retry);
  const event = { type: 'persona.fault', phase, persona, round, attempt: attempt.number, message, final } as const;
  // Faults are counted apart from rework: one is a worker's or a model's bad luck, the other what a gate found.
  await ctx.store.updatePhase(
    data.runId,
    phase,
    (record) => ({ next: { ...record, faults: record.faults + 1 }, events: [event] }),
    fence,
  );
  if (final) await withdrawQuestions({ store: ctx.store, data, fence }, `${persona} has failed: ${message}`);
}

async function work(job: Job, dir: string): Promise<PersonaResult> {
  const { workspace, conflicts, overlaps } = await openWorkspace({
    dir: join(dir, 'tree'),
    blobs: job.ctx.blobs,
    sources: await sourcesOf(job),
    onConflict: 'mark',
  });
  if (job.data.kind === 'review') return review(job, workspace);
  const marked = conflicts.map(({ file, labels }) => `${file} (changed by ${labels.join(' and ')})`);
  const shared = sharedBefore(job.plan, { conflicts, overlaps });
  return author(job, workspace, { scratch: join(dir, 'gates'), conflicts: marked, shared });
}

/** The commits the workspace is made from: of the phases it needs, or of the round it goes on from. */
async function sourcesOf(job: Job): Promise<Source[]> {
  const { data, ctx, phase } = job;
  if (data.base !== null) return [{ label: phase.name, ...data.base }];
  return neededSources(ctx.store, data.runId, phase);
}

interface Begun {
  scratch: string;
  conflicts: readonly string[];
  /** What more than one of the phases before changed. */
  shared: readonly Finding[];
}

async function promptOf(job: Job, workspace: Workspace, { conflicts, shared }: Begun): Promise<AgentPrompt> {
  const { data, plan, phase, persona, loaded } = job;
  return workPrompt({
    job: jobLine(job),
    persona,
    phase,
    contextTokens: contextTokensOf(job.ctx.models, phase.model),
    plan: { inputs: inputsOf(plan, phase.prefix) },
    ancestors: await ancestorHandoffs(job),
    ...(await findingsOf(job)),
    conflicts,
    merged: shared,
    ...(await edgesOfJob(job, workspace.dir, data.base === null)),
    outputs: askedOutputs(plan, phase),
    policyText: describePolicy(loaded.policySet, phase.policy ?? 'none', persona.name),
  });
}

async function author(job: Job, workspace: Workspace, at: Begun): Promise<PersonaResult> {
  const { data, plan, phase, persona } = job;
  const before = await workspace.head();
  const basis = await workspace.tree();
  const prompt = await promptOf(job, workspace, at);
  const tree = new WorkTree(workspace.dir, workspace, { bytes: job.ctx.config.workspaceBytes });
  const saved = await savedWork(job, { workspace, tree });
  const result = await converse(job, {
    ...prompt,
    basis,
    root: workspace.dir,
    tree,
    tools: persona.tools,
    finalTool: HAND_OFF,
    runGates: gatesFor(job, { workspace, before }, at.scratch),
    askPerson: (question) => askPerson({ store: job.ctx.store, plan, data, fence: job.fence }, question),
    saved,
  }).catch(async (err: unknown) => {
    await abandonIfHopeless(job.ctx, job, saved, err);
    throw err;
  });
  const commit = await workspace.commitAll({
    onto: before,
    message: `${phase.name}: ${headline(result.final.summary)}`,
    trailers: {
      Run: plan.runId,
      Phase: phase.name,
      Persona: persona.name,
      Round: String(data.round),
      Attempt: String(job.attempt.number),
      'Model-Messages': result.calls.flatMap((call) => call.messageId ?? []).join(' '),
      ...(result.simulated ? { Simulated: 'true' } : {}),
      ...(isReplayedRun(plan) ? { Replayed: 'true' } : {}),
    },
    ...signature(persona),
  });
  // A rework round without a change goes back to its gates, which say that nothing was done.
  if (commit === null && data.base === null) {
    await saved.clear();
    throw new FleetError('AGENT_STUCK', `${persona.name} handed off without changing a file: nothing was done`, {
      retry: true,
    });
  }
  const bundled = await workspace.bundle();
  const findings = [
    ...(commit === null ? [NOTHING_DONE] : []),
    ...at.shared,
    ...refusedFindings(result.refusedCalls, persona.name),
    ...(await checkHandoff({ handoff: result.final, root: workspace.dir })),
  ];
  // The conversation stays saved: if this worker dies now, its result is not paid for again.
  return handOver(job, result, { ...bundled, findings, summary: result.final.summary });
}

/** What `run_gates` measures: the files as they are when it is called. */
const gatesFor =
  (job: Job, { workspace, before }: { workspace: Workspace; before: string }, scratch: string) =>
  (signal: AbortSignal): Promise<string> => {
    const { ctx, data, plan, phase, persona, loaded } = job;
    return gatesNow(ctx, {
      plan,
      phase,
      loaded,
      persona: persona.name,
      round: data.round,
      inputs: inputsOf(plan, phase.prefix),
      workspace,
      checkpoint: () => checkpoint(job, workspace, before),
      scratch,
      signal,
    });
  };

const NOTHING_DONE: Finding = {
  rule: 'handoff/empty-diff',
  message: 'this round was handed off without changing a file',
  severity: 'error',
};

/** Reviewers have no tool that would call this. */
const noGates = (): Promise<string> => Promise.resolve('not available to a reviewer');

/** The first line, cut where a word ends. */
function headline(summary: string): string {
  const line = summary.split('\n')[0] ?? '';
  return line.length <= 72 ? line : `${line.slice(0, 72).replace(/\s+\S*$/, '')} ...`;
}

async function review(job: Job, workspace: Workspace): Promise<PersonaResult> {
  const { data, phase, plan, persona, loaded } = job;
  const { reviews } = judgementMetrics(loaded.policySet, phase.policy ?? 'none');
  const asked = reviews
    .filter((entry) => data.metrics.includes(entry.metric))
    .map(({ metric, question }) => ({
      metric,
      question,
      description: loaded.policySet.metrics[metric]?.description ?? '',
    }));
  const prompt = reviewPrompt({
    job: jobLine(job),
    persona,
    phase,
    contextTokens: contextTokensOf(job.ctx.models, phase.model),
    plan: { inputs: inputsOf(plan, phase.prefix) },
    metrics: asked,
    ancestors: await ancestorHandoffs(job),
  });
  const tools = persona.tools.filter((tool) => REVIEW_TOOLS.includes(tool));
  const result = await converse(job, {
    ...prompt,
    // What is judged is no part of the prompt: a review of other files is another one.
    basis: await workspace.tree(),
    root: workspace.dir,
    tools,
    finalTool: HAND_OVER_REVIEW,
    runGates: noGates,
    saved: await savedWork(job, null),
  });
  const summary = result.final.judgements.map((judgement) => `${judgement.metric}: ${judgement.summary}`).join('; ');
  return handOver(job, result, { commit: null, bundle: null, findings: [], summary });
}

const jobLine = ({ data, plan }: Job): Parameters<typeof workPrompt>[0]['job'] => ({
  run: plan.runId,
  workflow: plan.workflow,
  phase: data.phase,
  persona: data.persona,
  kind: data.kind,
  round: data.round,
  ...(plan.scripted === null ? {} : { scenario: plan.scripted.scenario }),
});

interface Conversation<F> {
  system: string;
  userMessage: string;
  root: string;
  tree?: WorkTree;
  tools: Persona['tools'];
  finalTool: FinalTool<F>;
  runGates: (signal: AbortSignal) => Promise<string>;
  askPerson?: ToolContext['askPerson'];
  saved: SavedWork;
  /** The hash of the files that the work begins with. */
  basis: string;
}

/** Holds the conversation; every turn is counted in the phase's record and told in the run's log. */
async function converse<F>(job: Job, talk: Conversation<F>): Promise<AgentResult<F>> {
  const { ctx, data, plan, phase, persona, signal } = job;
  const { root, runGates, system, userMessage, finalTool } = talk;
  const provider = await providerFor(ctx, plan, phase.model);
  const { persona: name, kind, round } = data;
  const account = await accountFor(ctx, plan, { phase: phase.name, persona: name, kind, round });
  const own = await openPersonaTools(ctx, persona, {
    kind,
    root,
    runGates,
    ...(talk.askPerson === undefined ? {} : { askPerson: talk.askPerson }),
    live: liveCommandsOf(ctx, job),
    signal,
    tools: talk.tools,
    ...(talk.tree === undefined ? {} : { tree: talk.tree }),
  });
  try {
    return await runAgent({
      provider,
      model: phase.model,
      system,
      userMessage,
      tools: own.tools,
      finalTool,
      maxTurns: persona.maxTurns,
      ...(persona.maxToolCalls === undefined ? {} : { maxCalls: persona.maxToolCalls }),
      maxTokensPerTurn: persona.maxTokensPerTurn,
      price: priceOf(ctx.models, phase.model),
      ...(await fallbackFor(ctx, plan, phase)),
      budget: account,
      turns: turnsOf(ctx, job),
      outageLimitMs: outageLimitMs(ctx.models),
      jobId: conversationId(job.data),
      checkpoint: talk.saved,
      basis: talk.basis,
      contextTokens: contextTokensOf(ctx.models, phase.model),
      keep: (messages) => putJson(ctx.blobs, { schemaVersion: 1, messages }),
      attempt: job.attempt.number,
      pausePoint: job.pausePoint,
      signal,
      idleTimeoutMs: IDLE_MS,
      onTurn: (turn) => countTurn(ctx, job, turn, account),
      onNote: (note) => tellNote(ctx, job, note),
    });
  } finally {
    await own.close();
  }
}

interface Outcome {
  commit: PersonaResult['commit'];
  bundle: PersonaResult['bundle'];
  findings: PersonaResult['findings'];
  summary: string;
}

/** Stores hand-off and transcript, and notes them in the phase's record. */
async function handOver<F>(job: Job, result: AgentResult<F>, outcome: Outcome): Promise<PersonaResult> {
  const { ctx, data, plan, phase } = job;
  const handoff = await putJson(ctx.blobs, result.final);
  const { transcript: messages, calls, lineage, refusedCalls, compactions, resumed } = result;
  const told = { schemaVersion: 1, messages, calls, lineage, refusedCalls, compactions, resumed };
  const transcript = await putJson(ctx.blobs, told);
  const { persona, kind, round } = data;
  const talk = `${persona}.${kind}.r${round}`;
  const { summary } = outcome;
  const done = {
    type: 'persona.done',
    phase: phase.name,
    persona,
    kind,
    round,
    summary,
    simulated: result.simulated,
  } as const;
  await ctx.store.updatePhase(
    plan.runId,
    phase.name,
    (record) => ({
      next: {
        ...record,
        handoffs: kind === 'work' ? { ...record.handoffs, [persona]: handoff } : record.handoffs,
        transcripts: { ...record.transcripts, [talk]: transcript },
      },
      // A worker that died after this has told it already.
      events: talk in record.transcripts ? [] : [...refusedEvents(refusedCalls, data), done],
    }),
    job.fence,
  );
  const { commit, bundle, findings } = outcome;
  const { usage, simulated } = result;
  return {
    phase: phase.name,
    persona,
    kind,
    round,
    commit,
    bundle,
    handoff,
    transcript,
    findings,
    usage,
    provider: plan.provider,
    simulated,
  };
}
