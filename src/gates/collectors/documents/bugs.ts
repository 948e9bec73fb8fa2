import { posix } from 'node:path';
import { z } from 'zod';
import type { Finding } from '../../../shared/verdict.ts';
import { type YamlFile, parseYaml } from '../../../shared/yaml-file.ts';
import type { CollectContext } from '../../collector.ts';
import { type Reading, defineCollector, finding, measured, notEvaluable } from './define-collector.ts';
import { readDocument, readProjectText } from './project-files.ts';

const BUGS_PATH = 'docs/testing/bugs.yaml';

const Bug = z.strictObject({
  id: z.string().regex(/^BUG-\d+$/, 'write an id such as BUG-1'),
  title: z.string().min(1),
  severity: z.enum(['critical', 'high', 'medium', 'low']),
  status: z.enum(['open', 'fixed']),
  /** Path of the test that proves the fix. */
  test: z.string().optional(),
  description: z.string().optional(),
});
type Bug = z.infer<typeof Bug>;

/** The bug list. An empty list is a statement of its own: somebody looked and found none. */
const BugList = z
  .strictObject({
    bugs: z.array(Bug),
    /** What was searched, in words. */
    searched: z.array(z.string()).optional(),
  })
  .refine((list) => new Set(list.bugs.map((bug) => bug.id)).size === list.bugs.length, {
    message: 'two bugs have the same id',
    path: ['bugs'],
  });

interface BugState {
  bug: Bug;
  line: number;
  /** Fixed, and its test was seen to pass. */
  isFixed: boolean;
  problem: string | undefined;
}
interface Bugs {
  path: string;
  states: BugState[];
}

async function prepare(context: CollectContext): Promise<Bugs | undefined> {
  const text = await readDocument(context, 'bug_reports', BUGS_PATH);
  if (text === undefined) return undefined;
  const file = parseYaml(BugList, { file: text.path, text: text.text });
  const states: BugState[] = [];
  for (const [index, bug] of file.value.bugs.entries()) states.push(await stateOf(context, file, bug, index));
  return { path: text.path, states };
}

async function stateOf(context: CollectContext, file: YamlFile<unknown>, bug: Bug, index: number): Promise<BugState> {
  const { line } = file.positionOf(['bugs', index]);
  if (bug.status === 'open') return { bug, line, isFixed: false, problem: undefined };
  const problem = await fixProblem(context, bug);
  return { bug, line, isFixed: problem === undefined, problem };
}

/** Why a fix is not proven, or undefined when its test ran and passed. */
async function fixProblem(context: CollectContext, bug: Bug): Promise<string | undefined> {
  if (bug.test === undefined) return `is marked fixed and names no test; add test: tests/regression/...`;
  const path = posix.normalize(bug.test);
  if (!/^tests\/.+\.(?:js|mjs|cjs|ts)$/.test(path))
    return `names ${bug.test} as its test; the test must be a file under tests/`;
  if ((await readProjectText(context.root, path)) === undefined) return `names the test ${path}, which does not exist`;
  const result = await context.sandbox.run({
    argv: ['node', '--test', '--test-reporter=tap', path],
    mounts: [{ host: context.root, inside: '/work', writable: false }],
    cwd: '/work',
    env: { NODE_ENV: 'test' },
    limits: { wallMs: 60_000 },
    signal: context.signal,
  });
  if (result.endedBy !== 'exit') return `its test ${path} did not end by itself (${result.endedBy})`;
  if (result.exitCode !== 0) return `its test ${path} fails (exit code ${result.exitCode})`;
  return passedTests(result.stdout, path) === 0 ? `its test ${path} ran no test that passed` : undefined;
}

/** Counts passed test points. A file that defines no test is reported as one point named after itself: it proves nothing. */
export function passedTests(tap: string, path: string): number {
  return tap.split('\n').filter((line) => {
    const point = /^\s*ok \d+ - (.*)$/.exec(line)?.[1];
    return point !== undefined && !/# (?:SKIP|TODO)/i.test(point) && !point.trim().endsWith(path);
  }).length;
}

const noList = (metric: string): Reading =>
  notEvaluable(
    metric,
    'bugs/missing',
    `${BUGS_PATH} does not exist: write "bugs:" with a list of {id, title, severity, status, test}, or "bugs: []" when the tests found none`,
    { file: BUGS_PATH },
  );

const unproven = (bugs: Bugs, metric: string): Finding[] =>
  bugs.states.flatMap((state) =>
    state.problem === undefined
      ? []
      : [
          finding(metric, 'bugs/unproven-fix', `${state.bug.id} ${state.problem}`, {
            file: bugs.path,
            line: state.line,
          }),
        ],
  );

function openBugs(bugs: Bugs | undefined, metric: string, severity: Bug['severity']): Reading {
  if (bugs === undefined) return noList(metric);
  const open = bugs.states.filter((state) => state.bug.severity === severity && !state.isFixed);
  const findings = open.map((state) =>
    finding(metric, 'bugs/open', `${state.bug.id} (${severity}) ${state.problem ?? `is open: ${state.bug.title}`}`, {
      file: bugs.path,
      line: state.line,
    }),
  );
  return measured(open.length, 1, `${open.length} of ${bugs.states.length} recorded bugs are open and ${severity}`, {
    findings,
  });
}

function bugsFixed(bugs: Bugs | undefined, metric: string): Reading {
  if (bugs === undefined) return noList(metric);
  const fixed = bugs.states.filter((state) => state.isFixed).length;
  const value = bugs.states.length === 0 ? 1 : fixed / bugs.states.length;
  // A list that says there are none is one examined thing.
  return measured(
    value,
    Math.max(1, bugs.states.length),
    `${fixed} of ${bugs.states.length} recorded bugs are fixed, each proven by a test that passed`,
    {
      findings: unproven(bugs, metric),
    },
  );
}

function bugsFound(bugs: Bugs | undefined, metric: string): Reading {
  if (bugs === undefined) return noList(metric);
  return measured(bugs.states.length, 1, `${bugs.states.length} bugs recorded in ${bugs.path}`);
}

/** Reads the bug list; a bug is fixed only when the test it names is seen to pass. */
export const bugsCollector = defineCollector({
  id: 'bugs',
  version: '1',
  timeoutMs: 240_000,
  prepare,
  measures: {
    critical_bugs: (bugs, _, metric) => openBugs(bugs, metric, 'critical'),
    high_priority_bugs: (bugs, _, metric) => openBugs(bugs, metric, 'high'),
    bugs_found: (bugs, _, metric) => bugsFound(bugs, metric),
    bugs_fixed: (bugs, _, metric) => bugsFixed(bugs, metric),
  },
});
