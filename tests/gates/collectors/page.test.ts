import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createPageCollector } from '../../../src/gates/collectors/running/page.ts';
import type { Sandbox } from '../../../src/shared/sandbox/sandbox.ts';
import { CACHE, Project, collect, measure as measureWith, readingOf, realSandbox } from './documents-support.ts';

const ALL = ['ui_component_coverage', 'components_count', 'accessibility_score', 'page_load_time_ms'];
const PAGE = 'src/frontend/index.html';
const COMPONENTS = 'docs/design/ui-components.yaml';
const pageCollector = createPageCollector({ cache: CACHE });

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await realSandbox();
});

const coverage = async (project: Project) => {
  const collected = await collect(pageCollector, project, ['ui_component_coverage'], { sandbox });
  return { reading: readingOf(collected, 'ui_component_coverage'), findings: collected.findings };
};

describe('the page collector', () => {
  it('opens a page in Chromium, finds its components and keeps screenshots', async () => {
    const project = new Project();
    const collected = await collect(pageCollector, project, ALL, { sandbox, phase: 'frontend' });
    expect(collected.findings).toEqual([]);
    expect(readingOf(collected, 'ui_component_coverage')).toEqual({ value: 1, examined: 4 });
    expect(readingOf(collected, 'components_count')).toEqual({ value: 4, examined: 4 });
    expect(readingOf(collected, 'accessibility_score')).toMatchObject({ value: 1 });
    expect(readingOf(collected, 'page_load_time_ms')).toMatchObject({ examined: 1 });
    for (const name of ['screens/screenshot-desktop.png', 'screens/screenshot-phone.png']) {
      expect(existsSync(join(project.outDir, name))).toBe(true);
      expect(readFileSync(join(project.outDir, name)).subarray(1, 4).toString()).toBe('PNG');
    }
  });

  it('finds a component that is missing and one that cannot be seen', async () => {
    const project = new Project().edit(PAGE, 'id="result"', 'id="answer"').edit(PAGE, '<h1>', '<h1 hidden>');
    const { reading, findings } = await coverage(project);
    expect(reading).toEqual({ value: 0.5, examined: 4 });
    expect(findings).toMatchObject([
      { rule: 'page/component', message: 'Heading (h1) is in the page but not visible', file: COMPONENTS, line: 2 },
      { rule: 'page/component', message: 'Result (#result) is not in the page', file: COMPONENTS, line: 5 },
    ]);
  });

  it('scores what axe finds, out of reach of the page', async () => {
    const project = new Project()
      .edit(PAGE, '<label for="url">Address</label>', '')
      // The page replaces what a checker in its own world would have used.
      .edit(
        PAGE,
        '</body>',
        '<script>window.axe = { run: async () => ({ passes: [], violations: [] }) }; JSON.stringify = () => "{}";</script></body>',
      );
    const collected = await collect(pageCollector, project, ['accessibility_score'], { sandbox });
    const reading = readingOf(collected, 'accessibility_score');
    expect(typeof reading === 'string' ? reading : reading.value).toBeLessThan(0.85);
    expect(collected.findings).toMatchObject([{ rule: 'axe/label' }]);
    expect(collected.findings[0]?.message).toContain('#url');
  });

  it('reports errors of the console and requests that fail', async () => {
    const project = new Project().edit(
      PAGE,
      '</body>',
      '<script src="/gone.js"></script><script>throw new Error("broken");</script></body>',
    );
    const { reading, findings } = await coverage(project);
    expect(reading).toEqual({ value: 1, examined: 4 });
    const messages = findings.map((found) => found.message).join('\n');
    expect(messages).toContain('uncaught error: broken');
    expect(messages).toContain('404');
  });

  it('cannot judge without a page, a component list, a component or a service', async () => {
    expect(
      (
        await coverage(
          new Project().edit('src/backend/server.js', "if (pathname === '/')", "if (pathname === '/page')"),
        )
      ).reading,
    ).toContain('GET / answered 404');
    expect((await coverage(new Project().remove(COMPONENTS))).reading).toContain(`${COMPONENTS} names no component`);
    expect((await coverage(new Project().write(COMPONENTS, 'components: []\n'))).reading).toContain(
      'names no component',
    );
    expect((await coverage(new Project().write(COMPONENTS, 'components: [{name: a}]\n'))).reading).toContain(
      'selector',
    );
    expect((await coverage(new Project().edit('package.json', '"start"', '"begin"'))).reading).toContain(
      'has no start script',
    );
  });

  it('says when the chosen browser does not exist', async () => {
    const without = createPageCollector({ cache: CACHE, executablePath: '/usr/bin/no-such-browser' });
    await expect(measureWith(without, new Project(), 'accessibility_score', { sandbox })).rejects.toThrow(
      'there is no browser at /usr/bin/no-such-browser',
    );
  });
});
