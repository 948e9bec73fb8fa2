import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { documentsCollector } from '../../../src/gates/collectors/documents/documents.ts';
import { unclear } from '../../../src/gates/collectors/documents/requirement-metrics.ts';
import { Project, collect, measure as measureWith, readingOf } from './documents-support.ts';

const PRD = 'docs/requirements/prd.md';
const STORIES = 'docs/requirements/user-stories.md';
const DESIGN = 'docs/design/design.md';
const RETROSPECTIVE = 'docs/review/retrospective.md';

const measure = (project: Project, metric: string) => measureWith(documentsCollector, project, metric);

describe('the documents collector', () => {
  it('reads a complete project', async () => {
    const collected = await collect(documentsCollector, new Project(), documentsCollector.metrics);
    const readings = Object.fromEntries(
      documentsCollector.metrics.map((metric) => [metric, readingOf(collected, metric)]),
    );
    expect(readings).toEqual({
      // Six headings, two kinds of requirement, four requirements.
      documentation_completeness: { value: 1, examined: 12 },
      clarity_score: { value: 1, examined: 4 },
      requirements_count: { value: 4, examined: 1 },
      user_stories_count: { value: 2, examined: 1 },
      architecture_documentation: { value: 1, examined: 7 },
      architecture_document_complete: { value: 1, examined: 7 },
      scalability_assessment: { value: 1, examined: 3 },
      scalability_assessment_complete: { value: 1, examined: 3 },
      adr_count: { value: 1, examined: 1 },
      retrospective_completed: { value: 1, examined: 4 },
      improvement_actions: { value: 3, examined: 1 },
      lessons_documented: { value: 1, examined: 1 },
      rollback_plan_ready: { value: 1, examined: 4 },
      documentation_updated: { value: 1, examined: 6 },
      technical_debt_items: { value: 0, examined: 2 },
    });
    expect(collected.findings).toEqual([]);
  });

  it.each([
    [PRD, 'documentation_completeness'],
    [PRD, 'clarity_score'],
    [PRD, 'requirements_count'],
    [STORIES, 'user_stories_count'],
    [DESIGN, 'architecture_documentation'],
    [DESIGN, 'architecture_document_complete'],
    [DESIGN, 'scalability_assessment'],
    [RETROSPECTIVE, 'retrospective_completed'],
    [RETROSPECTIVE, 'improvement_actions'],
    ['docs/review/lessons-learned.md', 'lessons_documented'],
    ['docs/deployment/rollback-plan.md', 'rollback_plan_ready'],
  ])('without %s, %s is not evaluable and the finding says what to write', async (path, metric) => {
    const collected = await collect(documentsCollector, new Project().remove(path), [metric]);
    expect(readingOf(collected, metric)).toContain(`${path} does not exist: write`);
    expect(collected.findings).toMatchObject([{ metric, rule: 'document/missing', file: path }]);
  });

  it('counts TODO, TBD and filler text under a heading as nothing', async () => {
    for (const filler of [
      'TODO: describe the problem here',
      'TBD',
      'Lorem ipsum dolor sit amet',
      '<!-- a comment only -->',
    ]) {
      const project = new Project().edit(PRD, 'Long addresses break in mail and cannot be read out.', filler);
      expect(await measure(project, 'documentation_completeness')).toEqual({ value: 11 / 12, examined: 12 });
    }
  });

  it('does not take the word todo in a sentence for a placeholder', async () => {
    const project = new Project().edit(PRD, 'Long addresses break', 'Entries of a todo list break');
    expect(await measure(project, 'documentation_completeness')).toEqual({ value: 1, examined: 12 });
  });

  it('points at requirements without an id and at ids used twice', async () => {
    const project = new Project().edit(PRD, '- **FR-2** The', '- The').edit(PRD, '**FR-3**', '**FR-1**');
    const collected = await collect(documentsCollector, project, ['documentation_completeness']);
    expect(readingOf(collected, 'documentation_completeness')).toEqual({ value: 10 / 12, examined: 12 });
    expect(collected.findings).toMatchObject([
      { rule: 'document/requirement', file: PRD, line: 19 },
      { rule: 'document/requirement-id', file: PRD, line: 18 },
    ]);
  });

  it('names a missing heading', async () => {
    const collected = await collect(documentsCollector, new Project().edit(PRD, '## Users', '## People'), [
      'documentation_completeness',
    ]);
    expect(collected.findings).toMatchObject([
      { rule: 'document/missing-heading', message: 'add a heading "Users" with text under it' },
    ]);
  });

  it.each([
    ['The page shall be fast.', 'fast'],
    ['The service must support PNG, JPEG etc.', 'etc'],
    ['Everything works.', 'neither'],
    [`The service shall ${'and so it goes '.repeat(11)}on.`, 'split'],
    ['The service shall TBD.', 'placeholder'],
  ])('finds "%s" unclear', (text, why) => {
    expect(unclear(text)).toContain(why);
  });

  it('finds a modal verb or a number clear enough, up to forty words a sentence', () => {
    expect(unclear('The service shall answer each request.')).toBeUndefined();
    expect(unclear('95 of 100 answers take less than a second.')).toBeUndefined();
    expect(unclear(`It shall ${'x '.repeat(37)}x.`)).toBeUndefined();
    expect(unclear(`It shall ${'x '.repeat(38)}x.`)).toContain('41 words');
  });

  it('asks for load, bottleneck and growth step', async () => {
    const project = new Project().edit(DESIGN, 'We expect 50 requests per second. ', 'We expect many requests. ');
    const collected = await collect(documentsCollector, project, [
      'scalability_assessment',
      'scalability_assessment_complete',
    ]);
    expect(readingOf(collected, 'scalability_assessment')).toEqual({ value: 2 / 3, examined: 3 });
    expect(readingOf(collected, 'scalability_assessment_complete')).toEqual({ value: 0, examined: 3 });
    expect(collected.findings[0]).toMatchObject({ rule: 'document/expected-load', file: DESIGN });
  });

  it('wants a real diagram', async () => {
    const project = new Project().edit('docs/design/architecture.md', 'flowchart LR', 'to be drawn');
    expect(await measure(project, 'architecture_documentation')).toEqual({ value: 6 / 7, examined: 7 });
    expect(await measure(project, 'architecture_document_complete')).toEqual({ value: 0, examined: 7 });
    expect(await measure(project.remove('docs/design/architecture.md'), 'architecture_documentation')).toEqual({
      value: 6 / 7,
      examined: 7,
    });
  });

  it('counts only decision records that state context and decision', async () => {
    const project = new Project().write('docs/adr/0002-empty.md', '# Empty\n\n## Context\n\n## Decision\n');
    expect(await measure(project, 'adr_count')).toEqual({ value: 1, examined: 2 });
  });

  it('wants three actions in the retrospective', async () => {
    const project = new Project().edit(RETROSPECTIVE, '- Keep examples in the API document.\n', '');
    expect(await measure(project, 'retrospective_completed')).toEqual({ value: 0, examined: 4 });
    expect(await measure(project, 'improvement_actions')).toEqual({ value: 2, examined: 1 });
  });

  it('finds an operation that the documentation leaves out', async () => {
    const project = new Project().edit('docs/api.md', '- `GET /r/{code}` redirects.\n', '');
    expect(await measure(project, 'documentation_updated')).toEqual({ value: 5 / 6, examined: 6 });
  });

  it('counts marks of unfinished work in comments, and only there', async () => {
    const project = new Project().write('src/backend/more.js', '// TODO: later\nexport const label = "TODO list";\n');
    expect(await measure(project, 'technical_debt_items')).toEqual({ value: 1, examined: 3 });
    expect(await measure(project.remove('src'), 'technical_debt_items')).toContain('no source file');
  });

  it('refuses to read a document that is a link', async () => {
    const project = new Project().remove(PRD);
    symlinkSync('/etc/passwd', join(project.root, PRD));
    const collected = await collect(documentsCollector, project, [
      'documentation_completeness',
      'retrospective_completed',
    ]);
    expect(readingOf(collected, 'documentation_completeness')).toMatch(/link|does not exist/);
    expect(readingOf(collected, 'retrospective_completed')).toEqual({ value: 1, examined: 4 });
  });
});
