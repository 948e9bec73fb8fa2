import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { MutantsInput, MutantsReport } from '../collectors/code/probe-reports.ts';
import { answer, projectFolder, readInput } from './code-probe-io.ts';

/**
 * Proposes small faults in given lines: a condition turned round, a comparison or a connective swapped, a result
 * replaced, a statement removed. Which of them are tried is drawn by a hash of the seed: the same files give the same.
 */
type Mutant = MutantsReport['mutants'][number];

const SWAPPED: Partial<Record<ts.SyntaxKind, string>> = {
  [ts.SyntaxKind.EqualsEqualsEqualsToken]: '!==',
  [ts.SyntaxKind.ExclamationEqualsEqualsToken]: '===',
  [ts.SyntaxKind.EqualsEqualsToken]: '!=',
  [ts.SyntaxKind.ExclamationEqualsToken]: '==',
  [ts.SyntaxKind.LessThanToken]: '>=',
  [ts.SyntaxKind.LessThanEqualsToken]: '>',
  [ts.SyntaxKind.GreaterThanToken]: '<=',
  [ts.SyntaxKind.GreaterThanEqualsToken]: '<',
  [ts.SyntaxKind.AmpersandAmpersandToken]: '||',
  [ts.SyntaxKind.BarBarToken]: '&&',
};
/** What nobody tests, and what would only make a program wait. */
const IDLE = /^(?:console|logger?|process\.stdout|process\.stderr)\b/;

function mutantsOf(file: string, wanted: ReadonlySet<number>): Mutant[] {
  const text = readFileSync(join(projectFolder, file), 'utf8');
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found: Mutant[] = [];
  const add = (node: ts.Node, what: string, replacement: string): void => {
    const start = node.getStart(source);
    const line = source.getLineAndCharacterOfPosition(start).line + 1;
    if (wanted.has(line)) found.push({ file, line, start, end: node.getEnd(), replacement, what });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isImportDeclaration(node)) return;
    propose(node, source, add);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function propose(
  node: ts.Node,
  source: ts.SourceFile,
  add: (node: ts.Node, what: string, replacement: string) => void,
): void {
  const text = (of: ts.Node): string => of.getText(source);
  if (ts.isIfStatement(node)) add(node.expression, 'condition negated', `!(${text(node.expression)})`);
  else if (ts.isConditionalExpression(node)) add(node.condition, 'condition negated', `!(${text(node.condition)})`);
  else if (ts.isBinaryExpression(node)) {
    const swapped = SWAPPED[node.operatorToken.kind];
    if (swapped !== undefined) add(node.operatorToken, `${text(node.operatorToken)} became ${swapped}`, swapped);
  } else if (ts.isReturnStatement(node) && node.expression !== undefined) {
    if (!isNothing(node.expression)) add(node.expression, 'result became undefined', 'undefined');
  } else if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) {
    if (!isNothing(node.body)) add(node.body, 'result became undefined', 'undefined');
  } else if (ts.isExpressionStatement(node) && isInFunction(node)) {
    const what = text(node);
    if (!IDLE.test(what) && !/^(?:['"`]|super\b)/.test(what)) add(node, 'statement removed', ';');
  }
}

const isNothing = (node: ts.Expression): boolean =>
  ts.isVoidExpression(node) || (ts.isIdentifier(node) && node.text === 'undefined');

function isInFunction(node: ts.Node): boolean {
  for (let outer: ts.Node | undefined = node.parent; outer !== undefined; outer = outer.parent)
    if (ts.isFunctionLike(outer)) return true;
  return false;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

const input = readInput(MutantsInput);
const all = input.files.flatMap(({ file, lines }) => mutantsOf(file, new Set(lines)));
const drawn = all
  .map((mutant) => ({ mutant, rank: digest(`${input.seed}\0${mutant.file}\0${mutant.start}\0${mutant.what}`) }))
  .toSorted((a, b) => (a.rank < b.rank ? -1 : 1));
const lines = new Set<string>();
const mutants: Mutant[] = [];
for (const { mutant } of drawn) {
  const place = `${mutant.file}:${mutant.line}`;
  if (mutants.length < input.limit && !lines.has(place)) mutants.push(mutant);
  lines.add(place);
}
answer(MutantsReport, { version: ts.version, possible: all.length, mutants });
