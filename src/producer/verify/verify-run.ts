import type { KeyObject } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { BlobReader } from '../../shared/blob-store.ts';
import { FleetError } from '../../shared/errors.ts';
import { type Envelope, keyIdOf, open } from '../../shared/evidence/dsse.ts';
import { RunStatement } from '../../shared/evidence/statement.ts';
import type { PhaseRecord } from '../../shared/run-record.ts';
import type { RunStore } from '../../shared/run-store.ts';
import { allBlobs } from './bundle-file.ts';
import { checkCalls } from './check-calls.ts';
import { checkFiles } from './check-files.ts';
import { checkOrigin, checkOutcome } from './check-outcome.ts';
import { checkVerdicts } from './check-verdicts.ts';
import { EvidenceCheck, asWritten, checked } from './check.ts';
import { readTalks } from './transcripts.ts';

/** What was found of the evidence of a run. */
export const Verification = z.strictObject({
  runId: z.string(),
  workflow: z.string(),
  status: z.string(),
  simulated: z.boolean(),
  replayed: z.boolean(),
  sealedAt: z.string(),
  /** The sha256 of the key that signed it, when it is a trusted one. */
  signedBy: z.string().nullable(),
  verified: z.boolean(),
  checks: z.array(EvidenceCheck),
});
export type Verification = z.infer<typeof Verification>;

/**
 * Checks the evidence of a run: who signed it, whether everything it rests on is there unchanged, and whether that leads
 * to what the run is said to have been. `store`, where the run is still there: whether its records say the same.
 */
export async function verifyRun(of: {
  envelope: Envelope;
  trusted: readonly KeyObject[];
  blobs: BlobReader;
  store?: RunStore | undefined;
}): Promise<Verification> {
  const { payload, signedBy } = open(of.envelope, of.trusted);
  const statement = RunStatement.parse(JSON.parse(payload.toString('utf8')));
  const { run, plan, sealedAt } = statement.predicate;
  const { blobs } = of;
  const there = await checkBlobs(blobs, statement);
  const checks = [checkSignature(of, signedBy), there];
  if (of.store !== undefined) checks.push(await checkRecords(of.store, statement));
  // Without what it rests on nothing more can be told, and what is missing has been said.
  if (there.outcome === 'held') {
    const talks = await readTalks(blobs, statement);
    checks.push(await checkCalls(blobs, statement, talks));
    checks.push(await checkFiles(blobs, statement, talks));
    checks.push(await checkVerdicts(blobs, statement));
    checks.push(checkOutcome(statement), checkOrigin(statement, talks));
  }
  return {
    runId: run.runId,
    workflow: plan.workflow,
    status: run.status,
    simulated: run.simulated,
    replayed: run.replayed === true,
    sealedAt,
    signedBy,
    verified: checks.every(({ outcome }) => outcome === 'held'),
    checks,
  };
}

function checkSignature(
  of: { envelope: Envelope; trusted: readonly KeyObject[] },
  signedBy: string | null,
): EvidenceCheck {
  const { signatures } = of.envelope;
  const theirs = signatures.map(({ keyid }) => keyid.slice(0, 16)).join(', ');
  const ours = of.trusted.map((key) => keyIdOf(key).slice(0, 16)).join(', ') || 'none';
  const problems =
    signedBy === null ? [`no trusted key signed it: it names the key ${theirs}, trusted here: ${ours}`] : [];
  return checked('signature', 'signatures', { examined: signatures.length, problems });
}

/** Reads all that a statement rests on, with what that rests on itself; what was read is hashed by the store. */
async function checkBlobs(blobs: BlobReader, statement: RunStatement): Promise<EvidenceCheck> {
  const problems: string[] = [];
  let examined = 0;
  try {
    for await (const ref of allBlobs(blobs, statement)) {
      examined += 1;
      await blobs.get(ref).catch((err: unknown) => {
        if (!(err instanceof FleetError)) throw err;
        problems.push(err.message);
      });
    }
  } catch (err) {
    // The evidence of a round is not there: what it names cannot be looked for.
    if (!(err instanceof FleetError)) throw err;
    problems.push(err.message);
  }
  return checked('blobs', 'blobs by their sha256', { examined, problems });
}

/** What is compared of a phase: what it came to, and what it hands on. */
const core = ({ status, commit, bundle, rounds, simulated }: PhaseRecord): unknown =>
  asWritten({ status, commit, bundle, rounds, simulated });

/** The records of the run say today what was sealed when it ended. */
async function checkRecords(store: RunStore, { predicate }: RunStatement): Promise<EvidenceCheck> {
  const { runId } = predicate.run;
  const [run, phases] = await Promise.all([store.getRun(runId), store.getPhases(runId)]);
  const sealed = new Map(predicate.phases.map((phase) => [phase.phase, phase]));
  const problems = [
    ...(['status', 'generation', 'simulated', 'finishedAt'] as const).flatMap((field) =>
      run[field] === predicate.run[field]
        ? []
        : [`the run's ${field} is ${run[field]}, sealed was ${predicate.run[field]}`],
    ),
    ...phases.flatMap((phase) => {
      const before = sealed.get(phase.phase);
      if (before === undefined) return [`${phase.phase} was not sealed`];
      return isDeepStrictEqual(core(phase), core(before))
        ? []
        : [`the record of ${phase.phase} is not the one that was sealed`];
    }),
    ...[...sealed.keys()]
      .filter((name) => !phases.some(({ phase }) => phase === name))
      .map((name) => `${name} is gone`),
  ];
  return checked('records', 'records', { examined: phases.length + 1, problems });
}
