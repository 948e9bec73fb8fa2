import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { RE2JS } from 're2js';
import type { Deliverable } from '../../shared/persona-schema.ts';
import { matchingFiles } from '../artifacts.ts';
import { type ReadDocument, documentProblems } from '../document-problems.ts';
import { readRegularFile } from '../hostile-files.ts';

const MAX_FILES = 500;
const MAX_BYTES = 1024 ** 2;
/** What is matched in one go; the process does other work in between. */
const SLICE_LINES = 2_000;
/** Nobody writes a heading or an item that long, and a minified file is one line: a longer one matches nothing. */
const MAX_LINE = 10_000;

export interface DeliverableState {
  /** The files that its paths match. */
  files: string[];
  /** What it lacks, one line each; nothing when it is as it must be. */
  problems: string[];
}

/** Looks at the files of a deliverable: are they there, and do they hold what they must? */
export async function lookAtDeliverable(
  root: string,
  { paths, contains }: Deliverable,
  /** Where documents are read; in this process when it is not given. */
  read?: ReadDocument,
): Promise<DeliverableState> {
  const files = await matchingFiles(root, paths);
  if (files.length === 0) return { files, problems: [`no file ${paths.join(' or ')}`] };
  if (contains === undefined) return { files, problems: [] };
  const problems: string[] = [];
  if (files.length < contains.files)
    problems.push(`${files.length} files match ${paths.join(' or ')}, at least ${contains.files} needed`);
  if (files.length > MAX_FILES) return { files, problems: [...problems, `more than ${MAX_FILES} files match`] };
  const { sections, fenced, minBytes } = contains;
  for (const file of files)
    problems.push(...(await documentProblems(root, file, { sections, fenced, min_bytes: minBytes }, read)));
  if (contains.lines.length > 0) problems.push(...(await lineProblems(root, files, contains.lines)));
  return { files, problems };
}

async function lineProblems(
  root: string,
  files: readonly string[],
  wanted: NonNullable<Deliverable['contains']>['lines'],
): Promise<string[]> {
  const counters = wanted.map((line) => ({ ...line, pattern: RE2JS.compile(line.matching), found: 0 }));
  let unread = 0;
  for (const file of files) {
    const bytes = await readRegularFile(join(root, file), MAX_BYTES);
    if (bytes === undefined) {
      unread += 1;
      continue;
    }
    const lines = bytes.toString('utf8').split('\n');
    for (let at = 0; at < lines.length; at += SLICE_LINES) {
      for (const line of lines.slice(at, at + SLICE_LINES))
        for (const counter of counters)
          if (counter.found < counter.min && line.length <= MAX_LINE && counter.pattern.matcher(line).find())
            counter.found += 1;
      await breathe();
    }
  }
  const where = files.length === 1 ? (files[0] ?? '') : `${files.length} files`;
  const left = unread === 0 ? '' : `; ${unread} of more than ${MAX_BYTES} bytes not read`;
  return counters
    .filter(({ found, min }) => found < min)
    .map(({ what, found, min }) => `${where}: ${found} ${what}, at least ${min} needed${left}`);
}
