import { posix } from 'node:path';
import { descendants, readXml } from './read-xml.ts';
import { refuse } from './refusal.ts';

/** Hits by line, by file, with paths relative to the project. */
export type LineHits = ReadonlyMap<string, ReadonlyMap<number, number>>;

/** A path of a report, relative to the project; files outside of it are none of ours. */
function localPath(path: string, project: string, base: string): string | undefined {
  const absolute = posix.isAbsolute(path)
    ? path
    : posix.join(posix.isAbsolute(base) ? base : posix.join(project, base), path);
  const relative = posix.relative(project, absolute);
  return relative.startsWith('..') || relative === '' ? undefined : relative;
}

class Hits {
  readonly files = new Map<string, Map<number, number>>();

  add(file: string, line: string | undefined, hits: string | undefined): void {
    const [lineNumber, count] = [Number(line), Number(hits)];
    if (!Number.isSafeInteger(lineNumber) || lineNumber < 1 || !Number.isFinite(count) || count < 0)
      refuse(`the coverage of ${file} holds a line that is none: ${line}, ${hits}`);
    const lines = this.files.get(file) ?? new Map<number, number>();
    this.files.set(file, lines);
    lines.set(lineNumber, Math.max(lines.get(lineNumber) ?? 0, count));
  }
}

export function readLcov(text: string, project: string): LineHits {
  const hits = new Hits();
  let file: string | undefined;
  let isOpen = false;
  let lines = new Set<string>();
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    const value = line.slice(line.indexOf(':') + 1);
    if (line.startsWith('SF:')) {
      if (isOpen) refuse('the LCOV report is cut off inside a record');
      [file, isOpen, lines] = [localPath(value, project, '.'), true, new Set()];
      if (file !== undefined && !hits.files.has(file)) hits.files.set(file, new Map());
    } else if (line.startsWith('DA:')) {
      if (!isOpen) refuse('the LCOV report holds a line that belongs to no file');
      const [number, count] = value.split(',');
      lines.add(number ?? '');
      if (file !== undefined) hits.add(file, number, count);
    } else if (line.startsWith('LF:') && Number(value) !== lines.size)
      refuse(`the LCOV report names ${lines.size} lines of ${file ?? 'a file'} and says that there are ${value}`);
    else if (line === 'end_of_record') isOpen = false;
  }
  if (isOpen) refuse('the LCOV report is cut off inside a record');
  return hits.files;
}

export function readCobertura(text: string, project: string, isThere: (path: string) => boolean): LineHits {
  const root = readXml(text);
  if (root.name !== 'coverage') refuse(`a Cobertura report holds <coverage>, not <${root.name}>`);
  const sources = [...text.matchAll(/<source>([^<]*)<\/source>/g)].map(([, source]) => source?.trim() ?? '');
  const hits = new Hits();
  for (const each of descendants(root, 'class')) {
    const name = each.attributes['filename'] ?? refuse('the Cobertura report holds a class without a file');
    const candidates = ['.', ...sources].flatMap((base) => localPath(name, project, base) ?? []);
    const file = candidates.find(isThere);
    if (file === undefined) continue;
    if (!hits.files.has(file)) hits.files.set(file, new Map());
    // Lines stand below the class, and again below its methods.
    for (const line of descendants(each, 'line')) hits.add(file, line.attributes['number'], line.attributes['hits']);
  }
  return hits.files;
}

/** Covered lines over all lines of the files that count; a file that the report leaves out cannot be judged. */
export function coverageOf(
  hits: LineHits,
  sources: readonly string[],
): { value: number; examined: number; uncovered: { file: string; lines: number[] }[] } {
  if (sources.length === 0) refuse('no file of the project matches the declared sources');
  const silent = sources.filter((file) => !hits.has(file));
  if (silent[0] !== undefined)
    refuse(`the coverage report says nothing of ${silent.length} files, among them ${silent[0]}`);
  const files = sources.map((file) => ({ file, lines: [...(hits.get(file) ?? [])] }));
  const all = files.flatMap(({ lines }) => lines);
  if (all.length === 0) refuse('the coverage report names no line of the declared sources');
  return {
    value: all.filter(([, count]) => count > 0).length / all.length,
    examined: all.length,
    uncovered: files.map(({ file, lines }) => ({
      file,
      lines: lines
        .filter(([, count]) => count === 0)
        .map(([line]) => line)
        .toSorted((a, b) => a - b),
    })),
  };
}
