import type { Response } from 'express';
import { type BlobStore, getJson } from '../shared/blob-store.ts';
import { RoundEvidence } from '../shared/round-evidence.ts';
import type { BlobRef } from '../shared/run-record.ts';

/** The evidence of a large run has hundreds of megabytes: so many rounds are held at a time, and no more. */
const AT_ONCE = 8;

/**
 * Sends `{...head, rounds: [...]}`. A blob that cannot be read throws; when a part was sent before, whoever catches it
 * must break the answer off.
 */
export async function sendRounds(
  res: Response,
  head: object,
  refs: readonly BlobRef[],
  blobs: BlobStore,
): Promise<void> {
  // One listener for all of the answer: what compresses it keeps each of them.
  let wake: (() => void) | undefined;
  for (const event of ['drain', 'close'] as const) res.on(event, () => wake?.());
  let before = JSON.stringify({ ...head, rounds: [] }).slice(0, -2);
  res.type('json');
  for (let at = 0; at < refs.length && !res.destroyed; at += AT_ONCE) {
    const rounds = await Promise.all(refs.slice(at, at + AT_ONCE).map((ref) => getJson(blobs, ref, RoundEvidence)));
    const isTaken = res.write(before + rounds.map((round) => JSON.stringify(round)).join());
    before = ',';
    if (isTaken || res.destroyed) continue;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  res.end(refs.length === 0 ? `${before}]}` : ']}');
}
