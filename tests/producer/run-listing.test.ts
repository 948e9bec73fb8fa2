import { encodeTime } from 'ulid';
import { beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { RunId, newRunId } from '../../src/shared/names.ts';
import { archiveRun } from '../../src/shared/archive-run.ts';
import { apiFixture } from './api-support.ts';
import { finishRun, planOf, recordRound } from './seed-run.ts';

const { url, store } = await apiFixture();
const COUNT = 500;
const START = Date.UTC(2026, 0, 1);
const HOUR = 3_600_000;
const all: string[] = [];

const idAt = (time: number): RunId => RunId.parse(`${encodeTime(time)}${newRunId().slice(10)}`);
const Page = z.object({ runs: z.array(z.object({ runId: z.string() })), next: z.string().nullable() });

async function add(time: number, workflow: string, persona: string): Promise<string> {
  const plan = planOf(['design'], { runId: idAt(time), createdAt: new Date(time).toISOString(), workflow });
  await store.createRun({ ...plan, phases: plan.phases.map((phase) => ({ ...phase, personas: [persona] })) });
  return plan.runId;
}

/** All pages of a listing; `between` is done after each. */
async function pages(query: string, between: () => Promise<unknown> = () => Promise.resolve()): Promise<string[]> {
  const found: string[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const response = await fetch(`${url}/api/runs?${query}${cursor === '' ? '' : `&cursor=${cursor}`}`);
    expect(response.status).toBe(200);
    const page = Page.parse(await response.json());
    found.push(...page.runs.map(({ runId }) => runId));
    cursor = page.next;
    await between();
  }
  return found;
}

/** One run an hour, oldest first. Of ten, one has ended passed; some of those are archived. */
beforeAll(async () => {
  for (let index = 0; index < COUNT; index += 1) {
    const runId = await add(
      START + index * HOUR,
      index % 2 === 0 ? 'even' : 'odd',
      index % 5 === 0 ? 'tester' : 'coder',
    );
    all.unshift(runId);
    if (index % 10 === 0) await finishRun(store, RunId.parse(runId), ['design']);
    if (index % 20 === 0) expect(await archiveRun(store, runId)).toBe(true);
    if (index % 50 === 1) await recordRound(store, RunId.parse(runId), 'design', 0, 'blocked');
  }
});
const expected = (holds: (index: number) => boolean): string[] => all.filter((_, place) => holds(COUNT - 1 - place));

it('goes through all runs, page by page, those in the archive too', async () => {
  expect(await pages('limit=70')).toEqual(all);
});

it('neither loses nor repeats a run while others are added', async () => {
  let added = 0;
  const found = await pages('limit=50', () => add(START + (COUNT + (added += 1)) * HOUR, 'even', 'idler'));
  expect(found).toEqual(all);
});

it.each([
  ['status=passed', (index: number) => index % 10 === 0],
  ['workflow=odd', (index: number) => index % 2 === 1],
  ['persona=tester', (index: number) => index % 5 === 0],
  ['verdict=passed', (index: number) => index % 10 === 0],
  ['verdict=blocked', (index: number) => index % 50 === 1],
  ['from=2026-01-05T00:00:00Z&to=2026-01-06T00:00:00Z', (index: number) => index >= 96 && index < 120],
  [
    'from=2026-01-05T01:00:00%2B01:00&to=2026-01-06T00:00:00Z&persona=tester&status=passed',
    (index: number) => index >= 96 && index < 120 && index % 10 === 0,
  ],
])('finds by %s exactly what was asked for', async (query, holds) => {
  const found = await pages(`limit=30&${query}${query.includes('to=') ? '' : '&to=2026-01-21T20:00:00Z'}`);
  expect(found).toEqual(expected(holds));
  expect(found.length).toBeGreaterThan(0);
});

it.each(['persona=Nobody', 'verdict=green', 'from=yesterday', 'to=2026-13-01T00:00:00Z'])(
  'refuses %s',
  async (query) => {
    expect((await fetch(`${url}/api/runs?${query}`)).status).toBe(400);
  },
);
