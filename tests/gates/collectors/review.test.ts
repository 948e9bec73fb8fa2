import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { reviewCollector } from '../../../src/gates/collectors/documents/review.ts';
import type { Judgement } from '../../../src/shared/handoff.ts';
import { Project, collect, readingOf } from './documents-support.ts';

const METRIC = 'requirements_fulfilled';
const SERVER = 'src/backend/server.js';
type Item = Judgement['items'][number];

const item = (quote: Item['quote'], met = true): Item => ({
  item: 'FR-1 is met',
  met,
  note: met ? '' : 'nothing does this',
  quote,
});
const TRUE_QUOTE = { file: SERVER, line: 1, text: "import { readFileSync } from 'node:fs';" };

async function review(
  items: Item[],
  options: { reviewer?: string; type?: 'flag' | 'ratio'; project?: Project; simulated?: boolean } = {},
) {
  const { reviewer = 'phase_reviewer', type = 'ratio', project = new Project(), simulated = false } = options;
  const collected = await collect(reviewCollector, project, [METRIC], {
    specs: { [METRIC]: { type, reviewer: 'phase_reviewer' } },
    run: { judgements: [{ reviewer, simulated, judgement: { metric: METRIC, items, summary: 'read' } }] },
  });
  return { collected, reading: readingOf(collected, METRIC) };
}

describe('the review collector', () => {
  it('computes a ratio from the items', async () => {
    const { collected, reading } = await review([item(TRUE_QUOTE), item(undefined, false)], { simulated: true });
    expect(reading).toEqual({ value: 0.5, examined: 2 });
    expect(collected.values[METRIC]).toMatchObject({ source: 'review', simulated: true });
    expect(collected.findings).toMatchObject([{ rule: 'review/unmet', message: 'FR-1 is met: nothing does this' }]);
  });

  it('gives a flag only when every item is met', async () => {
    expect((await review([item(TRUE_QUOTE), item(TRUE_QUOTE)], { type: 'flag' })).reading).toEqual({
      value: 1,
      examined: 2,
    });
    expect((await review([item(TRUE_QUOTE), item(undefined, false)], { type: 'flag' })).reading).toEqual({
      value: 0,
      examined: 2,
    });
  });

  it.each([
    ['text that stands nowhere', { file: SERVER, line: 1, text: 'const verified = true;' }],
    ['text that stands on another line', { ...TRUE_QUOTE, line: 2 }],
    ['a line beyond the end', { ...TRUE_QUOTE, line: 9999 }],
    ['a file that does not exist', { ...TRUE_QUOTE, file: 'src/gone.js' }],
    ['a file outside the project', { file: '../../../../etc/hosts', line: 1, text: '127.0.0.1 localhost' }],
    ['an absolute path', { file: '/etc/hosts', line: 1, text: '127.0.0.1 localhost' }],
    ['a scrap of a line', { file: SERVER, line: 1, text: 'import' }],
    ['nothing but spaces', { file: SERVER, line: 1, text: '  ' }],
  ])('is void as a whole when one quote names %s', async (_, quote) => {
    const { collected, reading } = await review([item(TRUE_QUOTE), item(quote)]);
    expect(reading).toContain('the review by phase_reviewer is void');
    expect(collected.findings).toMatchObject([{ rule: 'review/void' }]);
  });

  it('is void when a met item has no quote', async () => {
    expect((await review([item(undefined)])).reading).toContain('without a quote');
  });

  it('does not follow a link to the quoted file', async () => {
    const project = new Project();
    symlinkSync('/etc/hosts', join(project.root, 'hosts'));
    expect((await review([item({ file: 'hosts', line: 1, text: '127.0.0.1' })], { project })).reading).toContain(
      'void',
    );
  });

  it('accepts a long part of a line, a short whole line and several lines, whatever the indent', async () => {
    const quotes = [
      { file: SERVER, line: 1, text: "readFileSync } from 'node:fs'" },
      { file: 'docs/requirements/prd.md', line: 1, text: '# Links' },
      {
        file: SERVER,
        line: 1,
        text: "  import { readFileSync } from 'node:fs';\nimport { createServer } from 'node:http';",
      },
    ];
    for (const quote of quotes) expect((await review([item(quote)])).reading).toEqual({ value: 1, examined: 1 });
  });

  it('has no value without a recorded review by the named reviewer', async () => {
    expect((await review([item(TRUE_QUOTE)], { reviewer: 'backend_developer' })).reading).toBe(
      `no recorded review by phase_reviewer judges ${METRIC}`,
    );
    const none = await collect(reviewCollector, new Project(), [METRIC]);
    expect(readingOf(none, METRIC)).toContain('no recorded review');
  });
});
