import { describe, expect, test } from 'vitest';
import { qualityScore } from '../../../src/gates/collectors/code/quality.ts';
import { measure, project } from './code-support.ts';

const clean = { errors: 0, warnings: 0, complexFunctions: 0, duplication: 0, codeLines: 100 };

describe('the quality score', () => {
  test.each([
    [clean, 10],
    [{ ...clean, errors: 1 }, 8],
    [{ ...clean, errors: 1, warnings: 1 }, 7.5],
    [{ ...clean, complexFunctions: 2 }, 9],
    [{ ...clean, duplication: 0.2 }, 8],
    [{ ...clean, errors: 10, codeLines: 1000 }, 8],
    [{ ...clean, warnings: 1, codeLines: 10 }, 9.5],
    [{ ...clean, errors: 100 }, 0],
  ])('follows its formula: %o gives %d', (parts, score) => {
    expect(qualityScore(parts)).toBe(score);
  });
});

describe('the quality collector', () => {
  test('gives a clean project the full score and says over how much', async () => {
    const run = await measure('quality', await project());
    expect(run.values).toEqual({
      code_quality_score: { value: 10, examined: 39 },
      component_complexity: { value: 4, examined: 8 },
    });
  });

  test('takes off for an error and says where it is', async () => {
    const run = await measure(
      'quality',
      await project({ 'src/shared/wrong.js': 'const unused = 1;\nexport const one = 1;\n' }),
    );
    expect(run.read('code_quality_score')).toBeLessThanOrEqual(8);
    expect(run.findings).toContainEqual(
      expect.objectContaining({
        rule: 'eslint/@typescript-eslint/no-unused-vars',
        file: 'src/shared/wrong.js',
        line: 1,
        severity: 'error',
      }),
    );
  });

  test.each([
    '/* eslint-disable */\n',
    '/* eslint "@typescript-eslint/no-unused-vars": 0 */\n',
    '/* global unused */\n',
  ])('is not switched off by %s', async (comment) => {
    const with1 = await measure(
      'quality',
      await project({ 'src/shared/wrong.js': `${comment}const unused = 1;\nexport const one = 1;\n` }),
    );
    expect(with1.findings).toContainEqual(
      expect.objectContaining({ rule: 'eslint/@typescript-eslint/no-unused-vars', line: 2 }),
    );
  });

  test('makes an inline disable a finding and reads no lint settings of the project', async () => {
    const root = await project({
      'src/shared/wrong.js': 'const unused = 1; // eslint-disable-line\nexport const one = 1;\n',
      'eslint.config.js': 'export default [{ ignores: ["**/*"] }];\n',
      '.eslintignore': '*\n',
    });
    const run = await measure('quality', root);
    expect(run.findings.map(({ rule }) => rule)).toEqual(
      expect.arrayContaining(['eslint/@typescript-eslint/no-unused-vars', 'tamper/eslint-disable']),
    );
  });

  test('measures complexity and names the function that is over the line', async () => {
    const branches = Array.from({ length: 10 }, (_, at) => `  if (n === ${at}) n += ${at + 2};`).join('\n');
    const run = await measure(
      'quality',
      await project({ 'src/shared/big.js': `export function big(n) {\n${branches}\n  return n;\n}\n` }),
    );
    expect(run.read('component_complexity')).toBe(11);
    expect(run.findings).toContainEqual(
      expect.objectContaining({
        metric: 'component_complexity',
        file: 'src/shared/big.js',
        message: "Function 'big' has a complexity of 11: split it",
      }),
    );
  });

  test.each([
    ['', ''],
    ['/* jscpd:ignore-start */\n', '/* jscpd:ignore-end */\n'],
  ])('finds code that stands twice, %s', async (before, after) => {
    const body = Array.from(
      { length: 12 },
      (_, at) => `  total += list[${at}].price * list[${at}].count + offset;`,
    ).join('\n');
    const copy = (name: string): string =>
      `${before}export function ${name}(list, offset) {\n  let total = 0;\n${body}\n  return total;\n}\n${after}`;
    const run = await measure(
      'quality',
      await project({ 'src/shared/one.js': copy('one'), 'src/shared/two.js': copy('two') }),
    );
    expect(run.findings.map(({ rule }) => rule)).toContain('jscpd/duplicate');
    expect(run.read('code_quality_score')).toBeLessThan(9);
  });

  test.each([
    ['a file that does not parse', { 'src/shared/wrong.js': 'export const = 1;\n' }, /wrong.js:1 cannot be parsed/],
    ['nothing but comments', { src: null, 'src/a.js': '// nothing\n' }, /no line of code/],
    ['no source file', { src: null }, /no JavaScript or TypeScript file/],
  ])('does not score %s', async (_name, changes, reason) => {
    expect((await measure('quality', await project(changes))).read('code_quality_score')).toMatch(reason);
  });
});
