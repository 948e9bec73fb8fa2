import { z } from 'zod';
import type { GivenFile } from '../../../shared/definitions.ts';
import { FleetError, InvalidInputError } from '../../../shared/errors.ts';
import { parseYaml } from '../../../shared/yaml-file.ts';
import type { CollectContext } from '../../collector.ts';

const Time = z.iso.datetime({ offset: true, message: 'write a time such as 2026-01-31T09:30:00Z' });

const Incident = z.strictObject({
  id: z.string().min(1),
  title: z.string().min(1),
  severity: z.enum(['critical', 'high', 'medium', 'low']),
  opened: Time,
  /** When somebody answered the alert; null when nobody did. */
  acknowledged: Time.nullable(),
  /** When the service worked again; null when it still does not. */
  resolved: Time.nullable(),
  /** A practised alert: it shows how alerts are answered, and is no incident. */
  drill: z.boolean().default(false),
});
export type Incident = z.infer<typeof Incident>;

/** Records of a service in operation, exported from where they are kept. YAML or JSON. */
export const OperationRecords = z.strictObject({
  schema: z.literal('maestro.operations/v1'),
  service: z.string().min(1),
  /** Where this was exported from. */
  source: z.string().min(1),
  period: z.strictObject({ from: Time, to: Time }),
  /** Every incident of the period, an empty list when there was none. */
  incidents: z.array(Incident),
  /** Health checks made from outside, summed up by spans of time; left out when nobody made any. */
  availability: z
    .array(
      z
        .strictObject({
          from: Time,
          to: Time,
          probes: z.number().int().positive(),
          failed: z.number().int().nonnegative(),
        })
        .refine(({ probes, failed }) => failed <= probes, 'more probes failed than were made'),
    )
    .optional(),
});
export type OperationRecords = z.infer<typeof OperationRecords>;

const HOUR_MS = 3_600_000;
const CLOCK_SKEW_MS = 300_000;
const ms = (time: string): number => Date.parse(time);

/** Hours between two times. */
export const hoursBetween = (from: string, to: string): number => (ms(to) - ms(from)) / HOUR_MS;

/** Everything that a schema cannot say about times. */
function problemsOf(records: OperationRecords, now: number): { path: PropertyKey[]; message: string }[] {
  const { period, incidents, availability = [] } = records;
  const problems: { path: PropertyKey[]; message: string }[] = [];
  const say = (path: PropertyKey[], message: string): void => void problems.push({ path, message });
  if (ms(period.from) >= ms(period.to)) say(['period'], 'the period ends before it begins');
  if (ms(period.to) > now + CLOCK_SKEW_MS) say(['period', 'to'], 'the period ends in the future');
  incidents.forEach((incident, index) => {
    const path = ['incidents', index];
    const { id, opened, acknowledged, resolved } = incident;
    if (incidents.findIndex((other) => other.id === id) !== index) say(path, `${id} is there twice`);
    if (acknowledged !== null && ms(acknowledged) < ms(opened)) say(path, `${id} was answered before it was opened`);
    if (resolved !== null && ms(resolved) < ms(opened)) say(path, `${id} was resolved before it was opened`);
    if (acknowledged !== null && resolved !== null && ms(acknowledged) > ms(resolved)) {
      say(path, `${id} was resolved before it was answered; write null if nobody answered`);
    }
    for (const time of [opened, acknowledged, resolved]) {
      if (time !== null && (ms(time) < ms(period.from) || ms(time) > ms(period.to)))
        say(path, `${id}: ${time} is outside the period`);
    }
  });
  availability.forEach((span, index) => {
    const isInside = ms(span.from) >= ms(period.from) && ms(span.to) <= ms(period.to) && ms(span.from) < ms(span.to);
    if (!isInside) say(['availability', index], 'this span is empty, or outside the period');
    const before = availability[index - 1];
    if (before !== undefined && ms(span.from) < ms(before.to))
      say(['availability', index], 'the spans overlap, or are not in order');
  });
  return problems;
}

/** Reads and checks exported records: every problem with its place. */
export function parseRecords(given: GivenFile, now = Date.now()): OperationRecords {
  const { value, positionOf } = parseYaml(OperationRecords, { file: given.name, text: given.text });
  const problems = problemsOf(value, now);
  if (problems.length === 0) return value;
  throw new InvalidInputError(
    given.name,
    problems.map(({ path, message }) => ({ ...positionOf(path), message })),
  );
}

/** The records that the operator of the fleet gave, or why they cannot be used. */
export function readRecords(
  context: CollectContext,
  now = Date.now(),
): { records: OperationRecords } | { missing: string } {
  const given = context.run.given?.records;
  if (given === undefined) {
    return {
      missing:
        'there are no records of the service in operation: export its incidents and give them with --records FILE (docs/operation-records.md)',
    };
  }
  try {
    return { records: parseRecords(given, now) };
  } catch (err) {
    if (!(err instanceof FleetError)) throw err;
    return { missing: `the records of operation cannot be used: ${err.message}` };
  }
}
