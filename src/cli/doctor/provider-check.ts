import { errorMessage } from '../../shared/errors.ts';
import type { CommandContext } from '../session.ts';
import { oneLine } from '../text.ts';
import { type Found, unusable } from './check.ts';

const ANTHROPIC_URL = 'https://api.anthropic.com';
const ANSWER_MS = 5_000;

/** What to do about each way of not reaching a server. */
const FAULTS: readonly [RegExp, string, string][] = [
  [/ENOTFOUND|EAI_AGAIN/, 'its name is not known here', 'Correct ANTHROPIC_BASE_URL, or the DNS of this machine.'],
  [/ECONNREFUSED/, 'nothing listens there', 'Start the server, or correct ANTHROPIC_BASE_URL.'],
  [
    /CERT|SELF_SIGNED|ERR_TLS|SSL|EPROTO/,
    'its TLS certificate or protocol is not accepted',
    'Give its authority with NODE_EXTRA_CA_CERTS, or correct the scheme of ANTHROPIC_BASE_URL.',
  ],
  [
    /TIMEOUT|TimeoutError|aborted/i,
    `no answer within ${ANSWER_MS / 1000} s`,
    'Look at firewalls and proxies between here and there.',
  ],
];

/**
 * Whether the endpoint can be reached: one plain request without a key, which no provider charges for, and only to an
 * endpoint that somebody configured or when `--reach` asks for it. Any answer at all shows that the way is open.
 */
export async function providerCheck({ config }: CommandContext, isAsked: boolean): Promise<Found> {
  const { apiKey, authToken, baseUrl } = config.anthropic;
  const key =
    apiKey === undefined && authToken === undefined
      ? 'no key is set: only --provider scripted can run'
      : 'a key is set';
  if (baseUrl === undefined && !isAsked)
    return `${key}; the default endpoint was not called (--reach tries it, without the key)`;
  const url = baseUrl ?? ANTHROPIC_URL;
  const host = new URL(url).host;
  const began = performance.now();
  try {
    const answer = await fetch(url, { method: 'HEAD', redirect: 'manual', signal: AbortSignal.timeout(ANSWER_MS) });
    await answer.body?.cancel();
    const secured = url.startsWith('https:') ? 'TLS, ' : '';
    return `${key}; ${host} answers (${secured}HTTP ${answer.status}) in ${Math.round(performance.now() - began)} ms; no key was sent`;
  } catch (err) {
    const reason = reasonOf(err);
    const [, why = oneLine(reason), remedy = 'Look at the network between here and there.'] =
      FAULTS.find(([pattern]) => pattern.test(reason)) ?? [];
    throw unusable(`${host} cannot be reached: ${why}`, remedy);
  }
}

function reasonOf(err: unknown): string {
  const parts: string[] = [];
  for (let at: unknown = err; at instanceof Error; at = at.cause) {
    parts.push(at.name, errorMessage(at), 'code' in at ? String(at.code) : '');
    if (at instanceof AggregateError) parts.push(...at.errors.map(reasonOf));
  }
  return parts.join(' ');
}
