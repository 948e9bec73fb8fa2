import type { IncomingMessage } from 'node:http';
import { z } from 'zod';

/** What a token may do. `approve:tech_lead` approves in that role alone, `approve:*` in any; `admin` may do everything. */
export const Scope = z
  .string()
  .regex(
    /^(read|run|admin|approve:(\*|[a-z][a-z0-9_-]{0,62}))$/,
    'a scope is `read`, `run`, `approve:ROLE`, `approve:*` or `admin`',
  );
export type Scope = z.infer<typeof Scope>;

/** What a route asks of whoever calls it. `approve` is any role; which one is checked against the decision itself. */
export type Need = 'open' | 'read' | 'run' | 'approve' | 'admin';

/** Who asks. */
export interface Principal {
  /** `token`: one that the fleet made; `bootstrap`: MAESTRO_TOKEN; `local`: anybody on this machine while no token is asked for. */
  kind: 'token' | 'bootstrap' | 'local' | 'anonymous';
  /** The name of the token, or its kind. */
  name: string;
  scopes: readonly Scope[];
  /** Tells tokens of one name apart. */
  tokenId?: string;
  /** Requests a minute, when the token has a limit of its own. */
  ratePerMinute?: number | undefined;
}

const ANONYMOUS: Principal = { kind: 'anonymous', name: 'anonymous', scopes: [] };
export const LOCAL: Principal = { kind: 'local', name: 'local', scopes: ['admin'] };
export const BOOTSTRAP: Principal = { kind: 'bootstrap', name: 'bootstrap', scopes: ['admin'] };

const principals = new WeakMap<IncomingMessage, Principal>();

export const setPrincipal = (req: IncomingMessage, principal: Principal): void => {
  principals.set(req, principal);
};

/** Whose request it is; who was never asked may do nothing. */
export const principalOf = (req: IncomingMessage): Principal => principals.get(req) ?? ANONYMOUS;

export function mayDo({ scopes }: Principal, need: Need): boolean {
  if (need === 'open' || scopes.includes('admin')) return true;
  return need === 'approve' ? scopes.some((scope) => scope.startsWith('approve:')) : scopes.includes(need);
}

export const mayApprove = ({ scopes }: Principal, role: string): boolean =>
  ['admin', 'approve:*', `approve:${role}`].some((scope) => scopes.includes(scope));
