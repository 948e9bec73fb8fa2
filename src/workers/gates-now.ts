import { mkdir, mkdtemp } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { RunContext } from '../gates/collector.ts';
import { lookForWork, originsOf } from '../gates/contracts/look-for-work.ts';
import { evaluatePhase } from '../gates/evaluate.ts';
import { withIntegrity } from '../gates/integrity/verdict.ts';
import { measurePhase } from '../gates/measure.ts';
import type { IntegrityCheck } from '../shared/round-evidence.ts';
import { type PlannedPhase, type RunPlan, writtenName } from '../shared/run-record.ts';
import type { Workspace } from '../shared/workspace.ts';
import { edgesOf } from './edges-of-gate.ts';
import { measureIntegrity } from './gate-integrity.ts';
import { JUDGEMENT_COLLECTORS } from './gate-measure.ts';
import { gateText } from './gate-text.ts';
import { type LoadedDefinitions, type WorkerContext, documentReader } from './worker-context.ts';
import { removeTree } from '../shared/remove-tree.ts';
import { Turns } from '../shared/turns.ts';

interface Asked {
  plan: RunPlan;
  phase: PlannedPhase;
  loaded: LoadedDefinitions;
  /** Who asks: its own contract is judged, and nobody else's. */
  persona: string;
  round: number;
  inputs: RunContext['inputs'];
  workspace: Workspace;
  /** Commits the files as they are: what is measured is what would be handed off. */
  checkpoint: () => Promise<unknown>;
  /** A folder for this job's measurements. */
  scratch: string;
  signal: AbortSignal;
}

/** However many conversations ask at once: each measurement keeps cores busy, and takes processes with heaps of their own. */
const turns = new Turns(availableParallelism());

/** What the gate would measure and check of the work as it is now, for the `run_gates` tool. */
export async function gatesNow(ctx: WorkerContext, asked: Asked): Promise<string> {
  const { policy } = asked.phase;
  if (policy === null) return 'This phase is not gated.';
  await asked.checkpoint();
  return turns.run(asked.signal, () => measureNow(ctx, asked, policy));
}

async function measureNow(ctx: WorkerContext, asked: Asked, policy: string): Promise<string> {
  const { plan, phase, loaded, workspace, signal } = asked;
  const personas = [asked.persona];
  const record = await ctx.store.getPhase(plan.runId, phase.name);
  await mkdir(asked.scratch, { recursive: true });
  const dir = await mkdtemp(join(asked.scratch, 'now-'));
  try {
    const root = join(dir, 'root');
    const { leftOut } = await workspace.exportTo(root);
    const run: RunContext = {
      approvals: [],
      judgements: [],
      phaseStartedAt: record.startedAt ?? undefined,
      round: asked.round,
      inputs: asked.inputs,
      given: loaded.given,
    };
    const measured = await measurePhase({
      root,
      scratch: join(dir, 'out'),
      phase: writtenName(phase),
      policySet: loaded.policySet,
      policy,
      personas,
      sandbox: ctx.sandbox,
      run,
      ...ctx.measuring,
      skipCollectors: JUDGEMENT_COLLECTORS,
      signal,
      logger: ctx.logger,
    });
    const integrity = await measureIntegrity(ctx, {
      plan,
      phase,
      run,
      loaded,
      signal,
      dir,
      root,
      workspace,
      strayLinks: leftOut,
    });
    const verdict = evaluatePhase({
      policySet: loaded.policySet,
      policy,
      phase: phase.name,
      fallback: phase.policyFallback,
      measurements: measured.measurements,
      artifacts: measured.artifacts,
      work: await lookForWork(
        root,
        personas,
        loaded.definitions.personas,
        originsOf(integrity.changed, await workspace.lastPersonas(await workspace.head())),
        documentReader(ctx, signal),
      ),
    });
    // What its hand-off says is not known yet; the files that others need of it are.
    const edges = await edgesOf({ ctx, plan, phase, loaded, signal });
    const needed = (await edges.look(root)).filter((finding) => finding.persona === asked.persona);
    const checks = [...integrity.checks, ...edges.check(needed)];
    const findings = [...measured.findings, ...integrity.findings, ...needed];
    return [
      ...checks.filter(({ outcome }) => outcome === 'held').map(heldLine),
      gateText(withIntegrity(verdict, checks), findings),
    ].join('\n');
  } finally {
    await removeTree(dir);
  }
}

const heldLine = ({ check, message }: IntegrityCheck): string => `passed integrity/${check}: ${message}`;
