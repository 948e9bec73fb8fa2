import type { CollectContext } from '../../collector.ts';
import { type Check, type Reading, finding, measured, notEvaluable, shareOf } from './define-collector.ts';
import { headingChecks, isPlaceholder } from './markdown.ts';
import { PRD_PATH, type Prd, STORIES_PATH, readPrd, readStories } from './requirements.ts';

const PRD_HEADINGS = [
  'Problem',
  'Goals',
  'Users',
  'Functional requirements',
  'Non-functional requirements',
  'Out of scope',
];

/** The headings a document must have: the catalogue's, when it names any. */
export const requiredHeadings = (
  context: CollectContext,
  artifact: string,
  usual: readonly string[],
): readonly string[] => {
  const sections = context.artifacts[artifact]?.spec.sections ?? [];
  return sections.length > 0 ? sections : usual;
};

const noPrd = (metric: string): Reading =>
  notEvaluable(
    metric,
    'document/missing',
    `${PRD_PATH} does not exist: write it with the headings ${PRD_HEADINGS.join(', ')}, and each requirement as a list item such as "- **FR-1** The service shall ..."`,
    { file: PRD_PATH },
  );

function idChecks(metric: string, prd: Prd): Check[] {
  const seen = new Set<string>();
  const named = prd.requirements.map((item): Check => {
    const isRepeated = seen.has(item.id);
    seen.add(item.id);
    const isReal = !isPlaceholder(item.text) && item.text.split(/\s+/).length >= 3;
    const message = isRepeated
      ? `${item.id} is used twice; give each requirement an id of its own`
      : `${item.id} says nothing yet; write the requirement out`;
    return {
      ok: isReal && !isRepeated,
      finding: finding(metric, 'document/requirement', message, { file: prd.file.path, line: item.line }),
    };
  });
  const unnamed = prd.unnamed.map((item): Check => ({
    ok: false,
    finding: finding(
      metric,
      'document/requirement-id',
      `"${item.text.slice(0, 60)}" has no id; begin the item with an id such as **FR-1** or **NFR-1**`,
      { file: prd.file.path, line: item.line },
    ),
  }));
  const kinds = ['FR', 'NFR'].map((prefix): Check => ({
    ok: prd.requirements.some((item) => item.id.startsWith(`${prefix}-`)),
    finding: finding(metric, 'document/requirement-id', `no requirement has an id ${prefix}-1, ${prefix}-2, ...`, {
      file: prd.file.path,
      line: 1,
    }),
  }));
  return [...kinds, ...named, ...unnamed];
}

/** Required headings with real text under them, and requirements with ids, over all of both. */
export async function documentationCompleteness(context: CollectContext, metric: string): Promise<Reading> {
  const prd = await readPrd(context);
  if (prd === undefined) return noPrd(metric);
  const headings = headingChecks(metric, prd.file, requiredHeadings(context, 'prd_document', PRD_HEADINGS));
  return shareOf([...headings, ...idChecks(metric, prd)], `headings and requirements of ${prd.file.path}`);
}

const MODAL = /\b(?:must|shall|should)\b/i;
const NUMBER = /\d/;
const VAGUE =
  /\b(?:fast|quick(?:ly)?|easy|easily|simple|simply|user[- ]friendly|intuitive|flexible|robust|efficient(?:ly)?|seamless(?:ly)?|appropriate|adequate|as needed|if possible|and so on|etc)\b\.?/i;
const MAX_WORDS = 40;

/** Why a requirement cannot be tested in the form it is written, or undefined when it can. */
export function unclear(text: string): string | undefined {
  if (isPlaceholder(text)) return 'is a placeholder';
  const vague = VAGUE.exec(text)?.[0];
  if (vague !== undefined) return `says "${vague}"; write what can be measured instead`;
  if (!MODAL.test(text) && !NUMBER.test(text))
    return 'has neither "must", "shall" or "should" nor a number to hold it to';
  const longest = Math.max(...text.split(/[.!?;]\s+/).map((sentence) => sentence.trim().split(/\s+/).length));
  return longest > MAX_WORDS ? `has a sentence of ${longest} words; split it, ${MAX_WORDS} at most` : undefined;
}

/** The share of requirements that are testable in form: a modal verb or a number, no vague word, no long sentence. */
export async function clarityScore(context: CollectContext, metric: string): Promise<Reading> {
  const prd = await readPrd(context);
  if (prd === undefined) return noPrd(metric);
  const checks = prd.requirements.map((item): Check => {
    const reason = unclear(item.text);
    return {
      ok: reason === undefined,
      finding: finding(metric, 'document/unclear-requirement', `${item.id} ${reason ?? 'is clear'}`, {
        file: prd.file.path,
        line: item.line,
        severity: 'warning',
      }),
    };
  });
  if (checks.length === 0) {
    return notEvaluable(
      metric,
      'document/requirement-id',
      `${prd.file.path} holds no requirement with an id such as FR-1`,
      {
        file: prd.file.path,
      },
    );
  }
  return shareOf(checks, 'requirements that are testable in form');
}

/** How many requirements carry an id of their own. */
export async function requirementsCount(context: CollectContext, metric: string): Promise<Reading> {
  const prd = await readPrd(context);
  if (prd === undefined) return noPrd(metric);
  const ids = new Set(prd.requirements.map((item) => item.id));
  return measured(ids.size, 1, `${ids.size} requirements with ids in ${prd.file.path}`);
}

const STORY_FORM = /\bas an?\b[\s\S]+\bI want\b[\s\S]+\bso that\b/i;

/** How many stories are told as "As a ..., I want ..., so that ...". */
export async function userStoriesCount(context: CollectContext, metric: string): Promise<Reading> {
  const read = await readStories(context);
  if (read === undefined) return noStories(metric);
  const told = read.stories.filter((story) => STORY_FORM.test(story.text) && !isPlaceholder(story.text));
  const findings = read.stories
    .filter((story) => !told.includes(story))
    .map((story) =>
      finding(
        metric,
        'document/story-form',
        `${story.id}: write "As a ..., I want ..., so that ..." under its heading`,
        {
          file: read.file.path,
          line: story.line,
          severity: 'warning',
        },
      ),
    );
  const ids = new Set(told.map((story) => story.id));
  return measured(ids.size, 1, `${ids.size} user stories in ${read.file.path}`, { findings });
}

/** What to write when there are no stories. */
export const noStories = (metric: string): Reading =>
  notEvaluable(
    metric,
    'document/missing',
    `${STORIES_PATH} does not exist: write a heading per story, "### US-1 Title (FR-1)", and below it "As a ..., I want ..., so that ..."`,
    { file: STORIES_PATH },
  );
