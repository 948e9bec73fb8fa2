import { z } from 'zod';
import { BlobRef, PhaseRecord, RunPlan, RunRecord } from '../run-record.ts';

export const PREDICATE_TYPE = 'urn:maestro-fleet:run-evidence:v1';

/** What a run is said to have been when it ended: its records as they were, and the addresses of all they rest on. */
const RunEvidencePredicate = z.strictObject({
  schemaVersion: z.literal(1),
  sealedAt: z.string(),
  run: RunRecord,
  plan: RunPlan,
  phases: z.array(PhaseRecord),
  /** The ledger of its calls to models, a JSON array. */
  calls: BlobRef,
});

/** An in-toto statement about a run. Its subjects are the commits that its phases handed on. */
export const RunStatement = z.strictObject({
  _type: z.literal('https://in-toto.io/Statement/v1'),
  subject: z.array(z.strictObject({ name: z.string(), digest: z.strictObject({ gitCommit: z.string() }) })),
  predicateType: z.literal(PREDICATE_TYPE),
  predicate: RunEvidencePredicate,
});
export type RunStatement = z.infer<typeof RunStatement>;

/** The statement about a run from its records. */
export const statementOf = (records: Omit<z.infer<typeof RunEvidencePredicate>, 'schemaVersion'>): RunStatement => ({
  _type: 'https://in-toto.io/Statement/v1',
  subject: records.phases.flatMap(({ phase, commit }) =>
    commit === null ? [] : [{ name: `phase/${phase}`, digest: { gitCommit: commit } }],
  ),
  predicateType: PREDICATE_TYPE,
  predicate: { schemaVersion: 1, ...records },
});

/** Every blob that a statement rests on. */
export const restsOn = ({ predicate: { plan, phases, calls } }: RunStatement): BlobRef[] => [
  ...new Set([
    plan.definitions,
    calls,
    ...[plan.files?.bundle, plan.startFrom?.given?.bundle, plan.cassette?.ref].flatMap((ref) => ref ?? []),
    ...phases.flatMap((phase) => [
      ...(phase.bundle === null ? [] : [phase.bundle]),
      ...(phase.given === undefined ? [] : [phase.given.bundle]),
      ...Object.values(phase.handoffs),
      ...Object.values(phase.transcripts),
      ...phase.rounds.flatMap(({ evidence, candidate }) => [evidence, ...(candidate ? [candidate.bundle] : [])]),
    ]),
  ]),
];
