import { closest, distance } from 'fastest-levenshtein';
import { LineCounter, type ParsedNode, isCollection, isMap, isPair, isScalar, parseDocument } from 'yaml';
import type { z } from 'zod';
import { InvalidInputError, type Problem, type SourcePosition, errorMessage } from './errors.ts';

/** A parsed YAML file whose values can be traced back to the line and column they were written in. */
export interface YamlFile<T> {
  value: T;
  /** The position of a value, or of its key with `'key'`; the nearest enclosing node when the path does not exist. */
  positionOf: (path: readonly PropertyKey[], part?: 'key' | 'value') => SourcePosition;
}

/** `nope` -> ` (did you mean "node"?)`, or nothing when no candidate is near. */
export function nearestHint(name: string, candidates: readonly string[]): string {
  if (candidates.length === 0) return '';
  const best = closest(name, [...candidates]);
  return distance(name, best) <= Math.max(2, Math.floor(name.length / 3)) ? ` (did you mean "${best}"?)` : '';
}

/** A place inside a text that is written on one line; the start of a text that is written as a block. */
export function placeInside(source: string, start: SourcePosition, offset: number): SourcePosition {
  const line = source.split('\n')[start.line - 1] ?? '';
  const first = line[start.column - 1];
  if (first === '|' || first === '>') return start;
  const quote = first === '"' || first === "'" ? 1 : 0;
  const column = start.column + quote + offset;
  return column > line.length + 1 ? start : { ...start, column };
}

/** Parses YAML and checks it with a schema. Throws one `InvalidInputError` with every problem and its place. */
export function parseYaml<S extends z.ZodType>(
  schema: S,
  source: { file: string; text: string },
): YamlFile<z.infer<S>> {
  const lines = new LineCounter();
  const document = refusing(source.file, () => parseDocument(source.text, { lineCounter: lines, uniqueKeys: true }));
  const at = (offset: number): SourcePosition => {
    const { line, col } = lines.linePos(offset);
    return { file: source.file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const overflow = document.errors.find((err) => err.message.startsWith('Maximum call stack'));
  if (overflow !== undefined) throw new InvalidInputError(source.file, [{ ...at(overflow.pos[0]), message: TOO_DEEP }]);
  if (document.errors.length > 0) {
    throw new InvalidInputError(
      source.file,
      document.errors.map((err) => ({
        ...at(err.pos[0]),
        message: (err.message.split('\n')[0] ?? err.message).replace(/ at line \d+, column \d+:?$/, ''),
      })),
    );
  }
  const positionOf = (path: readonly PropertyKey[], part: 'key' | 'value' = 'value'): SourcePosition => {
    let offset = document.contents?.range?.[0] ?? 0;
    let node: ParsedNode | null | undefined = document.contents;
    path.forEach((step, index) => {
      if (!isCollection(node)) return;
      const isLast = index === path.length - 1;
      const pair = isMap(node)
        ? node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(step))
        : undefined;
      const keyRange = pair?.key.range;
      const next = isMap(node) ? pair?.value : node.items[Number(step)];
      if (keyRange && isLast && part === 'key') offset = keyRange[0];
      else if (isPair(next)) offset = offset + 0;
      else if (next?.range) offset = next.range[0];
      else if (keyRange) offset = keyRange[0];
      node = isPair(next) ? null : next;
    });
    return at(offset);
  };
  const raw: unknown = refusing(source.file, (): unknown => document.toJS({ maxAliasCount: 50 }));
  const parsed = refusing(source.file, () => schema.safeParse(raw));
  if (!parsed.success)
    throw new InvalidInputError(
      source.file,
      parsed.error.issues.flatMap((issue) => problemsOf(issue, positionOf)),
    );
  return { value: parsed.data, positionOf };
}

const TOO_DEEP = 'it is nested too deeply';

/** A text that grows beyond measure when it is read, by its aliases or its depth, is a fault of the text. */
function refusing<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (err) {
    const isAlias = err instanceof ReferenceError;
    if (!isAlias && !(err instanceof RangeError)) throw err;
    const message = isAlias ? errorMessage(err) : TOO_DEEP;
    throw new InvalidInputError(file, [{ file, line: 1, column: 1, message }]);
  }
}

function problemsOf(issue: z.core.$ZodIssue, positionOf: YamlFile<unknown>['positionOf']): Problem[] {
  const where = issue.path.length > 0 ? `${issue.path.map(String).join('.')}: ` : '';
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      ...positionOf([...issue.path, key], 'key'),
      message: `${where}unknown key "${key}"`,
    }));
  }
  if (issue.code === 'invalid_key' && issue.path.length > 0) {
    const reason = issue.issues[0]?.message ?? issue.message;
    return [{ ...positionOf(issue.path, 'key'), message: `${where}${reason}` }];
  }
  return [{ ...positionOf(issue.path), message: `${where}${issue.message}` }];
}
