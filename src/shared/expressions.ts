import { type ASTNode, Environment } from '@marcbachmann/cel-js';
import { celReason, childrenOf } from './cel.ts';
import { errorMessage } from './errors.ts';
import { type Reference, type ReferenceScope, findReferences } from './expression-references.ts';
import { nearestHint } from './yaml-file.ts';

/** A mistake in an expression, at an offset in its text. */
export interface ExpressionProblem {
  offset: number;
  message: string;
}

/** What an expression must give: true or false, a list, or something that can stand in a text. */
export type Wanted = 'condition' | 'list' | 'text';

/** The value of a reference, or why it has none. */
export type Reading = { value: unknown } | { missing: string };

export interface Expression {
  text: string;
  /** Everything outside itself that it reads. */
  references: readonly Reference[];
  /** Throws an error that says why there is no result. */
  evaluate(read: (reference: Reference) => Reading): unknown;
}

export type CompiledExpression =
  | { ok: true; expression: Expression }
  | { ok: false; problems: readonly ExpressionProblem[] };

const LIMITS = { maxAstNodes: 200, maxDepth: 32, maxListElements: 100, maxMapEntries: 20, maxCallArguments: 4 };
const MOST_CHARACTERS = 1_000;
const FUNCTIONS: ReadonlySet<string> = new Set([
  'has',
  'size',
  'string',
  'double',
  'int',
  'startsWith',
  'endsWith',
  'contains',
  'split',
  'join',
  'trim',
  'lowerAscii',
  'upperAscii',
  'exists',
  'exists_one',
  'all',
  'filter',
  'map',
]);
/** Walks over lists; one inside another is as far as it goes, so that no expression can keep a worker busy. */
const WALKS: ReadonlySet<string> = new Set(['exists', 'exists_one', 'all', 'filter', 'map']);
const MOST_NESTED_WALKS = 2;

const among = (value: unknown, list: readonly unknown[]): boolean =>
  list.some((entry) => (typeof entry === 'bigint' || typeof entry === 'number') && Number(entry) === Number(value));

/** Numbers from files and people are doubles, and those written in an expression whole: both are simply numbers. */
const BASE = ((): Environment => {
  const environment = new Environment({
    unlistedVariablesAreDyn: false,
    homogeneousAggregateLiterals: false,
    limits: LIMITS,
  });
  const both = (operator: string, result: string, apply: (a: number, b: number) => number | boolean): void => {
    for (const operands of [`double ${operator} int`, `int ${operator} double`])
      environment.registerOperator(`${operands}: ${result}`, (a: unknown, b: unknown) => apply(Number(a), Number(b)));
  };
  environment.registerOperator('double == int: bool', (a: unknown, b: unknown) => Number(a) === Number(b));
  both('+', 'double', (a, b) => a + b);
  both('-', 'double', (a, b) => a - b);
  both('*', 'double', (a, b) => a * b);
  both('/', 'double', (a, b) => a / b);
  environment.registerOperator('double in list<int>: bool', among);
  environment.registerOperator('int in list<double>: bool', among);
  return environment;
})();

const SUBJECT = 'the expression';

const refuse = (offset: number, message: string): CompiledExpression => ({
  ok: false,
  problems: [{ offset, message }],
});

/** Parses an expression, resolves every name in it and checks its types. Nothing of it is ever run as code. */
export function compileExpression(text: string, scope: ReferenceScope, wanted: Wanted): CompiledExpression {
  if (text.trim() === '') return refuse(0, `${SUBJECT} is empty`);
  if (text.length > MOST_CHARACTERS)
    return refuse(MOST_CHARACTERS, `${SUBJECT} has ${text.length} characters, at most ${MOST_CHARACTERS} are allowed`);
  let written: ASTNode;
  try {
    written = BASE.parse(text).ast;
  } catch (err) {
    return refuse(offsetOf(err), celReason(err, SUBJECT));
  }
  const found = findReferences(written, text, scope);
  const problems = [...found.problems, ...formProblems(written, 0)];
  if (problems.length > 0) return { ok: false, problems: problems.toSorted((a, b) => a.offset - b.offset) };

  const environment = BASE.clone();
  for (const { variable, type } of found.variables) environment.registerVariable(variable, type);
  const plain = (message: string): string =>
    found.variables.reduce((all, { variable, text: name }) => all.replaceAll(variable, name), message);
  const checked = environment.check(found.cel);
  if (!checked.valid) {
    const offset = found.offsets[offsetOf(checked.error)] ?? text.length;
    return refuse(offset, unknownName(plain(celReason(checked.error, SUBJECT))));
  }
  const given = checked.type ?? 'dyn';
  if (!fits(given, wanted)) return refuse(0, `${SUBJECT} gives ${typeName(given)}; ${WISHES[wanted]} is needed here`);
  const run = environment.parse(found.cel);
  return {
    ok: true,
    expression: {
      text,
      references: found.variables.map(({ reference }) => reference),
      evaluate: (read) => {
        const context: Record<string, unknown> = {};
        const missing = new Map<string, string>();
        for (const { variable, reference, isPresence } of found.variables) {
          const reading = read(reference);
          if (isPresence) context[variable] = 'value' in reading;
          else if ('value' in reading) context[variable] = reading.value;
          else missing.set(variable, reading.missing);
        }
        try {
          return plainValue(run(context));
        } catch (err) {
          const message = celReason(err, SUBJECT);
          const absent = [...missing].find(([variable]) => new RegExp(`\\b${variable}\\b`).test(message));
          throw new Error(absent?.[1] ?? plain(firstLine(message)), { cause: err });
        }
      },
    },
  };
}

const firstLine = (text: string): string => text.split('\n')[0] ?? text;

const offsetOf = (error: unknown): number => {
  if (typeof error !== 'object' || error === null || !('range' in error)) return 0;
  const { range } = error;
  return typeof range === 'object' && range !== null && 'start' in range ? Number(range.start) : 0;
};

/** What parses in CEL and has no place here. */
function formProblems(node: ASTNode, walks: number): ExpressionProblem[] {
  const problems: ExpressionProblem[] = [];
  const name = node.op === 'call' || node.op === 'rcall' ? node.args[0] : undefined;
  const isWalk = name !== undefined && WALKS.has(name);
  if (name !== undefined && !FUNCTIONS.has(name))
    problems.push({
      offset: node.start,
      message: `there is no function "${name}" in an expression${nearestHint(name, [...FUNCTIONS])}`,
    });
  if (isWalk && walks === MOST_NESTED_WALKS)
    problems.push({ offset: node.start, message: `lists are walked at most ${MOST_NESTED_WALKS} deep` });
  if ((node.op === '/' || node.op === '%') && !isNumber(node.args[1]))
    problems.push({ offset: node.args[1].start, message: 'divide by a number that is written out and is not 0' });
  const below = walks + (isWalk ? 1 : 0);
  return [...problems, ...childrenOf(node).flatMap((child) => formProblems(child, below))];
}

const isNumber = (node: ASTNode): boolean =>
  node.op === 'value' && (typeof node.args === 'bigint' || typeof node.args === 'number') && Number(node.args) !== 0;

function unknownName(message: string): string {
  const name = /^Unknown variable: (.+)$/.exec(message)?.[1];
  if (name === undefined) return message;
  return `there is no "${name}" to read here${nearestHint(name, ['inputs', 'phases', 'item'])}; text stands in quotes`;
}

const WISHES: Readonly<Record<Wanted, string>> = {
  condition: 'true or false',
  list: 'a list',
  text: 'a text, a number, true or false',
};

function fits(type: string, wanted: Wanted): boolean {
  if (type === 'dyn') return true;
  if (wanted === 'condition') return type === 'bool';
  if (wanted === 'list') return type === 'list' || type.startsWith('list<');
  return ['string', 'double', 'int', 'bool'].includes(type);
}

function typeName(type: string): string {
  if (type === 'bool') return 'true or false';
  if (type === 'double' || type === 'int') return 'a number';
  if (type === 'string') return 'a text';
  return type.startsWith('list') ? 'a list' : 'an object';
}

/** Values as JSON knows them: whole numbers of CEL become numbers. */
function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plainValue);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plainValue(entry)]));
}

/** Evaluates a compiled condition: anything but true or false is an error. */
export function evaluateCondition(expression: Expression, read: (reference: Reference) => Reading): boolean {
  const result = expression.evaluate(read);
  if (typeof result !== 'boolean') throw new Error(`it gives ${described(result)}, which is neither true nor false`);
  return result;
}

/** A value, shortly, for a message. */
export function described(value: unknown): string {
  try {
    const text = JSON.stringify(value) ?? 'nothing';
    return text.length > 60 ? `${text.slice(0, 60)} ...` : text;
  } catch (err) {
    return errorMessage(err);
  }
}
