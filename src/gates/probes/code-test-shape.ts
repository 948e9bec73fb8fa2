import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { FileList, TestShapes } from '../collectors/code/probe-reports.ts';
import { answer, projectFolder, readInput } from './code-probe-io.ts';

/** Counts by syntax what test files hold: tests, assertions, and tests that are switched off or singled out. */
const DEFINES = new Set(['test', 'it', 'describe', 'suite']);
const OFF = new Set(['skip', 'todo', 'only']);
const ASSERTS = new Set(['assert', 'expect']);

function shapeOf(file: string): TestShapes['files'][number] {
  const source = ts.createSourceFile(file, readFileSync(join(projectFolder, file), 'utf8'), ts.ScriptTarget.Latest);
  const shape: TestShapes['files'][number] = { file, assertions: 0, switchedOff: 0, titles: [] };
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) count(node, shape);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return shape;
}

function count(call: ts.CallExpression, shape: TestShapes['files'][number]): void {
  const names = namesOf(call.expression);
  const [first, ...rest] = names;
  if (first === undefined) return;
  // `expect(x).toBe(y)` is two calls and one assertion.
  if (ASSERTS.has(first) && !ts.isCallExpression(call.expression)) shape.assertions += isChained(call) ? 0 : 1;
  else if (ASSERTS.has(first)) shape.assertions += 1;
  const last = names.at(-1) ?? first;
  if (DEFINES.has(first) || last === 'test') {
    const title = call.arguments[0];
    if (title !== undefined && ts.isStringLiteralLike(title)) shape.titles.push(title.text);
    if (rest.some((name) => OFF.has(name)) || call.arguments.some(isOffOption)) shape.switchedOff += 1;
  } else if (rest.length > 0 && OFF.has(last)) shape.switchedOff += 1;
}

/** Is the call itself only the beginning of another, as `expect(x)` is in `expect(x).toBe(y)`? */
const isChained = (call: ts.CallExpression): boolean =>
  ts.isIdentifier(call.expression) && call.expression.text === 'expect';

const isOffOption = (argument: ts.Expression): boolean =>
  ts.isObjectLiteralExpression(argument) &&
  argument.properties.some(
    (property) => property.name !== undefined && ts.isIdentifier(property.name) && OFF.has(property.name.text),
  );

/** The names of `a.b.c`, calls between them left out. */
function namesOf(expression: ts.Expression): string[] {
  if (ts.isIdentifier(expression)) return [expression.text];
  if (ts.isPropertyAccessExpression(expression)) return [...namesOf(expression.expression), expression.name.text];
  if (ts.isCallExpression(expression)) return namesOf(expression.expression);
  return [];
}

answer(TestShapes, { files: readInput(FileList).files.map(shapeOf) });
