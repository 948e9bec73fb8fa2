import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Linter } from 'eslint';
import type * as jscpd from 'jscpd';
import { z } from 'zod';
import { LintInput, type LintMessage, LintReport } from '../collectors/code/probe-reports.ts';
import { answer, configFolder, modulesFolder, projectFolder, readInput } from './code-probe-io.ts';

/** ESLint and jscpd over the files given, with the fleet's settings; no setting or comment of the project counts. */
const Settings = z.object({
  SECURITY: z.array(z.string()).min(1),
  COMPLEXITY_RULE: z.string(),
  config: z.custom<Linter.Config[]>((value) => Array.isArray(value) && value.length > 0),
});
const require = createRequire(import.meta.url);
const Copies = z.custom<Pick<typeof jscpd, 'detectClonesAndStatistic'>>(
  (value) => typeof value === 'object' && value !== null && 'detectClonesAndStatistic' in value,
);
const versionOf = (name: string): string =>
  z.object({ version: z.string() }).parse(JSON.parse(readFileSync(join(modulesFolder, name, 'package.json'), 'utf8')))
    .version;

const input = readInput(LintInput);
const settings = Settings.parse(await import(pathToFileURL(join(configFolder, 'lint', 'eslint.config.mjs')).href));
const security = new Set(settings.SECURITY);
const measured = new Set(input.measured);
const messages: LintMessage[] = [];
const complexities: z.infer<typeof LintReport>['complexities'] = [];

const linter = new Linter({ configType: 'flat', cwd: projectFolder });
const files = [...new Set([...input.measured, ...input.security])];
for (const file of files) {
  const path = join(projectFolder, file);
  const found = linter.verify(readFileSync(path, 'utf8'), settings.config, {
    filename: path,
    allowInlineConfig: false,
  });
  for (const message of found) {
    const rule = message.ruleId ?? 'unparsable';
    const isSecurity = security.has(rule);
    if (rule === settings.COMPLEXITY_RULE) {
      const complexity = Number(/complexity of (\d+)/.exec(message.message)?.[1]);
      const what = message.message.split(' has a complexity')[0] ?? 'Function';
      if (measured.has(file)) complexities.push({ file, line: message.line, what, complexity });
    } else if (isSecurity || measured.has(file) || message.fatal === true) {
      messages.push({
        file,
        line: Math.max(message.line, 1),
        column: Math.max(message.column, 1),
        rule,
        message: message.message,
        severity: message.severity === 2 ? 'error' : 'warning',
        isSecurity,
      });
    }
  }
}

const { detectClonesAndStatistic } = Copies.parse(require('jscpd'));
const lines = (file: string): number => readFileSync(join(projectFolder, file), 'utf8').split('\n').length;
const { clones, statistic } = await detectClonesAndStatistic({
  path: input.measured.map((file) => join(projectFolder, file)),
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
const duplicated = new Set<string>();
const local = (id: string): string => relative(projectFolder, id);
for (const { duplicationA: a, duplicationB: b } of clones)
  for (const part of [a, b])
    for (let line = part.start.line; line <= part.end.line; line += 1)
      duplicated.add(`${local(part.sourceId)}:${line}`);

answer(LintReport, {
  eslintVersion: Linter.version,
  jscpdVersion: versionOf('jscpd'),
  filesLinted: measured.size,
  filesScanned: files.length,
  securityRules: security.size,
  messages,
  complexities,
  duplication: {
    sources: statistic.total.sources,
    lines: input.measured.reduce((sum, file) => sum + lines(file), 0),
    duplicatedLines: duplicated.size,
    clones: clones.map(({ duplicationA: a, duplicationB: b }) => ({
      file: local(a.sourceId),
      line: a.start.line,
      endLine: a.end.line,
      otherFile: local(b.sourceId),
      otherLine: b.start.line,
    })),
  },
});
