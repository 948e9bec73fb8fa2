import { type Expression, type ExpressionProblem, type Reading, compileExpression, described } from './expressions.ts';
import { CHECKED_BEFORE, type Reference, type ReferenceScope } from './expression-references.ts';
import type { InputValues } from './workflow-schema.ts';

type Scalar = InputValues[string];

/** A text that may hold `${{ expression }}`. */
interface Template {
  parts: readonly (string | Expression)[];
}

type CompiledTemplate = { ok: true; template: Template } | { ok: false; problems: readonly ExpressionProblem[] };

const HOLE = /\$\{\{(.*?)\}\}/gs;

/** Parses and checks every expression in a text. A text without one is a template too. */
export function compileTemplate(text: string, scope: ReferenceScope): CompiledTemplate {
  const parts: (string | Expression)[] = [];
  const problems: ExpressionProblem[] = [];
  let at = 0;
  for (const match of text.matchAll(HOLE)) {
    const [whole, inner = ''] = match;
    if (match.index > at) parts.push(text.slice(at, match.index));
    const lead = inner.length - inner.trimStart().length;
    const compiled = compileExpression(inner.trim(), scope, 'text');
    if (compiled.ok) parts.push(compiled.expression);
    else {
      const start = match.index + '${{'.length + lead;
      problems.push(...compiled.problems.map(({ offset, message }) => ({ offset: start + offset, message })));
    }
    at = match.index + whole.length;
  }
  const rest = text.slice(at);
  if (rest.includes('${{')) problems.push({ offset: at + rest.indexOf('${{'), message: '"${{" has no "}}"' });
  if (rest !== '') parts.push(rest);
  return problems.length > 0 ? { ok: false, problems } : { ok: true, template: { parts } };
}

/** What a text is rendered with. */
interface TextValues {
  inputs: InputValues;
  item?: unknown;
}

/**
 * The text with its values; one expression alone keeps the type of its value. Throws an error that says why not.
 * `mark`: how a text that somebody gave is written where it becomes a part of what a model is told.
 */
export function renderText(text: string, values: TextValues, mark = (value: string): string => value): Scalar {
  const compiled = compileTemplate(text, CHECKED_BEFORE);
  if (!compiled.ok) throw new Error(compiled.problems[0]?.message ?? 'it is no template');
  const parts = compiled.template.parts.map((part) =>
    typeof part === 'string' ? part : marked(scalar(part.evaluate((reference) => early(reference, values))), mark),
  );
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : parts.join('');
}

const marked = (value: Scalar, mark: (value: string) => string): Scalar =>
  typeof value === 'string' ? mark(value) : value;

/** What is known before anything has run. */
function early(reference: Reference, { inputs, item }: TextValues): Reading {
  if (reference.kind === 'input') return inputReading(reference.name, inputs);
  if (reference.kind === 'item' && item !== undefined) return { value: item };
  return { missing: 'it has no value yet' };
}

export const inputReading = (name: string, inputs: InputValues): Reading =>
  Object.hasOwn(inputs, name) ? { value: inputs[name] } : { missing: `the input "${name}" was not given` };

function scalar(value: unknown): Scalar {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  throw new Error(`${described(value)} cannot stand in a text`);
}
