import { describe, expect, it } from 'vitest';
import { compileExpression, evaluateCondition } from '../../src/shared/expressions.ts';
import type { Reading, Wanted } from '../../src/shared/expressions.ts';
import type { Reference, ReferenceScope } from '../../src/shared/expression-references.ts';
import { compileTemplate, renderText } from '../../src/shared/templates.ts';

const SCOPE: ReferenceScope = {
  inputs: { audit: 'boolean', size: 'number', name: 'string' },
  phases: ['design', 'back-end', 'each'],
  otherPhases: ['release'],
  repeated: ['each'],
  metrics: ['clarity_score', 'test_coverage'],
  item: false,
};

const VALUES: Record<string, unknown> = {
  'input audit': true,
  'input size': 3,
  'status design': 'passed',
  'metric design clarity_score': 0.9,
  'output design services': [{ name: 'users', port: 1 }, { name: 'orders' }],
  'output design count': 2,
};

function read(reference: Reference): Reading {
  const key = Object.values(reference).join(' ');
  return key in VALUES ? { value: VALUES[key] } : { missing: `${key} is not there` };
}

/** What is wrong with an expression, as `offset: message`. */
function problems(text: string, wanted: Wanted = 'condition', scope = SCOPE): string[] {
  const compiled = compileExpression(text, scope, wanted);
  return compiled.ok ? [] : compiled.problems.map(({ offset, message }) => `${offset}: ${message}`);
}

function value(text: string, wanted: Wanted = 'condition'): unknown {
  const compiled = compileExpression(text, SCOPE, wanted);
  if (!compiled.ok) throw new Error(compiled.problems[0]?.message);
  return wanted === 'condition' ? evaluateCondition(compiled.expression, read) : compiled.expression.evaluate(read);
}

describe('an expression', () => {
  it.each([
    ['inputs.audit', true],
    ['inputs.size == 3', true],
    ['inputs.size != 3', false],
    ['inputs.size + 1 > 3.5', true],
    ['inputs.size / 2 == 1.5', true],
    ['inputs.size in [1, 3]', true],
    ['!(inputs.audit && inputs.size < 2)', true],
    ['phases.design.status == "passed"', true],
    ['phases["design"].metrics.clarity_score >= 0.8', true],
    ['phases.design.outputs.services.size() == 2', true],
    ['phases.design.outputs.services.exists(s, s.name == "users")', true],
    ['phases.design.outputs.count == 2', true],
    ['has(inputs.name)', false],
    ['has(inputs.size) && inputs.size > 2', true],
    ['has(inputs.name) && inputs.name == "x"', false],
    ['inputs.audit || inputs.name == "x"', true],
    ['inputs.audit ? inputs.size == 3 : false', true],
  ])('%s is %s', (text, expected) => {
    expect(value(text)).toBe(expected);
  });

  it('gives lists and texts as plain values', () => {
    expect(value('phases.design.outputs.services.map(s, s.name)', 'list')).toEqual(['users', 'orders']);
    expect(value('["a", "b"]', 'list')).toEqual(['a', 'b']);
    expect(value('phases.design.outputs.services.filter(s, has(s.port))', 'list')).toEqual([
      { name: 'users', port: 1 },
    ]);
    expect(value('inputs.size', 'text')).toBe(3);
    expect(value('size("abc")', 'text')).toBe(3);
  });

  it.each([
    ['inputs.audt', '7: there is no input "audt" (did you mean "audit"?)'],
    ['phases.desing.status == "passed"', '7: there is no phase "desing" before this one (did you mean "design"?)'],
    [
      'inputs.audit && phases.release.status == "passed"',
      '23: phase "release" does not come before this one; add it to `needs`',
    ],
    ['phases.back-end.status == "passed"', '7: there is no phase "back" before this one (write phases["back-end"])'],
    [
      'phases.design.metrics.clarity_scor > 0.5',
      '22: "clarity_scor" is not a declared metric (did you mean "clarity_score"?)',
    ],
    ['phases.design.metric.clarity_score > 0.5', '14: a phase has no "metric" (did you mean "metrics"?)'],
    ['phases.design', '7: write phases.design.status, .metrics.NAME or .outputs.NAME'],
    ['phases.each.outputs.x', '12: phase "each" is repeated for each entry of a list: only its status can be read'],
    [
      'phases.design.status == "pased"',
      '24: the status of a phase before this one is never "pased" (did you mean "passed"?): it is one of passed, passed_with_warnings, not_gated, skipped',
    ],
    [
      'phases.design.status == "blocked"',
      '24: the status of a phase before this one is never "blocked": it is one of passed, passed_with_warnings, not_gated, skipped',
    ],
    ['inputs[inputs.name] == "x"', '0: write inputs.NAME; the name cannot be computed'],
    ['input.audit', '0: there is no "input" to read here (did you mean "inputs"?); text stands in quotes'],
    ['item == "a"', '0: there is an `item` only in a phase with `foreach` or `matrix`'],
    ['inputs.size == "3"', '0: no such overload: number == string'],
    ['inputs.audit == ', '16: the expression ends too early'],
    ['inputs.size', '0: the expression gives a number; true or false is needed here'],
    ['  ', '0: the expression is empty'],
    ['inputs.name.matches("(a+)+$")', '0: there is no function "matches" in an expression'],
    ['inputs.size / inputs.size == 1', '14: divide by a number that is written out and is not 0'],
    ['inputs.size / 0 == 1', '14: divide by a number that is written out and is not 0'],
    ['ref_0_', '0: names that begin with "ref_" are taken'],
    ['[1].all(a, [1].all(b, [1].all(c, c > 0)))', '22: lists are walked at most 2 deep'],
  ])('%s is refused, with the place and the nearest name', (text, message) => {
    expect(problems(text)).toEqual([message]);
  });

  it('tells every unknown name at once, and points at a wrong type behind a replaced name', () => {
    expect(problems('inputs.x && inputs.y')).toHaveLength(2);
    expect(problems('inputs.audit && inputs.name > 3')).toEqual(['16: no such overload: string > int']);
    expect(problems('inputs.size', 'list')).toEqual(['0: the expression gives a number; a list is needed here']);
  });

  it('has no result when something it reads is not there, and says what', () => {
    expect(() => value('inputs.name == "x"')).toThrow('input name is not there');
    expect(() => value('phases.design.metrics.test_coverage > 0.8')).toThrow(
      'metric design test_coverage is not there',
    );
    expect(() => value('phases.design.outputs.services[5].name == "x"')).toThrow('No such key');
    expect(() => value('phases.design.outputs.count')).toThrow('it gives 2, which is neither true nor false');
  });

  it('reaches nothing outside its values', () => {
    expect(() => value('phases.design.outputs.services.constructor == "x"')).toThrow('No such key: constructor');
    expect(problems('phases.design.outputs.count.toString() == ""')).toEqual([
      '0: there is no function "toString" in an expression',
    ]);
    expect(problems('process.exit(1)')).not.toEqual([]);
  });
});

describe('a text with expressions in it', () => {
  it('holds their values', () => {
    const inputs = { env: 'prod', n: 2 };
    expect(renderText('deploy-${{ inputs.env }}-${{inputs.n + 1}}', { inputs })).toBe('deploy-prod-3');
    expect(renderText('plain', { inputs })).toBe('plain');
    expect(renderText('${{ inputs.n }}', { inputs })).toBe(2);
    expect(renderText('for ${{ item.name }}', { inputs, item: { name: 'users' } })).toBe('for users');
    expect(() => renderText('${{ inputs.none }}', { inputs })).toThrow('the input "none" was not given');
    expect(() => renderText('${{ item }}', { inputs, item: { a: 1 } })).toThrow('{"a":1} cannot stand in a text');
  });

  it('is refused with the place of the mistake', () => {
    const early: ReferenceScope = { inputs: { env: 'string' }, phases: undefined, item: false };
    const found = (text: string): string[] => {
      const compiled = compileTemplate(text, early);
      return compiled.ok ? [] : compiled.problems.map(({ offset, message }) => `${offset}: ${message}`);
    };
    expect(found('a-${{ inputs.evn }}')).toEqual(['13: there is no input "evn" (did you mean "env"?)']);
    expect(found('a-${{ inputs.env')).toEqual(['2: "${{" has no "}}"']);
    expect(found('${{ phases.a.status }}')).toEqual([
      '4: no phase can be read here: this is decided before any has run',
    ]);
  });
});
