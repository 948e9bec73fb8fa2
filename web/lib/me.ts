import { useEffect, useState } from 'preact/hooks';
import type { Me } from '../../src/producer/routes-viewer.ts';
import { ask } from './api.ts';

/** What an action asks of a token. */
export type Need = 'run' | 'approve';

let asked: Promise<Me> | undefined;

/** Who looks, and what they may do; undefined until it is known. */
export function useMe(): Me | undefined {
  const [me, setMe] = useState<Me>();
  useEffect(() => {
    asked ??= ask<Me>('/api/me');
    // Who cannot be told apart is not held back here: the service refuses what it has to, and says why.
    asked.then(setMe, () => (asked = undefined));
  }, []);
  return me;
}

/** Why this token cannot do a thing, in words; undefined when it can, or when that is not known. */
export function refusalFor(me: Me | undefined, need: Need): string | undefined {
  if (me === undefined || me.scopes.includes('admin')) return undefined;
  const may = need === 'run' ? me.scopes.includes('run') : me.scopes.some((scope) => scope.startsWith('approve:'));
  if (may) return undefined;
  const wanted = need === 'run' ? 'the scope `run`' : 'a scope such as `approve:tech_lead`';
  return `Your token "${me.name}" may not do this: it needs ${wanted}, and has ${me.scopes.join(', ')}.`;
}
