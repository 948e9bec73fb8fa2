import { type Cassette, type Recording } from '../../shared/cassette.ts';
import { FleetError } from '../../shared/errors.ts';
import { describeRequest, fingerprintOf, nearestDifference } from './fingerprint.ts';
import { redactor } from './redact.ts';

/** What a recording was made with: nothing in it looks like a key. */
const KEYLESS = redactor();

/** A cassette, and its recordings by what they answer. */
export interface LoadedCassette {
  cassette: Cassette;
  byRequest: ReadonlyMap<string, readonly Recording[]>;
}

export function indexCassette(cassette: Cassette): LoadedCassette {
  const byRequest = new Map<string, Recording[]>();
  for (const recording of cassette.recordings) {
    const key = fingerprintOf(recording.request);
    const known = byRequest.get(key);
    if (known === undefined) byRequest.set(key, [recording]);
    else known.push(recording);
  }
  return { cassette, byRequest };
}

/** What was recorded as a wait is not waited for again. */
const headersOf = ({ response }: Recording): Record<string, string> =>
  Object.fromEntries(
    Object.entries(response.headers).map(([name, value]) => [name, name.startsWith('retry-after') ? '0' : value]),
  );

function bodyOf({ response }: Recording): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(response.body));
      if (response.isBroken) controller.error(new TypeError('terminated: the recorded answer broke off here'));
      else controller.close();
    },
  });
}

/**
 * Answers from a cassette and from nothing else: there is no network behind it. `nthOf` says how often a request was made
 * before in this run, for calls that were refused first and answered later.
 */
export function replayFetch(
  { cassette, byRequest }: LoadedCassette,
  nthOf: (fingerprint: string) => Promise<number>,
): typeof fetch {
  return async (_url, init) => {
    const body = init?.body;
    if (typeof body !== 'string') throw new FleetError('INTERNAL', 'a replayed request has no text');
    const asked = describeRequest(KEYLESS(body));
    const fingerprint = fingerprintOf(asked);
    const recordings = byRequest.get(fingerprint) ?? [];
    const recording = recordings[Math.min(await nthOf(fingerprint), recordings.length - 1)];
    if (recording === undefined) {
      const requests = cassette.recordings.map(({ request }) => request);
      throw new FleetError(
        'NOT_RECORDED',
        `the recording of run ${cassette.runId} does not hold this request: ${nearestDifference(asked, requests)}`,
        { remedy: 'Record the run again; a replay needs the same workflow, personas, policies, models and inputs.' },
      );
    }
    const { response } = recording;
    if (response.status === null) throw new TypeError(`fetch failed (recorded): ${response.body}`);
    return new Response(bodyOf(recording), { status: response.status, headers: headersOf(recording) });
  };
}
