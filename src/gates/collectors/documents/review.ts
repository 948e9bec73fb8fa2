import type { Judgement, ReviewItem } from '../../../shared/handoff.ts';
import { errorMessage } from '../../../shared/errors.ts';
import type { Finding } from '../../../shared/verdict.ts';
import type { z } from 'zod';
import type { CollectContext } from '../../collector.ts';
import { type Reading, defineCollector, finding, notEvaluable } from './define-collector.ts';
import { readProjectText } from './project-files.ts';

type Item = z.infer<typeof ReviewItem>;

/** A quote shorter than this must be the whole line: `}` stands nearly everywhere. */
const SHORT_QUOTE = 8;

/** Why a met item's quote does not hold, or undefined when the text stands where it says. */
async function falseQuote(root: string, item: Item): Promise<string | undefined> {
  const { quote } = item;
  if (quote === undefined) return `item "${item.item}" is judged met without a quote`;
  const where = `${quote.file}:${quote.line}`;
  let text: string | undefined;
  try {
    text = (await readProjectText(root, quote.file))?.text;
  } catch (err) {
    return `the quote at ${where} cannot be read: ${errorMessage(err).split('\n').at(-1)?.trim() ?? ''}`;
  }
  if (text === undefined) return `the quote at ${where} names a file that does not exist`;
  const wanted = quote.text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const lines = text
    .split('\n')
    .slice(quote.line - 1)
    .map((line) => line.trim());
  const found = wanted.every((line, index) =>
    line.length < SHORT_QUOTE ? lines[index] === line : lines[index]?.includes(line) === true,
  );
  return wanted.length > 0 && found ? undefined : `the quote at ${where} does not stand there`;
}

const unmetFindings = (metric: string, judgement: Judgement): Finding[] =>
  judgement.items
    .filter((item) => !item.met)
    .map((item) =>
      finding(metric, 'review/unmet', item.note === '' ? item.item : `${item.item}: ${item.note}`, {
        file: item.quote?.file,
        line: item.quote?.line,
      }),
    );

async function judged(context: CollectContext, metric: string): Promise<Reading> {
  const spec = context.metrics[metric];
  const reviewer = spec?.reviewer;
  const entry = context.run.judgements.findLast(
    (candidate) => candidate.judgement.metric === metric && (reviewer === undefined || candidate.reviewer === reviewer),
  );
  if (entry === undefined) {
    return notEvaluable(
      metric,
      'review/none',
      `no recorded review${reviewer === undefined ? '' : ` by ${reviewer}`} judges ${metric}`,
    );
  }
  const { judgement } = entry;
  const evidence = [
    {
      kind: 'review' as const,
      summary: `${entry.reviewer} judged ${judgement.items.length} items, ${judgement.items.filter((item) => item.met).length} met: ${judgement.summary}`,
      tree: context.tree,
    },
  ];
  const problems: string[] = [];
  for (const item of judgement.items) {
    const problem = item.met ? await falseQuote(context.root, item) : undefined;
    if (problem !== undefined) problems.push(problem);
  }
  if (judgement.items.length === 0) problems.push('it has no items');
  if (problems.length > 0) {
    const reason = `the review by ${entry.reviewer} is void: ${problems.join('; ')}`;
    return notEvaluable(metric, 'review/void', reason, { evidence });
  }
  const met = judgement.items.filter((item) => item.met).length;
  const share = met / judgement.items.length;
  return {
    value: {
      value: spec?.type === 'flag' ? Math.floor(share) : share,
      examined: judgement.items.length,
      source: 'review',
      simulated: entry.simulated,
      evidence,
    },
    findings: unmetFindings(metric, judgement),
  };
}

const REVIEWED = [
  'design_review_approval',
  'security_design_review',
  'code_review_completion',
  'acceptance_criteria_met',
  'requirements_fulfilled',
  'security_architecture_review',
  'technology_stack_approved',
];

/** Computes a review's value from its items, after checking every quote against the files. */
export const reviewCollector = defineCollector({
  id: 'review',
  version: '1',
  timeoutMs: 30_000,
  prepare: () => Promise.resolve(undefined),
  measures: Object.fromEntries(
    REVIEWED.map((name) => [name, (_: undefined, context: CollectContext, metric: string) => judged(context, metric)]),
  ),
});
