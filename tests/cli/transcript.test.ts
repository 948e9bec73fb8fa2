import pc from 'picocolors';
import { describe, expect, test } from 'vitest';
import { LiveLines } from '../../src/cli/transcript/live-lines.ts';
import { headLines, openLines, taskLines, turnLines } from '../../src/cli/transcript/render.ts';
import { roundLines } from '../../src/cli/transcript/round-lines.ts';
import { Transcript, readTalk } from '../../src/cli/transcript/talk.ts';
import { widthOf } from '../../src/gates/reports/columns.ts';
import { type Finding, PhaseVerdict } from '../../src/shared/verdict.ts';
import { dataBlock } from '../../src/workers/agent/data-block.ts';

const HOSTILE = 'one\u001b[2J\u001b]0;title\u0007 two\r\nthree';
const usage = { inputTokens: 1_000, outputTokens: 200, cacheReadTokens: 3_000, cacheWriteTokens: 0, costUsd: 0.0123 };

const call = (turn: number, more: object = {}) => ({
  turn,
  outcome: 'answered',
  error: null,
  host: 'models.example',
  modelAsked: 'big-model',
  modelAnswered: 'big-model-1',
  stopReason: 'tool_use',
  usage,
  startedAt: `2026-11-30T10:00:0${turn}.000Z`,
  latencyMs: 1_500,
  simulated: false,
  ...more,
});
const use = (id: string, name: string, input: object) => ({ type: 'tool_use', id, name, input });
const result = (id: string, content: string, isError = false) => ({
  type: 'tool_result',
  tool_use_id: id,
  content,
  is_error: isError,
});

/** The lines of a conversation in which each answer is given by its blocks, and what came back for it. */
function linesOf(
  answers: readonly { said: readonly object[]; back?: readonly object[]; call?: object }[],
  of: { columns?: number; isFull?: boolean; color?: boolean; more?: object } = {},
): string[] {
  const talk = readTalk(
    Transcript.parse({
      schemaVersion: 1,
      messages: [
        { role: 'user', content: '<job run="r"/>\n\nDo it.' },
        ...answers.flatMap(({ said, back = [] }) => [
          { role: 'assistant', content: said },
          { role: 'user', content: back },
        ]),
      ],
      calls: answers.map((answer, index) => call(index + 1, answer.call)),
      ...of.more,
    }),
  );
  const page = {
    colors: pc.createColors(of.color === true),
    columns: of.columns ?? 100,
    isFull: of.isFull === true,
  };
  return [
    ...headLines('backend: backend_developer, work', talk, page),
    ...taskLines(talk, page),
    ...talk.turns.flatMap((turn) => turnLines(turn, page)),
    ...openLines(talk, page),
  ];
}
const text = (...args: Parameters<typeof linesOf>): string => linesOf(...args).join('\n');

const EVERYTHING = [
  {
    said: [
      { type: 'thinking', thinking: 'Where to begin?' },
      {
        type: 'text',
        text: `## Plan\n\n- **first** the \`router\`, ${'and then a long sentence '.repeat(6)}\n${HOSTILE}`,
      },
      use('a', 'write_file', { path: 'src/a.js', content: 'let x = 1;\n'.repeat(40) }),
      use('b', 'edit_file', { path: 'src/b.js', old_text: 'one\ntwo\nthree', new_text: 'one\n2\nthree' }),
      use('c', 'shell', { command: `npm test ${'日本語 '.repeat(40)}` }),
    ],
    back: [
      result('a', 'written'),
      result('b', 'changed'),
      result('c', `exit code 1 after 2345 ms\n${dataBlock(`${'line\n'.repeat(30)}the end`, { stream: 'stdout' })}`),
    ],
  },
];

describe('between the rounds', () => {
  const finding = (line: number, more: Partial<Finding> = {}): Finding => ({
    rule: 'test/failed',
    message: `${HOSTILE} ${'does not answer with 404 '.repeat(12)}`,
    severity: 'error',
    file: 'tests/a.test.js',
    line,
    ...more,
  });
  const verdict = PhaseVerdict.parse({
    phase: 'backend',
    policy: 'backend',
    fallback: false,
    verdict: 'blocked',
    gates: [],
    criteria: [],
    artifacts: [],
    targets: [],
    errors: [{ metric: 'claims_hold', reason: 'no command of this job ran a test' }],
    simulated: false,
  });
  const told = (columns: number, isFull = false): string[] =>
    roundLines(
      'backend',
      { round: 1, verdict, at: '2026-11-30T10:02:03.000Z' },
      [
        finding(1, { severity: 'warning', message: 'only a hint' }),
        ...Array.from({ length: 9 }, (_, nth) => finding(nth + 2)),
      ],
      { colors: pc.createColors(false), columns, isFull },
    ).flatMap((item) => item.split('\n'));

  test.each([80, 110])('stand the verdict and the first findings, within %i columns', (columns) => {
    const lines = told(columns);
    expect(lines[0]).toMatch(/^━━ backend: gates, rework 1 · ✘ blocked · 10:02:03 ━+$/);
    expect(lines[1]).toMatch(/claims_hold: no command of this job ran a test/);
    expect(lines[2]).toBe('  10 findings');
    expect(lines[3]).toMatch(/^ {2}tests\/a\.test\.js:2: one/);
    expect(lines.at(-1)).toBe('… 4 more lines (--full)');
    expect(lines.filter((line) => widthOf(line) > columns)).toEqual([]);
    // oxlint-disable-next-line no-control-regex -- none may be left
    expect(lines.join('\n')).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
    expect(told(columns, true).join('\n')).toContain('only a hint (test/failed)');
  });
});

describe('a transcript', () => {
  test('shows a turn with its time, model, tokens, cost and duration', () => {
    const told = text([{ said: [{ type: 'text', text: 'Hello.' }] }]);
    expect(told).toContain(
      '1 turn · big-model-1 at models.example · 4.0k tokens in (75% from the cache), 200 out · $0.0123',
    );
    expect(told).toContain('── turn 1 · 10:00:01 · big-model-1 · 1.5s · $0.0123 · 4.0k in (3.0k cached), 200 out ─');
    expect(told).toContain('task\n  Do it.');
  });

  test('gives the tokens of a turn a line of their own where they would be cut', () => {
    const model = { modelAnswered: 'a-model-with-a-long-name-20251130' };
    const lines = linesOf([{ said: [{ type: 'text', text: 'Hello.' }], call: model }], { columns: 80 });
    const at = lines.findIndex((line) => line.startsWith('── turn 1'));
    expect(lines[at]).toMatch(/^── turn 1 · 10:00:01 · a-model-with-a-long-name-20251130 · 1\.5s · \$0\.0123 ─+$/);
    expect(lines[at + 1]).toBe('  4.0k in (3.0k cached), 200 out');
  });

  test('shows edits as differences, commands with their exit code and the end of their output', () => {
    const told = text(EVERYTHING);
    expect(told).toMatch(
      /✎ write {3}src\/a\.js {2}40 lines\n {6}\+ let x = 1;\n(.*\n){3} {6}… 36 more lines \(--full\)/,
    );
    expect(told).toContain('✎ edit    src/b.js  +1 -1\n        one\n      - two\n      + 2\n        three');
    expect(told).toMatch(
      /\$ shell {3}npm test .*… {2}exit 1 · 2\.3 s\n {6}… 21 more lines \(--full\)\n( {6}line\n){9} {6}the end/,
    );
    expect(told).toContain('  Plan\n\n  • first the router, and then');
  });

  test.each([40, 80, 110])('fits into %i columns, and obeys no control character', (columns) => {
    for (const isFull of [false, true]) {
      const lines = linesOf(EVERYTHING, { columns, isFull });
      expect(lines.filter((line) => widthOf(line) > columns)).toEqual([]);
      // oxlint-disable-next-line no-control-regex -- none may be left
      expect(lines.join('\n')).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
      expect(lines.join('\n').includes('\u{fffd}[2J')).toBe(true);
    }
  });

  test('is whole when asked for', () => {
    expect(linesOf(EVERYTHING, { isFull: true }).filter((line) => line === '      + let x = 1;')).toHaveLength(40);
    expect(linesOf(EVERYTHING, { isFull: true }).filter((line) => line === '      line')).toHaveLength(30);
  });

  test('paints no line beyond its end', () => {
    const painted = linesOf(EVERYTHING, { color: true });
    expect(painted.join('\n')).toContain('\u001b[31m-\u001b[39m \u001b[31mtwo\u001b[39m');
    // Every colour that begins on a line ends on it.
    // oxlint-disable-next-line no-control-regex -- colours are what is looked for
    expect(painted.filter((line) => (line.match(/\u001b\[/g) ?? []).length % 2 !== 0)).toEqual([]);
  });

  test('marks what was refused, failed, fell back, was cut off, replayed and simulated', () => {
    const told = text(
      [
        {
          said: [use('x', 'shell', { command: 'curl example.org' })],
          back: [result('x', 'shell is not a tool of yours', true), { type: 'text', text: 'You were cut off.' }],
          call: { fallbackFrom: 'bigger-model', stopReason: 'max_tokens', replayed: true, simulated: true },
        },
      ],
      {
        more: {
          refusedCalls: [{ toolUseId: 'x' }],
          calls: [
            call(1, { outcome: 'failed', error: 'overloaded', modelAnswered: null }),
            call(1, { fallbackFrom: 'bigger-model', stopReason: 'max_tokens', replayed: true }),
            call(2, { outcome: 'failed', error: 'the model refused to go on', modelAnswered: null }),
          ],
        },
      },
    );
    expect(told).toContain('✘ a call failed: overloaded');
    const fell = 'asked bigger-model, which was overloaded: answered by big-model-1 as fallback';
    expect(told).toContain(`↷ ${fell}`);
    expect(told.split('\n').slice(0, 6).join('\n')).toContain(`${fell} from turn 1 on`);
    expect(told).toContain('the answer was cut off');
    expect(told).toContain('replayed from a recording');
    expect(told).toContain('curl example.org  refused: not for this persona\n      shell is not a tool of yours');
    expect(told).toContain('! You were cut off.');
    expect(told).toContain('✘ a call failed: the model refused to go on');
    expect(text([{ said: [], call: { simulated: true } }])).toMatch(/turn 1 · .* · simulated · /);
    expect(text([{ said: [], call: { replayed: true } }])).toMatch(/turn 1 · .* · replayed · /);
    const both = text([{ said: [], call: { replayed: true, simulated: true } }]);
    expect(both).toMatch(/out · replayed,\s+simulated · [^]*turn 1 · .* · replayed, simulated · /);
  });

  test('numbers the turns of a conversation that was summed up as the calls do', () => {
    const told = text([{ said: [{ type: 'text', text: 'The last answer.' }] }], {
      more: {
        calls: [call(1), call(2), call(3, { purpose: 'compaction' }), call(3)],
        compactions: [{ turn: 3, replaced: 2, fromTokens: 90_000, toTokens: 9_000 }],
      },
    });
    expect(told).toContain('summed up 1 time, because it no longer fitted its model');
    expect(told).toMatch(/── turn 3 [^]*≡ the conversation was summed up[^]*The last answer\./);
    expect(told).not.toContain('turn 1');
  });

  test('shows questions with their answers, gates as their table, and the hand-off', () => {
    const table = 'gate            outcome\nbuild_success   passed';
    const told = text([
      {
        said: [
          use('q', 'ask_human', { question: 'Which **port**?', options: ['80', '8080'] }),
          use('g', 'run_gates', {}),
          use('h', 'hand_off', {
            summary: 'All **done** in src/backend/**, src/shared/**.',
            decisions: ['No cache.'],
            contracts: [{ name: 'api_specification', kind: 'api', file: 'docs/api.yaml', line: 3, note: 'all of it' }],
            claims: ['Tests pass.'],
          }),
        ],
        back: [
          result('q', dataBlock('8080, please.', { 'answer-by': 'ann (simulated: a script, no person)' })),
          result('g', dataBlock(table, { gates: 'now' })),
          result('h', 'accepted'),
        ],
      },
    ]);
    expect(told).toContain(
      'Which port?\n      • 80\n      • 8080\n      ↳ ann (simulated: a script, no person) answers:\n        8080, please.',
    );
    expect(told).toContain('      gate            outcome\n      build_success   passed');
    expect(told).toContain(
      'All done in src/backend/**, src/shared/**.\n      Decisions\n      • No cache.\n      Contracts\n' +
        '      • api_specification (api): docs/api.yaml:3, all of it\n' +
        '      Claims (said, not measured)\n      • Tests pass.',
    );
  });
});

test('what a command prints while it runs is shown line by line, each once, and never obeyed', () => {
  const page = { colors: pc.createColors(false), columns: 60, isFull: false };
  const lines = new LiveLines();
  let all = '';
  const more = (printed: string, of: { lost?: boolean; toolUseId?: string } = {}): string[] => {
    all += printed;
    const command = {
      phase: 'backend',
      persona: 'coder',
      kind: 'work' as const,
      round: 0,
      simulated: false,
      toolUseId: of.toolUseId ?? 'one',
      tool: 'shell',
      command: `npm test\n${HOSTILE}`,
      startedAt: '2026-11-30T10:00:00.000Z',
      bytes: all.length,
      text: of.lost === true ? all.slice(-4) : all,
      end: all.length,
    };
    return lines.next([command], page);
  };
  const started = more('');
  expect(started.slice(0, 2)).toEqual(['', 'backend: coder runs']);
  expect(started[2]).toMatch(/^ {2}\$ shell {3}npm test one.*running since 10:00:00$/);
  expect(more('first\nsec')).toEqual(['    │ first']);
  expect(more('ond\r\n')).toEqual(['    │ second']);
  // A line that does not go on is shown as it is.
  expect(more('wait...')).toEqual([]);
  expect(more('')).toEqual(['    │ wait...']);
  expect(more('')).toEqual([]);
  expect(more('10%\r50%\r100%\n')).toEqual(['    │ 100%']);
  expect(more(`${HOSTILE}\n`).join()).not.toMatch(/\p{Cc}/u);
  expect(more('this is lost\nend\n', { lost: true })).toEqual(['    │ [13 characters went by]', '    │ end']);
  const long = more(Array.from({ length: 100 }, (_, index) => `line ${index} ${'x'.repeat(100)}\n`).join(''));
  expect(long[0]).toBe('    │ … 80 more lines (--full)');
  expect(long.slice(1).every((line) => widthOf(line) <= 60)).toBe(true);
  all = '';
  expect(more('other\n', { toolUseId: 'two' })).toEqual([...started, '    │ other']);
});
