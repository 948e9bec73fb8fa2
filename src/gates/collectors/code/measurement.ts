import type { z } from 'zod';
import type { Evidence, Finding } from '../../../shared/verdict.ts';
import type { CollectContext } from '../../collector.ts';
import { type ProjectCopy, copyProject } from './project-files.ts';
import { AstReport, LintReport } from './probe-reports.ts';
import { freshFolder, runProbe } from './run-tool.ts';
import { scopeCollectors } from './scope-collector.ts';
import { type CodeScope, readScope } from './scope.ts';

/** Raised with every change of what the code collectors measure, or how. */
const VERSION = '3';

/** A collector over the JavaScript and TypeScript of one scope. */
export const codeCollector = scopeCollectors(VERSION, readScope);

/** The whole project in a folder of the host's own, with comments that would switch a tool off defused. */
export const defusedCopy = async (context: CollectContext, scope: CodeScope): Promise<ProjectCopy> =>
  copyProject(context.root, scope.files, { folder: await freshFolder(context, 'copy'), plain: false });

export const directivesOf = (copy: ProjectCopy, files: readonly string[], rules: readonly string[]): Finding[] =>
  copy.directives.filter(({ rule, file }) => file !== undefined && files.includes(file) && rules.includes(rule));

type Probed<T> = { report: T; evidence: Evidence };

/**
 * Answers of probes that several collectors need, by the digest of everything that was put in: same bytes, same
 * answer. A probe that failed is asked again. Only the newest few are kept.
 */
const answers = new Map<string, Promise<Probed<unknown>>>();
const KEPT_ANSWERS = 8;

async function once<S extends z.ZodType>(
  context: CollectContext,
  probe: { name: string; copy: ProjectCopy; input: unknown; report: S },
): Promise<Probed<z.infer<S>>> {
  const key = [probe.name, context.sandbox.description, probe.copy.digest, JSON.stringify(probe.input)].join('\0');
  const ask = async (): Promise<Probed<unknown>> =>
    runProbe(context, { name: probe.name, project: probe.copy.folder, input: probe.input, report: probe.report });
  const pending = answers.get(key) ?? ask();
  answers.set(key, pending);
  for (const old of [...answers.keys()].slice(0, -KEPT_ANSWERS)) answers.delete(old);
  try {
    const { report, evidence } = await pending;
    return { report: probe.report.parse(report), evidence: { ...evidence, tree: context.tree } };
  } catch (err) {
    if (answers.get(key) === pending) answers.delete(key);
    // Another collector's stop request must not stop this one.
    if (context.signal.aborted) throw err;
    const { report, evidence } = await ask();
    return { report: probe.report.parse(report), evidence };
  }
}

export async function lint(context: CollectContext, scope: CodeScope, copy: ProjectCopy): Promise<Probed<LintReport>> {
  const { report, evidence } = await once(context, {
    name: 'code-lint',
    copy,
    input: { measured: scope.sources, security: [...scope.sources, ...scope.otherCode] },
    report: LintReport,
  });
  return {
    report,
    evidence: { ...evidence, tool: 'eslint + jscpd', toolVersion: `${report.eslintVersion} + ${report.jscpdVersion}` },
  };
}

export async function syntax(context: CollectContext, scope: CodeScope, copy: ProjectCopy): Promise<Probed<AstReport>> {
  const { report, evidence } = await once(context, {
    name: 'code-ast',
    copy,
    input: { files: scope.sources, markup: scope.markup },
    report: AstReport,
  });
  return { report, evidence: { ...evidence, tool: 'typescript', toolVersion: report.version } };
}
