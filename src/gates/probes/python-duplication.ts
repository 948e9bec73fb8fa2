import { mkdirSync, mkdtempSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import type * as jscpd from 'jscpd';
import { z } from 'zod';
import { DuplicationReport, FileList } from '../collectors/code/probe-reports.ts';
import { answer, modulesFolder, projectFolder, readInput } from './code-probe-io.ts';

/** Looks for lines that stand twice with jscpd; comments that would hide them are defused first, at equal length. */
const Copies = z.custom<Pick<typeof jscpd, 'detectClonesAndStatistic'>>(
  (value) => typeof value === 'object' && value !== null && 'detectClonesAndStatistic' in value,
);
const { detectClonesAndStatistic } = Copies.parse(createRequire(import.meta.url)('jscpd'));
const manifest = readFileSync(join(modulesFolder, 'jscpd', 'package.json'), 'utf8');

const { files } = readInput(FileList);
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'copies-')));
let lines = 0;
for (const file of files) {
  const text = readFileSync(join(projectFolder, file), 'utf8').replaceAll('jscpd:ignore', 'jscpd_ignore');
  lines += text.split('\n').length;
  mkdirSync(dirname(join(folder, file)), { recursive: true });
  writeFileSync(join(folder, file), text);
}
const { clones, statistic } = await detectClonesAndStatistic({
  path: files.map((file) => join(folder, file)),
  silent: true,
  reporters: [],
  // The defaults would pass over long files unseen.
  maxSize: '16mb',
  maxLines: 1_000_000,
  minLines: 5,
  minTokens: 50,
  absolute: true,
  gitignore: false,
  noSymlinks: true,
});
const local = (id: string): string => relative(folder, id);
const duplicated = new Set<string>();
for (const { duplicationA: a, duplicationB: b } of clones)
  for (const part of [a, b])
    for (let line = part.start.line; line <= part.end.line; line += 1)
      duplicated.add(`${local(part.sourceId)}:${line}`);

answer(DuplicationReport, {
  version: z.object({ version: z.string() }).parse(JSON.parse(manifest)).version,
  sources: statistic.total.sources,
  lines,
  duplicatedLines: duplicated.size,
  clones: clones.map(({ duplicationA: a, duplicationB: b }) => ({
    file: local(a.sourceId),
    line: a.start.line,
    endLine: a.end.line,
    otherFile: local(b.sourceId),
    otherLine: b.start.line,
  })),
});
