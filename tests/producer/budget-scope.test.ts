import { expect, it } from 'vitest';
import { z } from 'zod';
import { Problem } from '../../src/producer/api-schemas.ts';
import { apiFixture, bearer } from './api-support.ts';
import { DIAMOND } from './fixture.ts';
import { planOf } from './seed-run.ts';

const { url, store, tokenFor } = await apiFixture();
const held = {
  admin: await tokenFor('chief', ['admin']),
  run: await tokenFor('builder', ['run']),
  other: await tokenFor('other', ['run']),
};
type Who = keyof typeof held;

async function post(who: Who, path: string, body: string, headers: Record<string, string> = {}) {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    body,
    headers: { ...bearer(held[who]), ...headers },
  });
  return { status: response.status, body: z.record(z.string(), z.unknown()).parse(await response.json()) };
}

const limited = DIAMOND.replace('name: diamond', 'name: limited\nbudget: { usd: 5, tokens: 1000 }');
expect((await post('admin', '/api/workflows', limited)).status).toBe(201);

const inputs = { requirement: 'shorten my urls please' };
async function budgetOfRun(who: Who, budget: unknown): Promise<unknown> {
  const { status, body } = await post(who, '/api/workflows/limited/execute', JSON.stringify({ inputs, budget }));
  return status === 202 ? (await store.getPlan(String(body['runId']))).budget : [status, Problem.parse(body).code];
}

it('a token that may start runs tightens the budget of a workflow, and does not raise or drop it', async () => {
  expect(await budgetOfRun('run', undefined)).toEqual({ usd: 5, tokens: 1000 });
  expect(await budgetOfRun('run', { usd: 2 })).toEqual({ usd: 2, tokens: 1000 });
  expect(await budgetOfRun('run', {})).toEqual({ usd: 5, tokens: 1000 });
  expect(await budgetOfRun('run', { tokens: 10 })).toEqual({ usd: 5, tokens: 10 });
  expect(await budgetOfRun('run', { usd: 6 })).toEqual([403, 'FORBIDDEN']);
  expect(await budgetOfRun('admin', { usd: 6 })).toEqual({ usd: 6 });
});

it.each(['paused', 'ended'])('nor that of a run that was %s', async (state) => {
  const plan = { ...planOf(['design']), budget: { usd: 5, tokens: 1000 } };
  await store.createRun(plan);
  const path = `/api/runs/${plan.runId}`;
  const [stop, goOn] =
    state === 'paused' ? ['pause', { way: 'resume' }] : ['cancel', { way: 'retry', phase: 'design' }];
  const { way, ...what } = goOn;
  const again = async (who: Who, budget: unknown): Promise<unknown> => {
    expect((await post(who, `${path}/${stop}`, '{}')).status).toBeLessThan(300);
    const { status } = await post(who, `${path}/${way}`, JSON.stringify({ ...what, budget }));
    return status === 202 ? (await store.getRun(plan.runId)).budget : status;
  };
  expect(await again('run', { tokens: 6000 })).toBe(403);
  expect(await again('run', { usd: 4 })).toEqual({ usd: 4, tokens: 1000 });
  expect(await again('run', { usd: 5 })).toBe(403);
  expect(await again('admin', { usd: 9 })).toEqual({ usd: 9 });
});

it('a key that one token used is another when another uses it', async () => {
  const ask = async (who: Who): Promise<unknown> => {
    const headers = { 'idempotency-key': 'the same' };
    return (await post(who, '/api/workflows/diamond/execute', JSON.stringify({ inputs }), headers)).body['runId'];
  };
  const mine = await ask('run');
  expect(await ask('run')).toBe(mine);
  expect(await ask('other')).not.toBe(mine);
});
