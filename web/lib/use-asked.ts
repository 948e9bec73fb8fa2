import { useEffect, useState } from 'preact/hooks';
import { Refusal, ask, messageOf } from './api.ts';

/** What was asked of the service, as far as it has answered. */
export interface Asked<T> {
  value: T | undefined;
  fault: string | undefined;
}

/** Asks for a document, and again when the address or `version` changes; meanwhile the old answer stays. */
export const useAsked = <T>(path: string, version: unknown = ''): Asked<T> =>
  useAnswer(path, version, () => ask<T>(path));

/** Asks for a text; null for what is no text, and nothing is asked without an address. */
export const useText = (path: string | undefined): Asked<string | null> =>
  useAnswer(path ?? '', '', async () => (path === undefined ? null : textAt(path)));

async function textAt(path: string): Promise<string | null> {
  const response = await fetch(path);
  if (!response.ok) throw new Refusal(response.status, `The service answers ${response.status}.`, '');
  const isText = response.headers.get('content-type')?.startsWith('text/') === true;
  if (isText) return response.text();
  await response.body?.cancel();
  return null;
}

function useAnswer<T>(key: string, version: unknown, answer: () => Promise<T>): Asked<T> {
  const [state, setState] = useState<Asked<T> & { key: string }>({ key, value: undefined, fault: undefined });
  useEffect(() => {
    let isStale = false;
    answer().then(
      (value) => isStale || setState({ key, value, fault: undefined }),
      (err: unknown) => isStale || setState({ key, value: undefined, fault: messageOf(err) }),
    );
    return () => {
      isStale = true;
    };
  }, [key, version]);
  return state.key === key ? state : { value: undefined, fault: undefined };
}
