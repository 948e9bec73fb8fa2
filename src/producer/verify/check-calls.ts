import { z } from 'zod';
import { LedgerCall } from '../../shared/call-ledger.ts';
import { type BlobReader, getJson } from '../../shared/blob-store.ts';
import type { RunStatement } from '../../shared/evidence/statement.ts';
import { type EvidenceCheck, checked } from './check.ts';
import type { Talk } from './transcripts.ts';

/** Every answer in a conversation is a call that is known by its ids and hashes, and stands in the ledger of the run. */
export async function checkCalls(
  blobs: BlobReader,
  { predicate }: RunStatement,
  talks: readonly Talk[],
): Promise<EvidenceCheck> {
  const ledger = new Set(
    (await getJson(blobs, predicate.calls, z.array(LedgerCall))).map(({ requestId }) => requestId),
  );
  const answered = talks.flatMap((talk) =>
    talk.calls.filter(({ outcome }) => outcome === 'answered').map((call) => ({ talk, call })),
  );
  const problems = answered.flatMap(({ talk, call }) => {
    const at = `${talk.phase}/${talk.name}: the call ${call.messageId ?? '(without a message id)'}`;
    return [
      ...(call.messageId === null || call.requestId === null ? [`${at} has no id of its provider`] : []),
      ...(call.requestSha256 === null || call.responseSha256 === null ? [`${at} has no hash of what was said`] : []),
      ...(ledger.has(call.requestId) ? [] : [`${at} is not in the ledger of the run`]),
    ];
  });
  return checked('calls', 'calls to models', { examined: answered.length, problems });
}
