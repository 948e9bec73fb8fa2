import { FleetError, InvalidInputError, errorMessage } from '../../../shared/errors.ts';
import type { Evidence, Finding } from '../../../shared/verdict.ts';
import type { CollectContext, Collected, CollectedValue, Collector } from '../../collector.ts';

/** The reading of one metric, with what its author should mend. */
export interface Reading {
  value: CollectedValue;
  findings: Finding[];
}

/** Where a finding points, and how bad it is. */
interface FindingPlace {
  file?: string | undefined;
  line?: number | undefined;
  column?: number | undefined;
  severity?: Finding['severity'];
}

/** A finding with a place that may be unknown. */
export const finding = (metric: string, rule: string, message: string, place: FindingPlace = {}): Finding => ({
  metric,
  rule,
  message,
  severity: place.severity ?? 'error',
  ...(place.file === undefined ? {} : { file: place.file }),
  ...(place.line === undefined ? {} : { line: place.line }),
  ...(place.column === undefined ? {} : { column: place.column }),
});

/** No value, and why: the reason is also a finding, because it is the author's next task. */
export const notEvaluable = (
  metric: string,
  rule: string,
  reason: string,
  place: FindingPlace & { evidence?: Evidence[] } = {},
): Reading => ({
  value: { notEvaluable: reason, ...(place.evidence === undefined ? {} : { evidence: place.evidence }) },
  findings: [finding(metric, rule, reason, place)],
});

/** A number that was read from `examined` things. */
export const measured = (
  value: number,
  examined: number,
  summary: string,
  options: { findings?: Finding[]; kind?: Evidence['kind']; evidence?: Partial<Evidence> } = {},
): Reading => ({
  value: {
    value,
    examined,
    evidence: [{ kind: options.kind ?? 'file', summary, ...options.evidence }],
  },
  findings: options.findings ?? [],
});

/** One thing that a document must hold, and the finding that its absence makes. */
export interface Check {
  ok: boolean;
  finding: Finding;
}

/** The share of checks that hold; the ones that do not are findings. */
export function shareOf(checks: readonly Check[], subject: string): Reading {
  const held = checks.filter((check) => check.ok).length;
  const findings = checks.filter((check) => !check.ok).map((check) => check.finding);
  return measured(
    checks.length === 0 ? 0 : held / checks.length,
    checks.length,
    `${subject}: ${held} of ${checks.length} hold`,
    {
      findings,
    },
  );
}

/** 1 when every check holds, else 0. */
export function allOf(checks: readonly Check[], subject: string): Reading {
  const reading = shareOf(checks, subject);
  if ('notEvaluable' in reading.value) return reading;
  return { ...reading, value: { ...reading.value, value: reading.value.value === 1 ? 1 : 0 } };
}

interface CollectorDefinition<T> {
  id: string;
  version: string;
  timeoutMs: number;
  /** Reads what all measures share, once. */
  prepare(context: CollectContext): Promise<T>;
  measures: Readonly<Record<string, (data: T, context: CollectContext, metric: string) => Reading | Promise<Reading>>>;
}

/** What an unreadable file means for a metric; faults of the fleet itself are rethrown. */
function unreadable(metric: string, err: unknown): Reading {
  if (!(err instanceof InvalidInputError)) throw err;
  return {
    value: { notEvaluable: err.message },
    findings: err.problems.map((problem) => finding(metric, 'document/unreadable', problem.message, problem)),
  };
}

/** Builds a collector from one function per metric; a metric whose file cannot be read leaves the others alone. */
export function defineCollector<T>(definition: CollectorDefinition<T>): Collector {
  const { id, version, timeoutMs, measures } = definition;
  return {
    id,
    version,
    timeoutMs,
    metrics: Object.keys(measures),
    async collect(context): Promise<Collected> {
      const collected: Collected = { values: {}, findings: [], evidence: [] };
      const put = (metric: string, reading: Reading): void => {
        collected.values[metric] = reading.value;
        collected.findings.push(...reading.findings);
      };
      const wanted = Object.keys(context.metrics).filter((metric) => Object.hasOwn(measures, metric));
      let data: T;
      try {
        data = await definition.prepare(context);
      } catch (err) {
        for (const metric of wanted) put(metric, unreadable(metric, err));
        return collected;
      }
      for (const metric of wanted) {
        const measure = measures[metric];
        if (measure === undefined) throw new FleetError('INTERNAL', `no measure for ${metric}`);
        try {
          put(metric, await measure(data, context, metric));
        } catch (err) {
          put(metric, unreadable(metric, err));
        }
      }
      return collected;
    },
  };
}

/** The text of an error for a reason. */
export const reasonOf = (err: unknown): string => errorMessage(err).split('\n').slice(0, 5).join(' ');
