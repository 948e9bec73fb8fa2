import type { CollectContext } from '../../collector.ts';
import { type Check, type Reading, allOf, finding, measured, notEvaluable, shareOf } from './define-collector.ts';
import {
  type MarkdownFile,
  hasRealText,
  isPlaceholder,
  headingChecks,
  listItems,
  parseMarkdown,
  realItems,
  sectionOf,
} from './markdown.ts';
import { operationsOf, readOpenApi } from './openapi-document.ts';
import { readDocument, readProjectFiles, readProjectText } from './project-files.ts';
import { requiredHeadings } from './requirement-metrics.ts';

const RETROSPECTIVE = 'docs/review/retrospective.md';
const LESSONS = 'docs/review/lessons-learned.md';
const MIN_ACTIONS = 3;

async function readMarkdown(
  context: CollectContext,
  artifact: string,
  usual: string,
): Promise<MarkdownFile | undefined> {
  const text = await readDocument(context, artifact, usual);
  return text === undefined ? undefined : parseMarkdown(text);
}

const missing = (metric: string, file: string, what: string): Reading =>
  notEvaluable(metric, 'document/missing', `${file} does not exist: ${what}`, { file });

const RETROSPECTIVE_ASK =
  'write the headings What went well, What went badly and Actions, with three actions as list items';

/** The retrospective has its headings and at least three actions. */
export async function retrospectiveCompleted(context: CollectContext, metric: string): Promise<Reading> {
  const file = await readMarkdown(context, 'retrospective_notes', RETROSPECTIVE);
  if (file === undefined) return missing(metric, RETROSPECTIVE, RETROSPECTIVE_ASK);
  const titles = requiredHeadings(context, 'retrospective_notes', ['What went well', 'What went badly', 'Actions']);
  const actions: Check = {
    ok: realItems(file, 'Actions').length >= MIN_ACTIONS,
    finding: finding(metric, 'document/actions', `name at least ${MIN_ACTIONS} actions as list items under "Actions"`, {
      file: file.path,
      line: sectionOf(file, 'Actions')?.line ?? 1,
    }),
  };
  return allOf([...headingChecks(metric, file, titles), actions], 'parts of the retrospective');
}

/** Actions named in the retrospective. */
export async function improvementActions(context: CollectContext, metric: string): Promise<Reading> {
  const file = await readMarkdown(context, 'retrospective_notes', RETROSPECTIVE);
  if (file === undefined) return missing(metric, RETROSPECTIVE, RETROSPECTIVE_ASK);
  const count = realItems(file, 'Actions').length;
  return measured(count, 1, `${count} actions in ${file.path}`);
}

/** At least one lesson is written down. */
export async function lessonsDocumented(context: CollectContext, metric: string): Promise<Reading> {
  const file = await readMarkdown(context, 'lessons_learned', LESSONS);
  if (file === undefined) return missing(metric, LESSONS, 'write a heading Lessons with a list item per lesson');
  const titled = file.sections.find((section) => /^lessons\b/i.test(section.title));
  const lessons =
    titled === undefined ? [] : listItems(titled).filter((item) => item.text !== '' && !isPlaceholder(item.text));
  const check: Check = {
    ok: lessons.length > 0,
    finding: finding(metric, 'document/lessons', 'write at least one list item under a heading "Lessons"', {
      file: file.path,
      line: titled?.line ?? 1,
    }),
  };
  return allOf([check], `lessons (${lessons.length} found)`);
}

/** The share of README and API operations that are documented. */
export async function documentationUpdated(context: CollectContext, metric: string): Promise<Reading> {
  const readme = await readProjectText(context.root, 'README.md');
  const readmeChecks: Check[] = [
    {
      ok: readme !== undefined && parseMarkdown(readme).sections.some(hasRealText),
      finding: finding(metric, 'document/readme', 'write README.md: what it is, how to install, start and test it', {
        file: 'README.md',
        line: 1,
      }),
    },
  ];
  const openapi = await readOpenApi(context);
  const api = await readDocument(context, 'api_documentation', 'docs/api.md');
  const operations = openapi === undefined ? [] : operationsOf(openapi);
  const operationChecks = operations.map((operation): Check => {
    const named = new RegExp(
      String.raw`\b${operation.method}\b[^\n]*${operation.path.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)}(?![\w/{-])`,
      'i',
    );
    return {
      ok: named.test(api?.text ?? ''),
      finding: finding(
        metric,
        'document/api',
        `describe ${operation.method.toUpperCase()} ${operation.path} in ${api?.path ?? 'docs/api.md'}`,
        { file: api?.path ?? 'docs/api.md', line: 1 },
      ),
    };
  });
  return shareOf([...readmeChecks, ...operationChecks], 'documented parts');
}

const DEBT = /(?:\/\/|\/\*|^\s*\*|<!--|#)[^\n]*?\b(TODO|FIXME|HACK|XXX)\b/;

/** Marks of unfinished work in comments of the source. */
export async function technicalDebtItems(context: CollectContext, metric: string): Promise<Reading> {
  const files = await readProjectFiles(context.root, ['src/**/*.{js,mjs,cjs,ts,tsx,jsx,html,css,py}']);
  if (files.length === 0) {
    return notEvaluable(metric, 'document/no-source', 'no source file was found under src/', { file: 'src' });
  }
  const findings = files.flatMap((file) =>
    file.text.split('\n').flatMap((line, index) => {
      const mark = DEBT.exec(line)?.[1];
      return mark === undefined
        ? []
        : [
            finding(metric, 'document/technical-debt', `${mark}: ${line.trim().slice(0, 120)}`, {
              file: file.path,
              line: index + 1,
              severity: 'info',
            }),
          ];
    }),
  );
  return measured(
    findings.length,
    files.length,
    `${findings.length} marks of unfinished work in ${files.length} source files`,
    {
      findings,
    },
  );
}
