import { expect, test } from 'vitest';
import { defuse } from '../../src/gates/collectors/code/directives.ts';
import { NO_CIRCLES, noteTurn } from '../../src/workers/agent/circles.ts';

/** Hostile amounts: work that looks at everything once for each thing would hold the event loop for minutes here. */
test('a command that changes thirty thousand files is noted', () => {
  const sha256 = 'a'.repeat(64);
  const changed = Array.from({ length: 30_000 }, (_, index) => {
    return { path: `made/${index}`, sha256, tool: 'shell', toolUseId: 'toolu_1', messageId: 'msg_1' };
  });
  const state = { circles: NO_CIRCLES, lineage: changed };
  const noted = noteTurn(state, { calls: [{ name: 'shell', input: {}, result: 'made' }], changed });
  expect(noted).toEqual({ warnings: [], end: undefined });
}, 20_000);

test('a source with sixty thousand tool switches is defused, each with its place', () => {
  const text = 'const a = 1; // eslint-disable-line\nfunction f(x) { return /re/.test(x); }\n'.repeat(60_000);
  const { text: defused, findings } = defuse(text, 'a.ts', 'code');
  expect(defused).toHaveLength(text.length);
  expect(defused).not.toContain('eslint-disable');
  expect(findings).toHaveLength(60_000);
  expect(findings.at(-1)).toMatchObject({ rule: 'tamper/eslint-disable', line: 119_999, column: 17 });
}, 20_000);
