import type { CollectContext } from '../../collector.ts';
import { type Check, type Reading, finding, measured, notEvaluable } from './define-collector.ts';
import {
  type MarkdownFile,
  codeBlocks,
  hasRealText,
  headingChecks,
  parseMarkdown,
  sectionOf,
  sectionText,
} from './markdown.ts';
import { readDocument, readProjectFiles } from './project-files.ts';
import { requiredHeadings } from './requirement-metrics.ts';

const DESIGN_PATH = 'docs/design/design.md';
const ARCHITECTURE_PATH = 'docs/design/architecture.md';
const DESIGN_HEADINGS = ['Overview', 'Components', 'Data flow', 'Decisions', 'Scalability', 'Traceability'];
const DIAGRAM =
  /^\s*(?:%%[^\n]*\n\s*)*(?:graph|flowchart|sequenceDiagram|classDiagram|stateDiagram(?:-v2)?|erDiagram|C4\w+|journey|block(?:-beta)?|architecture-beta|mindmap)\b/;

const noDesign = (metric: string): Reading =>
  notEvaluable(
    metric,
    'document/missing',
    `${DESIGN_PATH} does not exist: write it with the headings ${DESIGN_HEADINGS.join(', ')}`,
    { file: DESIGN_PATH },
  );

/** The design document, parsed. */
async function readDesign(context: CollectContext): Promise<MarkdownFile | undefined> {
  const text = await readDocument(context, 'design_document', DESIGN_PATH);
  return text === undefined ? undefined : parseMarkdown(text);
}

async function diagramCheck(context: CollectContext, metric: string): Promise<Check> {
  const text = await readDocument(context, 'architecture_diagram', ARCHITECTURE_PATH);
  const block = text === undefined ? undefined : codeBlocks(parseMarkdown(text), 'mermaid')[0];
  const lines = block?.text.split('\n').filter((line) => line.trim() !== '') ?? [];
  return {
    ok: block !== undefined && DIAGRAM.test(block.text) && lines.length >= 2,
    finding: finding(
      metric,
      'document/diagram',
      `draw the architecture in ${text?.path ?? ARCHITECTURE_PATH} as a fenced mermaid block, for instance a flowchart with its nodes and arrows`,
      { file: text?.path ?? ARCHITECTURE_PATH, line: block?.line ?? 1 },
    ),
  };
}

/** Design headings with real text, and the architecture diagram: their share, or 1 only when all are there. */
export async function architectureDocumentation(
  context: CollectContext,
  metric: string,
  judge: (checks: readonly Check[], subject: string) => Reading,
): Promise<Reading> {
  const design = await readDesign(context);
  if (design === undefined) return noDesign(metric);
  const headings = headingChecks(metric, design, requiredHeadings(context, 'design_document', DESIGN_HEADINGS));
  return judge([...headings, await diagramCheck(context, metric)], 'design headings and architecture diagram');
}

const SCALABILITY_POINTS = [
  {
    rule: 'document/expected-load',
    pattern:
      /\d[\d,.]*\s*(?:k|m|million|thousand)?\s*(?:(?:\w+\s+){0,2}(?:per|a|each|every)\s+(?:second|minute|hour|day|month)|(?:requests?|req|rps|users?|reads?|writes?|rows?|records?|\w+)\s*\/\s*(?:s|sec|second|min|minute|h|hour|d|day)|rps|concurrent|users)\b/i,
    ask: 'name the expected load as a number, for instance "200 requests per second"',
  },
  {
    rule: 'document/bottleneck',
    pattern: /\b(?:bottleneck|saturat\w+|contention|limiting|limited by|first to (?:fail|fill)|hot ?spot)\b/i,
    ask: 'name the first bottleneck',
  },
  {
    rule: 'document/growth-step',
    pattern:
      /\b(?:scale (?:out|up)|scaling (?:out|up)|shard\w*|replica\w*|partition\w*|horizontal\w*|vertical\w*|next step|growth step|when (?:it|the load) grows|load balanc\w+|cach(?:e|ing)|move to|switch to)\b/i,
    ask: 'name the next step of growth, for instance replicas or sharding, and when it is due',
  },
];

/** The points that a Scalability section must make: expected load, bottleneck, growth step. */
export async function scalability(
  context: CollectContext,
  metric: string,
  judge: (checks: readonly Check[], subject: string) => Reading,
): Promise<Reading> {
  const ownFile = await readDocument(context, 'scalability_analysis', 'docs/design/scalability.md');
  const file = ownFile === undefined ? await readDesign(context) : parseMarkdown(ownFile);
  if (file === undefined) return noDesign(metric);
  const section = sectionOf(file, 'Scalability') ?? (ownFile === undefined ? undefined : file.sections[0]);
  if (section === undefined) {
    return notEvaluable(metric, 'document/missing-heading', `add a heading "Scalability" to ${file.path}`, {
      file: file.path,
    });
  }
  const text = hasRealText(section) ? sectionText(section) : '';
  const checks = SCALABILITY_POINTS.map((point): Check => ({
    ok: point.pattern.test(text),
    finding: finding(metric, point.rule, `under "${section.title}", ${point.ask}`, {
      file: file.path,
      line: section.line,
      severity: 'warning',
    }),
  }));
  return judge(checks, 'points of the scalability assessment');
}

const ADR_PATHS = ['docs/adr/*.md', 'docs/adrs/*.md', 'docs/design/adr/*.md', 'docs/architecture/adr/*.md'];

/** Decision records that state a context and a decision. */
export async function adrCount(context: CollectContext, metric: string): Promise<Reading> {
  const declared = context.artifacts['technology_decision_records']?.spec.paths ?? [];
  const files = await readProjectFiles(context.root, declared.length > 0 ? declared : ADR_PATHS);
  const records = files.filter((file) => !/(?:^|\/)(?:readme|index|template)\.md$/i.test(file.path)).map(parseMarkdown);
  const complete = records.filter(
    (file) => hasRealText(sectionOf(file, 'Context')) && hasRealText(sectionOf(file, 'Decision')),
  );
  const findings = records
    .filter((file) => !complete.includes(file))
    .map((file) =>
      finding(metric, 'document/adr', 'a decision record needs text under the headings Context and Decision', {
        file: file.path,
        line: 1,
        severity: 'warning',
      }),
    );
  return measured(
    complete.length,
    records.length,
    `${complete.length} of ${records.length} decision records are complete`,
    {
      findings,
    },
  );
}
