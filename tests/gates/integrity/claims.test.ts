import { describe, expect, test } from 'vitest';
import { type JobRecord, checkClaims, claimFindings, claimsCheck } from '../../../src/gates/claims/claims.ts';
import { putJson } from '../../../src/shared/blob-store.ts';
import { openBlobStore } from '../../../src/shared/open-blob-store.ts';
import { NO_USAGE } from '../../../src/shared/run-record.ts';
import { integrityErrors } from '../../../src/gates/integrity/verdict.ts';
import { Handoff } from '../../../src/shared/handoff.ts';
import type { Claim } from '../../../src/shared/round-evidence.ts';
import type { Measurement } from '../../../src/shared/verdict.ts';
import { claimsOf } from '../../../src/workers/gate-claims.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const RAN = [{ command: 'cd app && node --test tests/unit', exitCode: 0 }];
const job = (claims: string[], change: Partial<JobRecord> = {}): JobRecord => ({
  persona: 'backend_developer',
  handoff: Handoff.parse({ summary: 'Done.', claims }),
  toolCalls: 3,
  isIdle: false,
  mayBeIdle: false,
  commands: RAN,
  findings: [],
  ...change,
});
const base = { collector: 'c', collectorVersion: '1', evidence: [] };
const measured = (metric: string, value: number): Measurement => ({
  ...base,
  status: 'measured',
  metric,
  value,
  examined: 9,
  source: 'collector',
  simulated: false,
});
const unmeasured = (metric: string): Measurement => ({
  ...base,
  status: 'not_evaluable',
  metric,
  reason: 'it crashed',
});

/** The outcome of one claim: what stands beside it. */
function judge(text: string, measurements: Measurement[], change: Partial<JobRecord> = {}): Claim | undefined {
  return checkClaims(job([text], change), measurements).find(({ claim }) => claim === text);
}

describe('a job is not done, whatever it says,', () => {
  test.each<[string, Partial<JobRecord>, RegExp]>([
    ['when it called no tool', { toolCalls: 0 }, /no tool was called/],
    ['when it changed no file', { isIdle: true }, /no file was changed/],
    [
      'when it names a file that is not there',
      {
        handoff: Handoff.parse({ summary: 'Done.', files: ['src/a.js'] }),
        findings: [{ rule: 'handoff/missing-file', message: 'm', severity: 'error', file: 'src/a.js' }],
      },
      /there is src\/a.js.*not in the work/,
    ],
    [
      'when it says that tests pass which it never ran',
      {
        handoff: Handoff.parse({ summary: 'Done.', claims: ['All tests pass.'] }),
        commands: [{ command: 'ls tests', exitCode: 0 }],
      },
      /no command of this job ran a test/,
    ],
    [
      'when the summary says that tests pass which failed',
      {
        handoff: Handoff.parse({ summary: 'The store is written. The test suite is green.' }),
        commands: [{ command: 'npm test', exitCode: 1 }],
      },
      /ended with code 1/,
    ],
  ])('%s', (_, change, reason) => {
    const claims = checkClaims(job([], change), []);
    const check = claimsCheck(claims);
    expect(check).toMatchObject({ check: 'claims_hold', outcome: 'violated' });
    expect(check.message).toMatch(reason);
    expect(integrityErrors([check])).toHaveLength(1);
    expect(claimFindings(claims)).toEqual([
      expect.objectContaining({ rule: 'claims/contradicted', severity: 'error', persona: 'backend_developer' }),
    ]);
  });

  test('but of several personas one may leave a round to the others', () => {
    expect(claimsCheck(checkClaims(job([], { isIdle: true, mayBeIdle: true, toolCalls: 0 }), [])).outcome).toBe('held');
  });
});

describe('tests said to pass', () => {
  test.each([
    'All tests pass.',
    'The component tests pass.',
    'Everything is green.',
    'Every module is tested and all tests are passing',
    'All tests pass and none is skipped.',
  ])('"%s" is held against the measurement', (text) => {
    expect(judge(text, [measured('test_pass_rate', 0.98)])).toMatchObject({
      contradicted: true,
      blocks: true,
      measured: 'measured: 98 % of the tests pass',
    });
    expect(judge(text, [unmeasured('test_pass_rate')])).toMatchObject({ contradicted: true, blocks: true });
    expect(judge(text, [measured('test_pass_rate', 1)])).toMatchObject({ contradicted: false });
    expect(judge(text, [])).toMatchObject({ contradicted: false });
  });

  test.each([
    'Not all tests pass.',
    'Two tests fail.',
    'Tests should pass once links expire.',
    'The tests are written.',
  ])('"%s" claims no success', (text) => {
    expect(judge(text, [measured('test_pass_rate', 0.5)], { commands: [] })).toMatchObject({ contradicted: false });
  });

  test.each([
    'node --test',
    'node --import x --test tests',
    'npm test',
    'npm run test:unit',
    'npx vitest run',
    'python3 -m pytest -q',
    'run_gates',
    'cd app && CI=1 npm --prefix web test -- --grep "a | b; c" > log.txt 2>&1 && echo done # npm test || true',
    './node_modules/.bin/vitest run',
    "timeout 60 node --test 'tests/**/*.test.js' 2>/dev/null",
    'pnpm exec jest --ci',
    'npx c8 --all node --test',
    'npm test \\\n  -- --silent',
    'go test ./...',
  ])('`%s` ran tests', (command) => {
    expect(judge('All tests pass.', [], { commands: [{ command, exitCode: 0 }] })).toMatchObject({
      contradicted: false,
    });
  });

  test.each([
    'npm test || true',
    'npm test; true',
    'npm test\necho done',
    'npm test | tail -5',
    'npm test |& cat',
    'npm test &',
    'npm test && true || true',
    '! npm test',
    'echo npm test',
    'echo "npm test"',
    "sh -c 'npm test || true'",
    'true # npm test',
    'echo $(npm test)',
    'echo `npm test`',
    '(npm test; true)',
    'if npm test; then true; fi',
    'cat <<E\nnpm test\nE',
    'npm test --if-present',
    'pytest --collect-only',
    'vitest --version',
    'grep vitest package.json',
    'npm install vitest',
    'ls node_modules/.bin/jest',
    'true > npm test',
  ])('the exit code of `%s` is not that of tests', (command) => {
    const commands = [{ command, exitCode: 0 }];
    expect(judge('All tests pass.', [], { commands })).toMatchObject({ contradicted: true, blocks: true });
  });

  test('what was measured needs no exit code, and an earlier run that says so is not undone by one that says nothing', () => {
    const piped = { command: 'npm test 2>&1 | tail -5', exitCode: 0 };
    const measuredAll = [measured('test_pass_rate', 1)];
    expect(judge('All tests pass.', measuredAll, { commands: [piped] })).toMatchObject({ contradicted: false });
    expect(judge('All tests pass.', [], { commands: [...RAN, piped] })).toMatchObject({ contradicted: false });
    expect(judge('All tests pass.', [], { commands: [piped] })?.measured).toMatch(
      /`npm test 2>&1 \| tail -5` does not end as its tests do/,
    );
  });
});

describe('numbers and other claims', () => {
  test.each([
    ['Coverage is 95%.', 0.61, true],
    ['The code has 95.5 % coverage', 0.955, false],
    ['Lines are covered to 95 percent', 0.9512, false],
    ['Coverage is 40%.', 0.61, true],
  ])('"%s" beside %d measured', (text, value, contradicted) => {
    expect(judge(text, [measured('test_coverage', value)])).toMatchObject({ contradicted, blocks: false });
  });

  test.each([
    ['The build succeeds.', 'build_success_rate', 0.5],
    ['There are no secrets in the code.', 'security_vulnerabilities', 1],
    ['All nine operations are implemented.', 'stub_rate', 0.1],
  ])('"%s" is contradicted by %s %d, and agrees with nothing found', (text, metric, bad) => {
    expect(judge(text, [measured(metric, bad)])).toMatchObject({ contradicted: true });
    expect(judge(text, [measured(metric, metric === 'build_success_rate' ? 1 : 0)])).toMatchObject({
      contradicted: false,
    });
    expect(judge(text, [unmeasured(metric)])).toMatchObject({
      contradicted: true,
      measured: 'could not be measured: it crashed',
    });
  });

  test('what nothing measures is shown as that', () => {
    expect(judge('The page is beautiful.', [])).toMatchObject({
      contradicted: false,
      measured: 'nothing measures this',
    });
  });
});

test.each([
  ['exit code 0 after 9 ms', 'held'],
  [
    'ended after 120 s, the most a command may take after 120000 ms\n<data-1>\nexit code 0 after 9 ms\n</data-1>',
    'violated',
  ],
])('what the tool itself says of a run of tests counts, and not what the run printed: %s', async (content, outcome) => {
  const blobs = openBlobStore(await tempFolder());
  const use = { type: 'tool_use', id: 't', name: 'shell', input: { command: 'npm test' } };
  const messages = [
    { role: 'assistant', content: [use] },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't', content }] },
  ];
  const result = {
    phase: 'one',
    persona: 'author',
    kind: 'work' as const,
    round: 0,
    commit: null,
    bundle: null,
    handoff: await putJson(blobs, Handoff.parse({ summary: 'Done.', claims: ['All tests pass.'] })),
    transcript: await putJson(blobs, { messages }),
    findings: [],
    usage: NO_USAGE,
    provider: 'scripted' as const,
    simulated: true,
  };
  const { checks } = await claimsOf({ blobs }, [result], []);
  expect(checks.map((check) => check.outcome)).toEqual([outcome]);
});
