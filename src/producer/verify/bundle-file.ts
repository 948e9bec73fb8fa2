import { createReadStream, createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { type BlobReader, getJson } from '../../shared/blob-store.ts';
import { FleetError } from '../../shared/errors.ts';
import { Envelope } from '../../shared/evidence/dsse.ts';
import { RunStatement, restsOn } from '../../shared/evidence/statement.ts';
import { RoundEvidence } from '../../shared/round-evidence.ts';
import type { BlobRef } from '../../shared/run-record.ts';
import { sha256Of } from '../../shared/sha256-of.ts';

/** A line behind the envelope: one blob. Its address is checked against its bytes whenever it is read. */
const BlobLine = z.strictObject({ sha256: z.string(), base64: z.base64() });

/** Every blob that a run's evidence rests on, those that its rounds name among them, each once. */
export async function* allBlobs(blobs: BlobReader, statement: RunStatement): AsyncGenerator<BlobRef> {
  const told = new Set<BlobRef>();
  const refs = restsOn(statement);
  for (const { evidence } of statement.predicate.phases.flatMap(({ rounds }) => rounds))
    refs.push(...(await getJson(blobs, evidence, RoundEvidence)).reports.map(({ blob }) => blob));
  for (const ref of refs) {
    if (told.has(ref)) continue;
    told.add(ref);
    yield ref;
  }
}

/** The evidence of a run as lines that can be verified anywhere: the DSSE envelope, and then each blob it rests on. */
export function evidenceLines(of: { envelope: Envelope; blobs: BlobReader }): AsyncGenerator<string> {
  const payload = Buffer.from(of.envelope.payload, 'base64').toString('utf8');
  // What does not parse is told before anything is written.
  return linesOf(of, RunStatement.parse(JSON.parse(payload)));
}

/** A multiple of three, so that the pieces are one text in base64; a blob may have a hundred megabytes. */
const PIECE_BYTES = 3 * 128 * 1024;

async function* linesOf(
  { envelope, blobs }: { envelope: Envelope; blobs: BlobReader },
  statement: RunStatement,
): AsyncGenerator<string> {
  yield `${JSON.stringify(envelope)}\n`;
  for await (const ref of allBlobs(blobs, statement)) {
    const bytes = Buffer.from(await blobs.get(ref));
    yield `{"sha256":${JSON.stringify(ref)},"base64":"`;
    for (let at = 0; at < bytes.length; at += PIECE_BYTES)
      yield bytes.subarray(at, at + PIECE_BYTES).toString('base64');
    yield '"}\n';
  }
}

/** Writes these lines into a new file. Returns how many blobs there are. */
export async function writeBundle({
  file,
  ...of
}: {
  file: string;
  envelope: Envelope;
  blobs: BlobReader;
}): Promise<number> {
  let count = -1;
  async function* counted(): AsyncGenerator<string> {
    for await (const text of evidenceLines(of)) {
      if (text.endsWith('\n')) count += 1;
      yield text;
    }
  }
  await pipeline(counted(), createWriteStream(file, { flags: 'wx', mode: 0o600 }));
  return count;
}

/** Reads such a file. Its blobs are held in memory. */
export async function readBundle(file: string): Promise<{ envelope: Envelope; blobs: BlobReader }> {
  const held = new Map<string, Buffer>();
  let envelope: Envelope | undefined;
  let line = 0;
  for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    line += 1;
    if (envelope === undefined) envelope = parseLine(Envelope, file, line, text);
    else {
      const { sha256, base64 } = parseLine(BlobLine, file, line, text);
      held.set(sha256, Buffer.from(base64, 'base64'));
    }
  }
  if (envelope === undefined) throw new FleetError('BAD_INPUT', `${file} is empty`);
  return { envelope, blobs: { get: (ref) => take(held, ref) } };
}

function parseLine<T>(schema: z.ZodType<T>, file: string, line: number, text: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new FleetError('BAD_INPUT', `${file}:${line}:1 is no ${line === 1 ? 'DSSE envelope of a run' : 'blob'}`, {
    remedy: 'Give a file that `maestro evidence` has written, whole.',
  });
}

async function take(held: ReadonlyMap<string, Buffer>, ref: BlobRef): Promise<Buffer> {
  const bytes = held.get(ref);
  if (bytes === undefined) throw new FleetError('BLOB_UNAVAILABLE', `the file does not hold blob ${ref}`);
  if ((await sha256Of(bytes)) !== ref)
    throw new FleetError('BLOB_UNAVAILABLE', `blob ${ref} has been changed: its bytes have another sha256`);
  return bytes;
}
