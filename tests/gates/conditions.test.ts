import { describe, expect, test } from 'vitest';
import { type Condition, type ConditionResult, conditionCompiler } from '../../src/gates/conditions.ts';
import { unexpected } from './support.ts';

const compile = conditionCompiler(['a', 'b', 'c', 'constructor', 'int']);

function condition(text: string): Condition {
  const compiled = compile(text);
  return compiled.ok ? compiled.condition : unexpected(JSON.stringify(compiled.problems));
}
const judged = (text: string, values: Record<string, number>): ConditionResult =>
  condition(text).evaluate(new Map(Object.entries(values)));
const holds = (text: string, values: Record<string, number>): boolean => judged(text, values).outcome === 'held';
function refusal(text: string): { offset: number; message: string } {
  const compiled = compile(text);
  if (compiled.ok) return unexpected(`"${text}" was accepted`);
  return compiled.problems[0] ?? unexpected('no problem was named');
}

describe('a condition', () => {
  test.each([
    ['a >= 0.8 AND b == 0', { a: 0.8, b: 0 }, true],
    ['a >= 0.8 AND b == 0', { a: 0.8, b: 1 }, false],
    ['a == 1 OR b == 1', { a: 0, b: 1 }, true],
    ['a == 1 OR b == 1 AND c == 1', { a: 1, b: 0, c: 0 }, true],
    ['(a == 1 OR b == 1) AND c == 1', { a: 1, b: 0, c: 0 }, false],
    ['NOT a == 0', { a: 1 }, true],
    ['NOT a == 0 AND b == 1', { a: 1, b: 0 }, false],
    ['NOT (a == 0 AND b == 0)', { a: 0, b: 1 }, true],
    ['NOT NOT a == 0', { a: 0 }, true],
    ['(NOT a == 0) AND b == 1', { a: 1, b: 1 }, true],
    ['a + b * 2 >= 5', { a: 1, b: 2 }, true],
    ['(a - b) / c > 0.4', { a: 3, b: 1, c: 4 }, true],
    ['a > -1', { a: 0 }, true],
    ['a in [1, 2.5]', { a: 2.5 }, true],
    ['NOT a in [1, 2]', { a: 2 }, false],
    ['a != 0', { a: 0 }, false],
    ['a < 1 && b <= 1 || !(c > 1)', { a: 0, b: 1, c: 9 }, true],
    ['1e1 <= a', { a: 10 }, true],
  ])('%s with %o is %s', (text, values, expected) => {
    expect(holds(text, values)).toBe(expected);
  });

  test('takes whole numbers for the same as doubles', () => {
    expect(holds('a == 1', { a: 1 })).toBe(true);
    expect(holds('a == 1.0', { a: 1 })).toBe(true);
    expect(holds('a in [0, 1]', { a: 1 })).toBe(true);
  });

  test('is not evaluable when a metric is missing, whatever the short circuit', () => {
    expect(judged('a == 0 OR b == 0', { b: 0 })).toMatchObject({ outcome: 'not_evaluable', metric: 'a' });
    expect(judged('a == 0 OR b == 0', { a: 0 })).toMatchObject({ outcome: 'not_evaluable', metric: 'b' });
    expect(judged('a == 1 AND b == 0', { a: 0 })).toMatchObject({ outcome: 'not_evaluable', metric: 'b' });
  });

  test('is not evaluable with NaN, infinities or a division by zero', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(judged('a != 0', { a: bad }).outcome).toBe('not_evaluable');
      expect(judged('b == 0 OR a != 0', { a: bad, b: 0 }).outcome).toBe('not_evaluable');
    }
    expect(judged('a / b > 1', { a: 1, b: 0 })).toMatchObject({ outcome: 'not_evaluable', metric: 'a' });
    expect(judged('c == 0 OR a / b != 1', { a: 0, b: 0, c: 0 }).outcome).toBe('not_evaluable');
  });

  test('reads metrics by name only, never what an object inherits', () => {
    expect(judged('constructor >= 1', {}).outcome).toBe('not_evaluable');
    expect(holds('int >= 1', { int: 1 })).toBe(true);
  });

  test('names every metric it reads, once', () => {
    expect(condition('b > a AND (a > 0 OR c in [b, 2])').metrics).toEqual(['a', 'b', 'c']);
  });

  test('keeps its parts for messages, with the numbers as written', () => {
    expect(condition('a >= 0.80 AND 5 > b').conjunction).toMatchObject([
      { metric: 'a', operator: '>=', literal: 0.8, literalText: '0.80' },
      { metric: 'b', operator: '<', literal: 5, literalText: '5' },
    ]);
    expect(condition('a > 1 OR b > 1').conjunction).toBeUndefined();
  });
});

describe('a condition is refused, with the place of the mistake,', () => {
  test.each([
    ['has(a.typo)', 0, /functions/],
    ['a.matches("(a+)+$")', 1, /fields/],
    ['matches(a)', 0, /functions/],
    ['a[0] > 1', 1, /list only stands after `in`/],
    ['[1, 2].all(x, x > 0)', 0, /list only stands/],
    ['{1: 2} == a', 0, /maps/],
    ['a > 1 ? b > 1 : c > 1', 6, /no \?:/],
    ['a == "x"', 5, /text/],
    ['a = 1', 2, /use == to compare/],
    ['a > 1 AND unknwn > 1', 10, /"unknwn" is not a declared metric/],
    ['a > 1 and b > 1', 6, /write AND/],
    ['a == true', 5, /"true" is not a declared metric/],
    ['a AND b', 0, /bool operands/],
    ['a', 0, /true or false/],
    ['a + 1', 0, /true or false/],
    ['0 < a < 1', 0, /no such overload/],
    ['(a > 1) == 1', 1, /no such overload/],
    ['a > 1 AND', 9, /ends too early/],
    ['a >', 3, /ends too early/],
    ['(a > 1', 6, /Expected/],
    ['a > 1)', 5, /./],
    ['a > 1 b > 1', 6, /./],
    ['a % 2 == 0', 0, /no such overload/],
    ['a > 1e999', 4, /too large/],
    ['a > 0x10', 5, /not a declared metric/],
    ['', 0, /empty/],
    ['   ', 0, /empty/],
    ['1 == 1', 0, /reads no metric/],
    ['a > 1 // AND b > 1', 7, /./],
    ['a > 1; b', 5, /unexpected ";"/],
    ['__proto__ > 1', 0, /not a declared metric/],
  ])('%s', (text, offset, message) => {
    const problem = refusal(text);
    expect(problem.message).toMatch(message);
    expect(problem.offset).toBe(offset);
  });

  test('when it is too long, too deep or has too many parts', () => {
    expect(refusal(`a > ${'1'.repeat(600)}`).message).toMatch(/at most 500/);
    expect(refusal(`${'('.repeat(30)}a > 1${')'.repeat(30)}`).message).toMatch(/nested deeper/);
    expect(refusal(`a in [${Array.from({ length: 60 }, () => '1').join(',')}]`).message).toMatch(/list|Exceeded/i);
  });
});
