import { describe, expect, it } from 'vitest';
import { traceabilityCollector } from '../../../src/gates/collectors/documents/traceability.ts';
import { Project, collect, measure as measureWith, readingOf } from './documents-support.ts';

const TRACED = 'requirements_traceability';
const MET = 'requirements_met_count';
const PRD = 'docs/requirements/prd.md';
const STORIES = 'docs/requirements/user-stories.md';
const TESTS = 'tests/acceptance/links.test.js';
const measure = (project: Project, metric: string, phase = 'requirements') =>
  measureWith(traceabilityCollector, project, metric, { phase });

describe('the traceability collector', () => {
  it('follows every requirement through stories, design and tests', async () => {
    expect(await measure(new Project(), TRACED)).toEqual({ value: 1, examined: 3 });
    expect(await measure(new Project(), TRACED, 'design')).toEqual({ value: 1, examined: 3 });
    expect(await measure(new Project(), TRACED, 'testing')).toEqual({ value: 1, examined: 3 });
    expect(await measure(new Project(), MET, 'review')).toEqual({ value: 1, examined: 3 });
  });

  it('points at a requirement that no story carries', async () => {
    const collected = await collect(traceabilityCollector, new Project().edit(STORIES, '(FR-1, FR-3)', '(FR-1)'), [
      TRACED,
    ]);
    expect(readingOf(collected, TRACED)).toEqual({ value: 2 / 3, examined: 3 });
    expect(collected.findings).toMatchObject([
      { rule: 'traceability/gap', message: 'FR-3 is named by no user story', file: PRD, line: 19 },
    ]);
  });

  it('looks at the design and the tests only in the phases that have them', async () => {
    const project = new Project().edit('docs/design/design.md', 'FR-2', 'the rest').edit(TESTS, 'US-1', 'US-7');
    expect(await measure(project, TRACED, 'requirements')).toEqual({ value: 1, examined: 3 });
    expect(await measure(project, TRACED, 'design')).toEqual({ value: 2 / 3, examined: 3 });
    expect(await measure(project, TRACED, 'testing')).toEqual({ value: 0, examined: 3 });
  });

  it('takes no skipped test and no comment for proof', async () => {
    expect(await measure(new Project().edit(TESTS, "test('US-2", "test.skip('US-2"), MET)).toEqual({
      value: 2 / 3,
      examined: 3,
    });
    expect(await measure(new Project().edit(TESTS, "test('US-2: a", "// US-2\ntest('a"), MET)).toEqual({
      value: 2 / 3,
      examined: 3,
    });
  });

  it('does not take FR-12 for FR-1', async () => {
    expect(await measure(new Project().edit(STORIES, 'FR-1,', 'FR-12,'), TRACED)).toEqual({
      value: 2 / 3,
      examined: 3,
    });
  });

  it('cannot judge without requirements, stories or tests', async () => {
    expect(await measure(new Project().remove(PRD), TRACED)).toContain(`${PRD} does not exist`);
    expect(await measure(new Project().write(PRD, '# Nothing\n'), MET)).toContain('holds no list item');
    expect(await measure(new Project().remove(STORIES), TRACED)).toContain(`${STORIES} does not exist`);
    expect(await measure(new Project().remove('tests'), MET)).toContain('no test file was found');
  });
});
