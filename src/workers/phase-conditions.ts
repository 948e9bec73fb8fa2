import { getJson } from '../shared/blob-store.ts';
import { FleetError, errorMessage } from '../shared/errors.ts';
import { CHECKED_BEFORE, type Reference } from '../shared/expression-references.ts';
import {
  type Expression,
  type Reading,
  type Wanted,
  compileExpression,
  evaluateCondition,
} from '../shared/expressions.ts';
import { Handoff } from '../shared/handoff.ts';
import { RoundEvidence } from '../shared/round-evidence.ts';
import { type PhaseRecord, type PlannedPhase, type RunPlan, inputsOf } from '../shared/run-record.ts';
import { inputReading } from '../shared/templates.ts';
import type { WorkerContext } from './worker-context.ts';

type Stores = Pick<WorkerContext, 'store' | 'blobs'>;

/** The condition of a phase that does not hold; undefined when all of them hold. Throws `BAD_INPUT` when one has no result. */
export async function unmetCondition(ctx: Stores, plan: RunPlan, phase: PlannedPhase): Promise<string | undefined> {
  for (const { text, prefix } of phase.conditions ?? []) {
    const { expression, read } = await prepareExpression(ctx, plan, { text, prefix, wanted: 'condition' });
    if (!withResult('if', text, () => evaluateCondition(expression, read))) return text;
  }
  return undefined;
}

/** The result of an expression; that it has none is a mistake in the workflow or in what it was given. */
export function withResult<T>(key: string, text: string, evaluate: () => T): T {
  try {
    return evaluate();
  } catch (err) {
    throw new FleetError('BAD_INPUT', `\`${key}: ${text}\` has no result: ${errorMessage(err)}`, { cause: err });
  }
}

/** An expression of a run under way, with the values of all that it reads. */
export async function prepareExpression(
  ctx: Stores,
  plan: RunPlan,
  of: { text: string; prefix: string; wanted: Wanted },
): Promise<{ expression: Expression; read: (reference: Reference) => Reading }> {
  const compiled = compileExpression(of.text, CHECKED_BEFORE, of.wanted);
  if (!compiled.ok)
    throw new FleetError('BAD_INPUT', `\`${of.text}\`: ${compiled.problems.map(({ message }) => message).join('; ')}`);
  const readings = new Map<string, Reading>();
  const known = new Map<string, PhaseRecord>();
  for (const reference of compiled.expression.references)
    readings.set(JSON.stringify(reference), await readingOf(ctx, plan, { ...of, reference, known }));
  return {
    expression: compiled.expression,
    read: (reference) => readings.get(JSON.stringify(reference)) ?? { missing: 'it has no value' },
  };
}

async function readingOf(
  ctx: Stores,
  plan: RunPlan,
  of: { prefix: string; reference: Reference; known: Map<string, PhaseRecord> },
): Promise<Reading> {
  const { prefix, reference, known } = of;
  if (reference.kind === 'input') return inputReading(reference.name, inputsOf(plan, prefix));
  if (reference.kind === 'item') return { missing: 'there is no item' };
  const name = `${prefix}${reference.phase}`;
  const record = known.get(name) ?? (await ctx.store.getPhase(plan.runId, name));
  known.set(name, record);
  if (reference.kind === 'status') return { value: record.status };
  if (record.status === 'skipped') return { missing: `phase ${name} was skipped, so it has no results` };
  return reference.kind === 'metric'
    ? metricReading(ctx, record, reference.metric)
    : outputReading(ctx, record, reference.output);
}

/** What the last round of a phase measured. */
async function metricReading({ blobs }: Stores, record: PhaseRecord, metric: string): Promise<Reading> {
  const last = record.rounds.at(-1);
  const measured =
    last === undefined
      ? undefined
      : (await getJson(blobs, last.evidence, RoundEvidence)).measurements.find((found) => found.metric === metric);
  if (measured?.status === 'measured') return { value: measured.value };
  const why = measured === undefined ? '' : `: ${measured.reason}`;
  return { missing: `phase ${record.phase} has no measured ${metric}${why}` };
}

/** What the personas of a phase handed over under a name; of several, the last one named in the phase. */
async function outputReading({ blobs }: Stores, record: PhaseRecord, output: string): Promise<Reading> {
  for (const ref of Object.values(record.handoffs).toReversed()) {
    const { outputs } = await getJson(blobs, ref, Handoff);
    if (outputs !== undefined && Object.hasOwn(outputs, output)) return { value: outputs[output] };
  }
  return { missing: `phase ${record.phase} handed over no output "${output}"` };
}
