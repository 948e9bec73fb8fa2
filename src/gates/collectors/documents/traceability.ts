import type { CollectContext } from '../../collector.ts';
import { type Check, type Reading, defineCollector, finding, notEvaluable, shareOf } from './define-collector.ts';
import { readDocument, readProjectFiles } from './project-files.ts';
import { noStories } from './requirement-metrics.ts';
import { PRD_PATH, functionalIds, idsIn, readPrd, readStories } from './requirements.ts';

const TEST_FILES = 'tests/**/*.{test,spec}.{js,mjs,cjs,ts,tsx}';
/** Titles of tests that run; `test.skip` and `test.todo` prove nothing. */
const TEST_TITLE =
  /\b(?:test|it|describe|suite)(?:\.only|\.concurrent)?\s*\(\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g;

/** Everything that the ids are followed through, read once. */
interface Trace {
  prdPath: string;
  ids: string[];
  linesOfIds: ReadonlyMap<string, number>;
  storiesOf: ReadonlyMap<string, string[]> | undefined;
  design: string | undefined;
  testTitles: string | undefined;
}

async function readTrace(context: CollectContext): Promise<Trace | undefined> {
  const prd = await readPrd(context);
  if (prd === undefined) return undefined;
  const ids = functionalIds(prd);
  const read = await readStories(context);
  const design = await readDocument(context, 'design_document', 'docs/design/design.md');
  const tests = await readProjectFiles(context.root, [TEST_FILES]);
  const titles = tests.flatMap((file) =>
    [...file.text.matchAll(TEST_TITLE)].map((match) => match[1] ?? match[2] ?? match[3] ?? ''),
  );
  return {
    prdPath: prd.file.path,
    ids,
    linesOfIds: new Map(prd.requirements.map((item) => [item.id, item.line])),
    storiesOf:
      read === undefined
        ? undefined
        : new Map(
            ids.map((id) => [
              id,
              read.stories.filter((story) => story.requirements.includes(id)).map((story) => story.id),
            ]),
          ),
    design: design?.text,
    testTitles: tests.length === 0 ? undefined : titles.join('\n'),
  };
}

const noIds = (metric: string, trace: Trace | undefined): Reading =>
  notEvaluable(
    metric,
    'traceability/no-requirement',
    trace === undefined
      ? `${PRD_PATH} does not exist: write it, each functional requirement as a list item such as "- **FR-1** ..."`
      : `${trace.prdPath} holds no list item that begins with an id such as FR-1`,
    { file: trace?.prdPath ?? PRD_PATH },
  );

/** The test titles name the requirement itself, or a story that carries it. */
const isTested = (trace: Trace, id: string): boolean => {
  const titles = trace.testTitles ?? '';
  const named = new Set([...idsIn(titles, 'FR'), ...idsIn(titles, 'US')]);
  return named.has(id) || (trace.storiesOf?.get(id) ?? []).some((story) => named.has(story));
};

const DOCUMENT_PHASES = new Set(['requirements', 'design', 'architecture']);

function requirementsTraceability(trace: Trace | undefined, context: CollectContext, metric: string): Reading {
  if (trace === undefined || trace.ids.length === 0) return noIds(metric, trace);
  if (trace.storiesOf === undefined) return noStories(metric);
  const withDesign = context.phase !== 'requirements' && trace.design !== undefined;
  const withTests = !DOCUMENT_PHASES.has(context.phase) && trace.testTitles !== undefined;
  const inDesign = new Set(idsIn(trace.design ?? '', 'FR'));
  const checks = trace.ids.map((id): Check => {
    const gaps = [
      ...((trace.storiesOf?.get(id) ?? []).length === 0 ? ['no user story'] : []),
      ...(withDesign && !inDesign.has(id) ? ['no design section'] : []),
      ...(withTests && !isTested(trace, id) ? ['no test title'] : []),
    ];
    return {
      ok: gaps.length === 0,
      finding: finding(metric, 'traceability/gap', `${id} is named by ${gaps.join(' and ')}`, {
        file: trace.prdPath,
        line: trace.linesOfIds.get(id),
        severity: 'warning',
      }),
    };
  });
  const through = ['stories', ...(withDesign ? ['design'] : []), ...(withTests ? ['tests'] : [])];
  return shareOf(checks, `requirements traced through ${through.join(', ')}`);
}

function requirementsMet(trace: Trace | undefined, metric: string): Reading {
  if (trace === undefined || trace.ids.length === 0) return noIds(metric, trace);
  if (trace.testTitles === undefined) {
    return notEvaluable(metric, 'traceability/no-test', `no test file was found at ${TEST_FILES}`, { file: 'tests' });
  }
  const checks = trace.ids.map((id): Check => ({
    ok: isTested(trace, id),
    finding: finding(metric, 'traceability/untested', `no test title names ${id} or a story that carries it`, {
      file: trace.prdPath,
      line: trace.linesOfIds.get(id),
    }),
  }));
  return shareOf(checks, 'requirements named by a test title');
}

/** Follows requirement ids through stories, design and tests. */
export const traceabilityCollector = defineCollector({
  id: 'traceability',
  version: '1',
  timeoutMs: 30_000,
  prepare: readTrace,
  measures: {
    requirements_traceability: requirementsTraceability,
    requirements_met_count: (trace, _, metric) => requirementsMet(trace, metric),
  },
});
