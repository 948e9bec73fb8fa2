import { beforeAll, describe, expect, it } from 'vitest';
import { bugsCollector, passedTests } from '../../../src/gates/collectors/documents/bugs.ts';
import type { Sandbox } from '../../../src/shared/sandbox/sandbox.ts';
import { Project, collect, measure as measureWith, readingOf, realSandbox } from './documents-support.ts';

const ALL = ['critical_bugs', 'high_priority_bugs', 'bugs_found', 'bugs_fixed'];
const BUGS = 'docs/testing/bugs.yaml';
const TEST = 'tests/regression/bug-1.test.js';

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await realSandbox();
});
const measure = (project: Project, metric: string) => measureWith(bugsCollector, project, metric, { sandbox });

describe('the bugs collector', () => {
  it('counts a bug as fixed when its test is seen to pass', async () => {
    const collected = await collect(bugsCollector, new Project(), ALL, { sandbox });
    expect(collected.findings).toEqual([]);
    expect(readingOf(collected, 'critical_bugs')).toEqual({ value: 0, examined: 1 });
    expect(readingOf(collected, 'high_priority_bugs')).toEqual({ value: 0, examined: 1 });
    expect(readingOf(collected, 'bugs_found')).toEqual({ value: 2, examined: 1 });
    expect(readingOf(collected, 'bugs_fixed')).toEqual({ value: 0.5, examined: 2 });
  });

  it.each([
    ['fails', "import { test } from 'node:test';\ntest('BUG-1', () => { throw new Error('no'); });\n", 'fails'],
    ['holds no test', 'export const nothing = 1;\n', 'ran no test that passed'],
    ['skips its test', "import { test } from 'node:test';\ntest.skip('BUG-1', () => {});\n", 'ran no test that passed'],
    [
      'leaves before its test',
      "import { test } from 'node:test';\nprocess.exit(0);\ntest('BUG-1', () => {});\n",
      'ran no test that passed',
    ],
  ])('counts a critical bug as open when the test that should prove its fix %s', async (_, source, why) => {
    const collected = await collect(bugsCollector, new Project().write(TEST, source), ['critical_bugs'], { sandbox });
    expect(readingOf(collected, 'critical_bugs')).toEqual({ value: 1, examined: 1 });
    expect(collected.findings).toMatchObject([{ rule: 'bugs/open', file: BUGS, line: 2 }]);
    expect(collected.findings[0]?.message).toContain(why);
  });

  it('counts a fix as unproven when its test is missing, unnamed or outside the tests', async () => {
    expect(await measure(new Project().remove(TEST), 'critical_bugs')).toEqual({ value: 1, examined: 1 });
    expect(await measure(new Project().edit(BUGS, `, test: ${TEST}`, ''), 'bugs_fixed')).toEqual({
      value: 0,
      examined: 2,
    });
    expect(await measure(new Project().edit(BUGS, TEST, '../../outside.test.js'), 'critical_bugs')).toEqual({
      value: 1,
      examined: 1,
    });
  });

  it('counts open bugs by severity', async () => {
    const project = new Project().edit(BUGS, 'severity: low', 'severity: high');
    expect(await measure(project, 'high_priority_bugs')).toEqual({ value: 1, examined: 1 });
  });

  it('takes an explicit empty list as one examined document', async () => {
    const project = new Project().write(BUGS, 'searched: [all routes with odd input]\nbugs: []\n');
    expect(await measure(project, 'critical_bugs')).toEqual({ value: 0, examined: 1 });
    expect(await measure(project, 'bugs_fixed')).toEqual({ value: 1, examined: 1 });
  });

  it('cannot judge a list that is missing or not as agreed', async () => {
    expect(await measure(new Project().remove(BUGS), 'critical_bugs')).toContain(`${BUGS} does not exist`);
    expect(await measure(new Project().write(BUGS, 'bugs:\n'), 'critical_bugs')).toContain('bugs');
    expect(
      await measure(new Project().edit(BUGS, 'severity: critical', 'severity: urgent'), 'critical_bugs'),
    ).toContain('bugs.0.severity');
    expect(await measure(new Project().edit(BUGS, 'BUG-2', 'BUG-1'), 'critical_bugs')).toContain('same id');
  });

  it('does not count a point named after the file itself', () => {
    expect(passedTests('ok 1 - /work/tests/a.test.js\n', 'tests/a.test.js')).toBe(0);
    expect(passedTests('ok 1 - it works\nok 2 - later # SKIP\n', 'tests/a.test.js')).toBe(1);
  });
});
