import { expect, it } from 'vitest';
import { Problem } from '../../src/producer/api-schemas.ts';
import type { Scope } from '../../src/producer/principal.ts';
import { newRunId } from '../../src/shared/names.ts';
import { apiFixture, bearer, operationsOf } from './api-support.ts';

const BOOTSTRAP = 'a-token-of-sixteen-or-more';
const { url, tokens, tokenFor } = await apiFixture({
  token: BOOTSTRAP,
  limits: { failedPerAddress: 1_000_000 },
});

const HOLDERS: Record<string, Scope[]> = {
  reader: ['read'],
  runner: ['run'],
  lead: ['approve:tech_lead'],
  approver: ['approve:*'],
  both: ['read', 'run'],
  admin: ['admin'],
};
const held = new Map<string, string>([['bootstrap', BOOTSTRAP]]);
for (const [name, scopes] of Object.entries(HOLDERS)) held.set(name, await tokenFor(name, scopes));
const revoked = await tokenFor('revoked', ['admin']);
await tokens.revoke('revoked');
const soon = new Date(Date.now() + 50).toISOString();
const expired = (await tokens.create({ name: 'expired', scopes: ['admin'], expiresAt: soon, createdBy: 'tests' }))
  .token;
const STRANGERS: Record<string, string | undefined> = {
  nobody: undefined,
  guesser: 'mf_0123456789012345678901234567890123456789012',
  revoked,
  expired,
};

/** Who may do what, in one place, written down apart from the code that decides it. */
const MAY: Record<string, readonly string[]> = {
  read: ['reader', 'both', 'admin', 'bootstrap'],
  run: ['runner', 'both', 'admin', 'bootstrap'],
  approve: ['lead', 'approver', 'admin', 'bootstrap'],
  admin: ['admin', 'bootstrap'],
  open: ['reader', 'runner', 'lead', 'approver', 'both', 'admin', 'bootstrap'],
};

/** Pages and parts that are not operations of the document. */
const PAGES = [
  { method: 'GET', path: '/', 'x-scope': 'read' },
  { method: 'GET', path: '/queues', 'x-scope': 'read' },
  { method: 'GET', path: '/queues/api/queues', 'x-scope': 'read' },
  { method: 'PUT', path: '/queues/api/queues/runs/pause', 'x-scope': 'admin' },
] as const;

const rows = [...(await operationsOf(url, bearer(BOOTSTRAP))), ...PAGES];
const id = newRunId();
const addressOf = (path: string): string =>
  `${url}${path.replace('{id}', id).replaceAll(/\{\w+\}/g, 'nothing')}?service=git-upload-pack`;

/** How a request was refused for who asked it; empty when it was not. */
async function refusal(row: { method: string; path: string }, token: string | undefined): Promise<string> {
  const gone = new AbortController();
  const response = await fetch(addressOf(row.path), {
    method: row.method,
    headers: token === undefined ? {} : bearer(token),
    signal: gone.signal,
    ...(row.method === 'GET' ? {} : { body: '{}' }),
  });
  const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json') === true;
  const code = isProblem ? Problem.parse(await response.json()).code : '';
  // What streams on and on is not waited for.
  gone.abort();
  expect([429, 500]).not.toContain(response.status);
  return ['UNAUTHORIZED', 'FORBIDDEN'].includes(code) ? `${response.status} ${code}` : '';
}

it('has operations to ask', () => expect(rows.length).toBeGreaterThan(25));

it.each(
  rows.map((row): [string, string, string, (typeof rows)[number]] => [row['x-scope'], row.method, row.path, row]),
)('needs %s for %s %s', async (scope, _method, _path, row) => {
  for (const [name, token] of held) {
    const isAllowed = MAY[scope]?.includes(name) === true;
    expect([name, await refusal(row, token)]).toEqual([name, isAllowed ? '' : '403 FORBIDDEN']);
  }
  for (const [name, token] of Object.entries(STRANGERS))
    expect([name, await refusal(row, token)]).toEqual([name, scope === 'open' ? '' : '401 UNAUTHORIZED']);
});

it('lets a token decide in its own roles alone', async () => {
  const path = `${url}/api/runs/${id}/approvals/design`;
  const decide = async (name: string, role: string): Promise<number> => {
    const body = JSON.stringify({ role, by: 'Ada' });
    const { status } = await fetch(path, { method: 'POST', headers: bearer(held.get(name) ?? ''), body });
    return status;
  };
  // A run that is not there is 404: the role was let pass.
  expect(await decide('lead', 'tech_lead')).toBe(404);
  expect(await decide('lead', 'stakeholder')).toBe(403);
  expect(await decide('approver', 'stakeholder')).toBe(404);
  expect(await decide('admin', 'stakeholder')).toBe(404);
  expect(await decide('reader', 'tech_lead')).toBe(403);
});

it('lets nobody claim that a token vouches for them', async () => {
  const path = `${url}/api/runs/${id}/approvals/design`;
  for (const by of ['Ada (token lead)', 'Ada (Token  lead)', 'Ada\n(token lead)']) {
    const body = JSON.stringify({ role: 'tech_lead', by });
    const { status } = await fetch(path, { method: 'POST', headers: bearer(held.get('lead') ?? ''), body });
    expect([by, status]).toEqual([by, 400]);
  }
});
