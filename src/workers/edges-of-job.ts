import { type MetNeed, type Owed, findNeeds, owedBy } from '../gates/contracts/edges.ts';
import { getJson } from '../shared/blob-store.ts';
import { FleetError } from '../shared/errors.ts';
import { Handoff } from '../shared/handoff.ts';
import type { Persona } from '../shared/persona-schema.ts';
import { phasesBefore } from '../shared/phases-before.ts';
import { type PlannedPhase, type RunPlan, inputsOf } from '../shared/run-record.ts';
import type { AncestorHandoff } from './agent/prompts.ts';
import type { LoadedDefinitions, WorkerContext } from './worker-context.ts';

interface Job {
  ctx: WorkerContext;
  plan: RunPlan;
  phase: PlannedPhase;
  persona: Persona;
  loaded: LoadedDefinitions;
}

/** What every phase before handed over, in full, oldest first. */
export async function ancestorHandoffs({ plan, ctx, phase }: Job): Promise<AncestorHandoff[]> {
  const ancestors: AncestorHandoff[] = [];
  for (const earlier of phasesBefore(plan.phases, phase)) {
    const { handoffs } = await ctx.store.getPhase(plan.runId, earlier.name);
    for (const [persona, ref] of Object.entries(handoffs))
      ancestors.push({ phase: earlier.name, persona, handoff: await getJson(ctx.blobs, ref, Handoff) });
  }
  return ancestors;
}

/** What the persona needs and where it comes from, and what others need of it. It does not begin without what it needs. */
export async function edgesOfJob(
  { plan, phase, persona, loaded }: Job,
  root: string,
  isFirstRound: boolean,
): Promise<{ needs: MetNeed[]; owed: Owed[] }> {
  const web = { phases: plan.phases, personas: loaded.definitions.personas };
  const { met, unmet } = await findNeeds(root, web, {
    phase,
    persona: persona.name,
    inputs: { ...plan.inputs, ...inputsOf(plan, phase.prefix) },
    artifacts: loaded.policySet.artifacts,
  });
  // In a later round it goes on from its own work.
  if (isFirstRound && unmet.length > 0)
    throw new FleetError('NEEDS_UNMET', `${persona.name} did not begin phase "${phase.name}": ${unmet.join('; ')}`, {
      remedy: 'Run the phase that hands it on again, or give the files.',
    });
  const makes = Object.keys(persona.deliverables);
  return { needs: met, owed: owedBy(web, phase).filter(({ need }) => makes.includes(need)) };
}
