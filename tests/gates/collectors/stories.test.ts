import { describe, expect, it } from 'vitest';
import { storiesCollector } from '../../../src/gates/collectors/documents/stories.ts';
import { Project, collect, measure as measureWith, readingOf } from './documents-support.ts';

const METRIC = 'acceptance_criteria_defined';
const FEATURE = 'docs/requirements/acceptance/links.feature';
const STORIES = 'docs/requirements/user-stories.md';
const measure = (project: Project) => measureWith(storiesCollector, project, METRIC);

describe('the stories collector', () => {
  it('is content when every story has a scenario with Given, When and Then', async () => {
    expect(await measure(new Project())).toEqual({ value: 1, examined: 2 });
  });

  it('points at a story without a scenario', async () => {
    const collected = await collect(storiesCollector, new Project().edit(FEATURE, '@US-2', '@US-9'), [METRIC]);
    expect(readingOf(collected, METRIC)).toEqual({ value: 0.5, examined: 2 });
    expect(collected.findings).toMatchObject([
      { rule: 'stories/acceptance', message: 'US-2 has no scenario; tag one with @US-2', file: STORIES },
      { rule: 'stories/untagged', severity: 'warning', file: FEATURE },
    ]);
  });

  it('points at a scenario without a Then', async () => {
    const collected = await collect(
      storiesCollector,
      new Project().edit(FEATURE, 'Then a code comes back', 'And a code comes back'),
      [METRIC],
    );
    expect(readingOf(collected, METRIC)).toEqual({ value: 0.5, examined: 2 });
    expect(collected.findings).toMatchObject([
      { message: 'no scenario of US-1 has Given, When and Then', file: FEATURE, line: 7 },
    ]);
  });

  it.each(['Then ...', 'Then TODO', 'Then to be defined'])(
    'counts a step that says nothing as none: %s',
    async (step) => {
      const collected = await collect(storiesCollector, new Project().edit(FEATURE, 'Then a code comes back', step), [
        METRIC,
      ]);
      expect(readingOf(collected, METRIC)).toEqual({ value: 0.5, examined: 2 });
    },
  );

  it('counts an outline without an example as no scenario, for it stands for none', async () => {
    const outline = (rows: string): string =>
      `@US-1\nFeature: A\n  Scenario Outline: D\n    Given <c>\n    When e\n    Then f\n    Examples:\n      | c |\n${rows}`;
    const project = new Project().edit(STORIES, '### US-2 Follow a code (FR-2)', '#### Later');
    expect(await measure(project.write(FEATURE, outline('')))).toEqual({ value: 0, examined: 1 });
    expect(await measure(project.write(FEATURE, outline('      | 1 |\n')))).toEqual({ value: 1, examined: 1 });
  });

  it('reads scenarios inside rules, with the tags and steps around them', async () => {
    const rule =
      '@US-1\nFeature: A\n  Rule: B\n    Background:\n      Given c\n    Scenario: D\n      When e\n      Then f\n';
    const project = new Project().write(FEATURE, rule).edit(STORIES, '### US-2 Follow a code (FR-2)', '#### Later');
    expect(await measure(project)).toEqual({ value: 1, examined: 1 });
  });

  it('names the place of a feature that cannot be parsed', async () => {
    const collected = await collect(
      storiesCollector,
      new Project().edit(FEATURE, 'Then a code comes back', 'Thus a code comes back'),
      [METRIC],
    );
    expect(readingOf(collected, METRIC)).toContain(`${FEATURE}:9:5`);
    expect(collected.findings[0]).toMatchObject({ file: FEATURE, line: 9 });
  });

  it('cannot judge without stories, without a story in them, or without a feature', async () => {
    expect(await measure(new Project().remove(STORIES))).toContain(`${STORIES} does not exist`);
    expect(await measure(new Project().write(STORIES, '# Stories\n'))).toContain('holds no heading');
    expect(await measure(new Project().remove(FEATURE))).toContain('no feature file was found');
  });
});
