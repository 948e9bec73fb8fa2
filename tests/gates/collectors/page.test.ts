import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { createPageCollector } from '../../../src/gates/collectors/running/page.ts';
import type { Sandbox } from '../../../src/shared/sandbox/sandbox.ts';
import { CACHE, Project, collect, readingOf, realSandbox } from './documents-support.ts';

const ALL = ['ui_component_coverage', 'components_count', 'accessibility_score', 'page_load_time_ms'];
const PAGE = 'src/frontend/index.html';
const pageCollector = createPageCollector({ cache: CACHE });

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await realSandbox();
});

describe('the page collector', () => {
  it('opens a page in Chromium, finds its components and keeps screenshots', async () => {
    const project = new Project();
    const collected = await collect(pageCollector, project, ALL, { sandbox, phase: 'frontend' });
    expect(collected.findings).toEqual([]);
    expect(readingOf(collected, 'ui_component_coverage')).toEqual({ value: 1, examined: 4 });
    expect(readingOf(collected, 'components_count')).toEqual({ value: 4, examined: 4 });
    expect(readingOf(collected, 'accessibility_score')).toMatchObject({ value: 1 });
    expect(readingOf(collected, 'page_load_time_ms')).toMatchObject({ examined: 1 });
    for (const name of ['screenshot-desktop.png', 'screenshot-phone.png']) {
      expect(existsSync(join(project.outDir, name))).toBe(true);
      expect(readFileSync(join(project.outDir, name)).subarray(1, 4).toString()).toBe('PNG');
    }
  });
});
