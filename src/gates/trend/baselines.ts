import { z } from 'zod';
import type { Baseline } from '../../shared/baseline.ts';
import { FleetError, errorMessage } from '../../shared/errors.ts';
import type { PhaseRecord, RunRecord } from '../../shared/run-record.ts';
import { type CriterionResult, PhaseVerdict } from '../../shared/verdict.ts';

type Values = Baseline['values'];

/** The values of a verdict, except those of a criterion or gate that failed or was bypassed. */
function goodValues(verdict: PhaseVerdict, source: string): { values: Values; bad: ReadonlySet<string> } {
  const read = [
    ...verdict.targets.map((target) => ({ metric: target.metric, value: target.value, isBad: false })),
    ...verdict.criteria.map((result) => ({
      metric: result.criterion,
      value: result.value,
      isBad: result.outcome !== 'passed' && !lacksOnlyBaseline(result),
    })),
    ...verdict.gates.flatMap((gate) =>
      Object.entries(gate.values).map(([metric, { value }]) => ({ metric, value, isBad: gate.outcome !== 'passed' })),
    ),
  ];
  const bad = new Set(read.filter((each) => each.isBad).map((each) => each.metric));
  const values: Values = {};
  for (const { metric, value } of read) if (value !== null && !bad.has(metric)) values[metric] = { value, source };
  return { values, bad };
}

/** A criterion that only warns because there was nothing to compare with: its value is what the next run needs. */
function lacksOnlyBaseline({ outcome, value, threshold, direction }: CriterionResult): boolean {
  if (outcome !== 'failed' || value === null) return false;
  return threshold === null || (direction === 'min' ? value >= threshold : value <= threshold);
}

/**
 * The baseline that a phase of a passed run leaves. What only got through with a warning or a bypass keeps the value
 * it had before: a bypass never lowers what the next run is compared with.
 */
export function baselineOf(
  run: Pick<RunRecord, 'runId' | 'finishedAt' | 'simulated'>,
  record: PhaseRecord,
  before: Baseline | null,
): Baseline | null {
  const last = record.rounds.at(-1);
  if (last === undefined || (record.status !== 'passed' && record.status !== 'passed_with_warnings')) return null;
  const at = run.finishedAt ?? last.at;
  if (before !== null && before.at > at) return null;
  const source = `run ${run.runId}`;
  const { values, bad } = goodValues(last.verdict, source);
  const kept = Object.entries(before?.values ?? {}).filter(([metric]) => bad.has(metric));
  return {
    schemaVersion: 1,
    source,
    phase: record.phase,
    policy: last.verdict.policy,
    tree: last.tree ?? '',
    at,
    simulated: run.simulated,
    values: { ...values, ...Object.fromEntries(kept) },
  };
}

/** What is read of the JSON report of an earlier `maestro gates`. */
const EarlierReport = PhaseVerdict.extend({ tree: z.string().optional() }).loose();

/** The baseline that an earlier JSON report stands for. Throws `BAD_INPUT` unless that phase passed. */
export function baselineFromReport(text: string, file: string, of: { phase: string; policy: string }): Baseline {
  const refuse = (message: string): FleetError =>
    new FleetError('BAD_INPUT', `--baseline ${file}: ${message}`, {
      remedy:
        'Give the JSON report of a run of the same phase that passed (maestro gates DIR --phase P --format json).',
    });
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (err) {
    throw refuse(`not JSON: ${errorMessage(err)}`);
  }
  const parsed = EarlierReport.safeParse(document);
  if (!parsed.success) throw refuse('not a report of `maestro gates`');
  const { phase, policy, verdict, tree, simulated } = parsed.data;
  if (phase !== of.phase || policy !== of.policy)
    throw refuse(`it judged phase ${phase} by policy ${policy}, not phase ${of.phase} by ${of.policy}`);
  if (verdict !== 'passed' && verdict !== 'passed_with_warnings') throw refuse(`that run was ${verdict}`);
  const { values } = goodValues(parsed.data, file);
  return { schemaVersion: 1, source: file, phase, policy, tree: tree ?? '', at: '', simulated, values };
}
