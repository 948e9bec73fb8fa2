import { access, copyFile, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { Collector } from '../../src/gates/collector.ts';
import { type PolicySet, policyOf } from '../../src/gates/load-policy.ts';
import type { ArtifactSpec } from '../../src/gates/policy-schema.ts';
import type { MeasuringProcesses } from '../../src/gates/separate/measuring-processes.ts';
import { loadRunSources } from '../../src/producer/definitions-builder.ts';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { type RunRequest, prepareRun } from '../../src/producer/prepare-run.ts';
import { parseWorkflow } from '../../src/producer/workflow-file.ts';
import { type BlobStore, putJson } from '../../src/shared/blob-store.ts';
import { readConfig } from '../../src/shared/config.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import type { ModelConfig } from '../../src/shared/model-config.ts';
import type { Redis } from '../../src/shared/redis.ts';
import type { PhaseVerdict } from '../../src/shared/verdict.ts';
import {
  NO_USAGE,
  type PhaseRecord,
  type RunEvent,
  type RunPlan,
  type RunRecord,
  TERMINAL_RUN,
} from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { openWorkspace } from '../../src/shared/workspace.ts';
import { beginPhase } from '../../src/workers/begin-phase.ts';
import { type Fleet, type FleetHandlers, startFleet } from '../../src/workers/fleet.ts';
import { closePhase } from '../../src/workers/gate-job.ts';
import { neededSources } from '../../src/workers/needed-sources.ts';
import { doPersonaJob } from '../../src/workers/persona-job.ts';
import { DefinitionsCache, type WorkerContext } from '../../src/workers/worker-context.ts';
import { tempFolder } from './temp-folder.ts';
import type { TestRedis } from './test-redis.ts';

/** Metric -> value, as a test collector reads them. A metric that is left out is not measured. */
export type Metrics = Readonly<Record<string, number>>;

/** One piece of a persona's work, under way. */
export interface Work {
  phase: string;
  persona: string;
  round: number;
  attempt: number;
  /** The work tree: what the phases before handed on is in it. */
  dir: string;
  signal: AbortSignal;
}

export interface SuppliedFleetOptions {
  /** What is measured of a phase in a round. Called each time it is measured. */
  metrics: (phase: string, round: number) => Metrics;
  /** Called before the persona writes its files. */
  work?: (work: Work) => Promise<void> | void;
  /** Changes the text of the shipped phase policies. */
  policies?: (text: string) => string;
  /** Persona files beside the reviewers that ship: name -> the lines that say what it makes. */
  personas?: Readonly<Record<string, string>>;
  /** The real persona job instead, which asks the model at this address. */
  model?: string;
  /** With `model`: its runs are planned for the provider `anthropic`, whose endpoint that is then. */
  isPaid?: boolean;
  /** Text of the model file, in the place of the shipped one. */
  models?: string;
  /** What measures in other processes; only for phases that no policy judges, whose collectors are supplied. */
  processes?: MeasuringProcesses;
  /** Required artifacts that nobody writes. */
  without?: readonly string[];
}

export interface EndedRun {
  plan: RunPlan;
  run: RunRecord;
  phases: Readonly<Record<string, PhaseRecord>>;
  events: RunEvent[];
}

export interface SuppliedFleet {
  at: TestRedis;
  home: string;
  store: RunStore;
  redis: Redis;
  blobs: BlobStore;
  policySet: PolicySet;
  models: ModelConfig;
  /** Prepares and enqueues a workflow from its text, as `maestro run` does. */
  start(workflow: string, more?: Partial<RunRequest>): Promise<RunPlan>;
  ended(plan: RunPlan): Promise<EndedRun>;
  run(workflow: string, more?: Partial<RunRequest>): Promise<EndedRun>;
  /** When each piece of work began and ended, in order: `design+`, `design-`. */
  log: string[];
}

const REVIEWERS = ['phase_reviewer', 'security_specialist'];

const personaText = (name: string, more = ''): string => `apiVersion: maestro/v1
name: ${name}
role: Test author
tools: [write_file]
prompt: |
  Writes what a phase must hand over, and says nothing of it that any gate would read.
${more}`;

/** One call of a tool that writes: what the fleet recorded of the conversation. */
const TRANSCRIPT = {
  schemaVersion: 1,
  messages: [
    { role: 'user', content: [{ type: 'text', text: 'work' }] },
    { role: 'assistant', content: [{ type: 'tool_use', id: 't1', name: 'write_file', input: { path: 'x' } }] },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't1', content: 'wrote x' }] },
  ],
  calls: [],
  lineage: [],
  refusedCalls: [],
  resumed: 'fresh',
};

/**
 * Whole runs over the real queues with the real gate jobs: planned from a workflow file, evaluated by the shipped
 * policies, committed, merged and bundled. Two things stand in: personas only write the files that artifacts ask for, and
 * one collector supplies every value, judgements included. Nothing is read from what a persona says.
 */
export async function startSuppliedFleet(at: TestRedis, options: SuppliedFleetOptions): Promise<SuppliedFleet> {
  const home = await tempFolder();
  const { model, isPaid = false } = options;
  const anthropic = { apiKey: isPaid ? 'a-key-for-tests' : undefined, authToken: undefined, baseUrl: model };
  const read = readConfig({ MAESTRO_HOME: home }, '/');
  const config = { ...read, prefix: at.prefix, scriptedUrl: isPaid ? undefined : model, anthropic };
  const redis = await at.connect();
  const store = new RunStore(redis, at.prefix);
  const blobs = openBlobStore(config.blobs);
  const sources = await loadRunSources(await writeDefinitions(options));
  const { policySet } = sources;
  const log: string[] = [];
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
      run: () => Promise.reject(new Error('what is supplied runs nothing')),
    },
    definitions: new DefinitionsCache(blobs),
    models: sources.models,
    measuring: { collectors: suppliedCollectors(policySet, options.metrics), processes: options.processes },
    logger: silentLogger(),
  };
  const personas = [...REVIEWERS, ...Object.keys(personasOf(options))];
  const fleet: Fleet = await startFleet(
    ctx,
    { personas, gates: true, concurrency: 10 },
    {
      gate: closePhase,
      persona: options.model === undefined ? personaHandler({ ...options, policySet, log }) : doPersonaJob,
    },
  );
  onTestFinished(() => fleet.close(5_000));

  const start = async (workflow: string, more: Partial<RunRequest> = {}): Promise<RunPlan> => {
    const loaded = parseWorkflow({ file: 'case.yaml', text: workflow });
    const request = isPaid
      ? ({ inputs: {}, provider: 'anthropic', scripted: null } as const)
      : ({ inputs: {}, provider: 'scripted', scripted: { scenario: 'main', approvals: true } } as const);
    const plan = await prepareRun(blobs, sources, loaded, { ...request, ...more });
    await enqueueRun({ redis, prefix: at.prefix, store }, plan);
    return plan;
  };
  const ended = async (plan: RunPlan): Promise<EndedRun> => {
    const hasEnded = async (): Promise<boolean> => TERMINAL_RUN.includes((await store.getRun(plan.runId)).status);
    await expect.poll(hasEnded, { timeout: 50_000, interval: 50 }).toBe(true);
    const phases = await store.getPhases(plan.runId);
    return {
      plan,
      run: await store.getRun(plan.runId),
      phases: Object.fromEntries(phases.map((record) => [record.phase, record])),
      events: await store.readEvents(plan.runId, 0),
    };
  };
  const run = async (workflow: string, more: Partial<RunRequest> = {}): Promise<EndedRun> =>
    ended(await start(workflow, more));
  return { at, home, store, redis, blobs, policySet, models: sources.models, start, ended, run, log };
}

const personasOf = ({ personas = { author: '' } }: SuppliedFleetOptions): Readonly<Record<string, string>> => personas;

/** The shipped policies and reviewers beside the personas of the test. */
async function writeDefinitions(
  options: SuppliedFleetOptions,
): Promise<{ personas: string; policies: string; models: string }> {
  const [personas, policies] = [await tempFolder(), await tempFolder()];
  for (const name of REVIEWERS) await copyFile(packagePath('personas', `${name}.yaml`), join(personas, `${name}.yaml`));
  for (const [name, more] of Object.entries(personasOf(options)))
    await writeFile(join(personas, `${name}.yaml`), personaText(name, more));
  const text = await readFile(packagePath('policies', 'phase_slos.yaml'), 'utf8');
  // Judgements are supplied like every other value here; who is asked for them stays as it is.
  const supplied = text.replaceAll(/^( {4}collector: )(?:review|approval)$/gm, '$1judged');
  await writeFile(join(policies, 'phase_slos.yaml'), options.policies?.(supplied) ?? supplied);
  await copyFile(packagePath('policies', 'persona_contracts.yaml'), join(policies, 'persona_contracts.yaml'));
  const models = join(await tempFolder(), 'models.yaml');
  if (options.models === undefined) await copyFile(packagePath('config', 'models.yaml'), models);
  else await writeFile(models, options.models);
  return { personas, policies, models };
}

/** In the place of every collector: reads the value that was supplied, and leaves the report that artifacts ask for. */
function suppliedCollectors(policySet: PolicySet, metrics: SuppliedFleetOptions['metrics']): Collector[] {
  const ids = [...new Set(Object.values(policySet.metrics).map((spec) => spec.collector))];
  const reports = Object.values(policySet.artifacts).flatMap((spec) => spec.reports);
  return ids.map((id) => ({
    id,
    version: 'supplied',
    metrics: Object.entries(policySet.metrics).flatMap(([name, spec]) => (spec.collector === id ? [name] : [])),
    timeoutMs: 10_000,
    collect: async (context) => {
      const given = metrics(context.phase, context.run.round);
      for (const report of reports.filter((glob) => glob.startsWith(`${id}/`)))
        await writeFile(join(context.outDir, pathFor(report.slice(id.length + 1), 'report')), '{}');
      return {
        values: Object.fromEntries(
          Object.keys(context.metrics).map((metric) => {
            const value = given[metric];
            return [metric, value === undefined ? { notEvaluable: 'not supplied' } : { value, examined: 100 }];
          }),
        ),
        findings: [],
        evidence: [{ kind: 'supplied', summary: 'a value that the test supplied' }],
      };
    },
  }));
}

/** A path that a glob matches. */
const pathFor = (glob: string, name: string): string =>
  glob
    .replaceAll(/\{([^,}]*)[^}]*\}/g, '$1')
    .replace(/^\*\*$/, `${name}.json`)
    .replaceAll('**/', '')
    .replaceAll('**', `${name}.json`)
    .replaceAll('*', name);

/** What an artifact must hold at least. The same in every phase, so that branches which write the same file agree. */
const textFor = (artifact: string, spec: ArtifactSpec): string =>
  [
    `# ${artifact}`,
    ...spec.sections.map((title) => `\n## ${title}\n\nWritten for ${title}.`),
    ...(spec.fenced === undefined ? [] : [`\n\`\`\`${spec.fenced}\ngraph TD; a-->b\n\`\`\``]),
    '',
  ].join('\n');

function personaHandler(of: SuppliedFleetOptions & { policySet: PolicySet; log: string[] }): FleetHandlers['persona'] {
  return async (ctx, attempt) => {
    const { data, signal } = attempt;
    const plan = await ctx.store.getPlan(data.runId);
    const phase = plan.phases.find((planned) => planned.name === data.phase);
    if (phase === undefined) throw new Error('no such phase');
    const { persona, kind, round } = data;
    const { provider } = plan;
    const common = {
      phase: phase.name,
      persona,
      kind,
      round,
      findings: [],
      usage: NO_USAGE,
      provider,
      simulated: true,
    };
    const transcript = await putJson(ctx.blobs, TRANSCRIPT);
    if (kind === 'review') {
      const items = [{ item: 'all of it', met: true }];
      const judgements = data.metrics.map((metric) => ({ metric, items, summary: 'looked at it' }));
      const handoff = await putJson(ctx.blobs, { judgements });
      return { ...common, commit: null, bundle: null, handoff, transcript };
    }
    if ((await beginPhase(ctx, attempt, plan, phase)) === 'skipped') return null;
    const parent = join(ctx.config.home, 'persona-work');
    await mkdir(parent, { recursive: true });
    const { base } = data;
    const sources =
      base === null ? await neededSources(ctx.store, data.runId, phase) : [{ label: phase.name, ...base }];
    const { workspace } = await openWorkspace({
      dir: await mkdtemp(join(parent, 'job-')),
      blobs: ctx.blobs,
      sources,
      onConflict: 'mark',
    });
    const { dir } = workspace;
    of.log.push(`${phase.name}+`);
    await of.work?.({ phase: phase.name, persona, round, attempt: attempt.attempt.number, dir, signal });
    signal.throwIfAborted();
    if (phase.policy !== null) await writeArtifacts(of, dir, phase.name, phase.policy);
    await writeFile(join(dir, `note-${phase.name}-${persona}-${round}.md`), `Round ${round} of ${phase.name}.\n`);
    await workspace.commitAll({
      message: `${phase.name}: round ${round}`,
      trailers: { Run: data.runId, Phase: phase.name, Persona: persona },
      author: { name: persona, email: `${persona}@example.invalid` },
      date: new Date().toISOString(),
    });
    of.log.push(`${phase.name}-`);
    const handoff = await putJson(ctx.blobs, { summary: 'Files are written.' });
    return { ...common, ...(await workspace.bundle()), handoff, transcript };
  };
}

/** Writes every required artifact of the phase's policy that is a file and not there yet. */
async function writeArtifacts(
  { policySet, without = [] }: SuppliedFleetOptions & { policySet: PolicySet },
  dir: string,
  phase: string,
  policy: string,
): Promise<void> {
  const { required_artifacts } = policyOf(policySet, policy).policy;
  for (const artifact of required_artifacts.filter((name) => !without.includes(name))) {
    const spec = policySet.artifacts[artifact];
    const [glob] = spec?.paths ?? [];
    if (spec === undefined || spec.source !== 'files' || glob === undefined) continue;
    const path = join(dir, pathFor(glob, phase));
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) continue;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, textFor(artifact, spec));
  }
}

/** The verdict of a phase's last round. */
export function lastVerdict({ phases }: EndedRun, phase: string): PhaseVerdict {
  const verdict = phases[phase]?.rounds.at(-1)?.verdict;
  if (verdict === undefined) throw new Error(`phase ${phase} was never judged`);
  return verdict;
}
