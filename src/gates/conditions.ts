import { type ASTNode, Environment } from '@marcbachmann/cel-js';
import { celReason, childrenOf } from '../shared/cel.ts';
import { type ConditionProblem, METRIC_PREFIX, translate } from './condition-syntax.ts';

export type ComparisonOperator = '==' | '!=' | '<' | '<=' | '>' | '>=';

/** `metric operator literal`, as far as a condition has this form. */
export interface Comparison {
  metric: string;
  operator: ComparisonOperator;
  literal: number;
  /** As written, e.g. `0.80`. */
  literalText: string;
  offset: number;
}

export type ConditionResult =
  | { outcome: 'held' }
  | { outcome: 'violated' }
  | { outcome: 'not_evaluable'; metric: string; reason: string };

/** A condition that parsed, type-checked and names declared metrics only. */
export interface Condition {
  text: string;
  /** Every metric it reads, in alphabetical order. */
  metrics: readonly string[];
  /** Every comparison of a metric with a number, wherever it stands. */
  comparisons: readonly Comparison[];
  /** The parts joined by AND, when every part is such a comparison; otherwise undefined. */
  conjunction: readonly Comparison[] | undefined;
  evaluate(values: ReadonlyMap<string, number>): ConditionResult;
}

export type CompiledCondition =
  | { ok: true; condition: Condition }
  | { ok: false; problems: readonly ConditionProblem[] };

const COMPARISONS: ReadonlySet<string> = new Set(['==', '!=', '<', '<=', '>', '>=']);
const FLIPPED: Readonly<Record<ComparisonOperator, ComparisonOperator>> = {
  '==': '==',
  '!=': '!=',
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
};
const LIMITS = { maxAstNodes: 200, maxDepth: 64, maxListElements: 50, maxMapEntries: 0, maxCallArguments: 0 };

/** Makes the compiler of conditions over these metrics. Every metric is a double: the type is decided here, once. */
export function conditionCompiler(metrics: readonly string[]): (text: string) => CompiledCondition {
  const names = new Set(metrics);
  const environment = new Environment({ unlistedVariablesAreDyn: false, limits: LIMITS });
  for (const name of names) environment.registerVariable(`${METRIC_PREFIX}${name}`, 'double');
  return (text) => compile(text, names, environment);
}

function compile(text: string, names: ReadonlySet<string>, environment: Environment): CompiledCondition {
  const translation = translate(text, names);
  if (translation.problems.length > 0) return { ok: false, problems: translation.problems };
  const offsetOf = (index: number): number => translation.offsets[index] ?? text.length;
  const refuse = (index: number, message: string): CompiledCondition => ({
    ok: false,
    problems: [{ offset: offsetOf(index), message: message.replaceAll(METRIC_PREFIX, '') }],
  });
  const checked = environment.check(translation.cel);
  if (!checked.valid) {
    const { error } = checked;
    return refuse(error?.range?.start ?? 0, celReason(error, 'the condition'));
  }
  if (checked.type !== 'bool') return refuse(0, `a condition must be true or false, this one is a number`);
  const run = environment.parse(translation.cel);
  const nodes = allNodes(run.ast);
  const alien = nodes.find((node) => !isAllowed(node));
  if (alien) return refuse(alien.start, `${alien.op} is not available in a condition`);
  const read = [...new Set(nodes.flatMap((node) => (node.op === 'id' ? [metricName(node.args)] : [])))].toSorted();
  if (read.length === 0) return refuse(0, 'the condition reads no metric, so nothing would be measured');
  const comparisonOf = (node: ASTNode): Comparison[] => simpleComparison(node, text, offsetOf);
  const parts = conjuncts(run.ast).map(comparisonOf);
  return {
    ok: true,
    condition: {
      text,
      metrics: read,
      comparisons: nodes.flatMap(comparisonOf),
      conjunction: parts.every((part) => part.length === 1) ? parts.flat() : undefined,
      evaluate: (values) => evaluate(read, nodes, run, values),
    },
  };
}

/**
 * Presence first, then finiteness, then the expression: a short circuit never hides a metric that was not measured,
 * and no division by zero turns into an infinity that compares as true.
 */
function evaluate(
  read: readonly string[],
  nodes: readonly ASTNode[],
  run: (context: Record<string, number>) => unknown,
  values: ReadonlyMap<string, number>,
): ConditionResult {
  const context: Record<string, number> = {};
  for (const metric of read) {
    const value = values.get(metric);
    if (value === undefined) return { outcome: 'not_evaluable', metric, reason: `${metric} was not measured` };
    if (!Number.isFinite(value)) return { outcome: 'not_evaluable', metric, reason: `${metric} is ${value}` };
    context[`${METRIC_PREFIX}${metric}`] = value;
  }
  for (const node of nodes) {
    const value = arithmetic(node, values);
    if (value !== undefined && !Number.isFinite(value)) {
      const metric = allNodes(node).find((inner) => inner.op === 'id');
      const name = metric?.op === 'id' ? metricName(metric.args) : (read[0] ?? '');
      return { outcome: 'not_evaluable', metric: name, reason: `the arithmetic of the condition gives ${value}` };
    }
  }
  const result = run(context);
  if (typeof result !== 'boolean') {
    return { outcome: 'not_evaluable', metric: read[0] ?? '', reason: 'the condition is neither true nor false' };
  }
  return { outcome: result ? 'held' : 'violated' };
}

const metricName = (id: string): string => id.slice(METRIC_PREFIX.length);

function isAllowed(node: ASTNode): boolean {
  switch (node.op) {
    case 'value':
      return typeof node.args === 'number';
    case 'id':
      return node.args.startsWith(METRIC_PREFIX);
    case '&&':
    case '||':
    case '!_':
    case '-_':
    case 'list':
    case 'in':
    case '+':
    case '-':
    case '*':
    case '/':
    case '==':
    case '!=':
    case '<':
    case '<=':
    case '>':
    case '>=':
      return true;
    case '%':
    case '.':
    case '.?':
    case '?:':
    case '[]':
    case '[?]':
    case 'call':
    case 'rcall':
    case 'map':
      break;
  }
  return false;
}

const allNodes = (node: ASTNode): ASTNode[] => [node, ...childrenOf(node).flatMap(allNodes)];

const conjuncts = (node: ASTNode): ASTNode[] => (node.op === '&&' ? node.args.flatMap(conjuncts) : [node]);

/** The value of an arithmetic node; undefined for everything that is not a number. */
function arithmetic(node: ASTNode, values: ReadonlyMap<string, number>): number | undefined {
  if (node.op === 'value') return typeof node.args === 'number' ? node.args : undefined;
  if (node.op === 'id') return values.get(metricName(node.args));
  if (node.op !== '-_' && node.op !== '+' && node.op !== '-' && node.op !== '*' && node.op !== '/') return undefined;
  const [left = Number.NaN, right = Number.NaN] = childrenOf(node).map((child) => arithmetic(child, values));
  if (node.op === '-_') return -left;
  if (node.op === '+') return left + right;
  if (node.op === '-') return left - right;
  return node.op === '*' ? left * right : left / right;
}

const isComparison = (op: string): op is ComparisonOperator => COMPARISONS.has(op);

function simpleComparison(node: ASTNode, text: string, offsetOf: (index: number) => number): Comparison[] {
  if (!isComparison(node.op)) return [];
  const [left, right] = childrenOf(node);
  if (!left || !right) return [];
  const flipped = left.op === 'value';
  const [id, value] = flipped ? [right, left] : [left, right];
  if (id.op !== 'id' || value.op !== 'value' || typeof value.args !== 'number') return [];
  const start = offsetOf(value.start);
  return [
    {
      metric: metricName(id.args),
      operator: flipped ? FLIPPED[node.op] : node.op,
      literal: value.args,
      literalText: /^[\d.eE+-]+/.exec(text.slice(start))?.[0] ?? String(value.args),
      offset: start,
    },
  ];
}
