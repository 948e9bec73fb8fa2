import type { Handoff } from '../../shared/handoff.ts';

/** A sentence of a hand-off, and what could be measured of it. */
export interface Statement {
  text: string;
  about:
    | { kind: 'tests-pass' }
    | { kind: 'coverage'; ratio: number }
    | { kind: 'metric'; metric: string; least: number; most: number }
    | { kind: 'nothing-measurable' };
}

/** A sentence that admits something is no claim of success. */
const ADMITS =
  /\b(?:not|no longer|cannot|never|except|but|fails?|failing|failed|red|should|will|must|todo|would|until)\b|n't\b/i;
const TESTS_PASS =
  /\b(?:tests?|suites?|specs?)\b[^.;]*\b(?:pass(?:es|ed|ing)?|green|succeed(?:s|ed)?)\b|\b(?:pass(?:es|ed|ing)|green)\b[^.;]*\btests?\b|\beverything (?:passes|is green)\b/i;
const COVERAGE = [
  /\bcover(?:age|ed|s)?\b[^.;%\d]*(\d+(?:\.\d+)?)\s*(?:%|percent\b)/i,
  /(\d+(?:\.\d+)?)\s*(?:%|percent\b)[^.;%\d]*\bcover/i,
];

const METRICS: readonly { pattern: RegExp; metric: string; least: number; most: number }[] = [
  {
    pattern: /\bbuilds?\b[^.;]*\b(?:succeeds?|passes|works|green)\b/i,
    metric: 'build_success_rate',
    least: 1,
    most: 1,
  },
  {
    pattern: /\bno\b[^.;]*\b(?:secrets?|vulnerabilit(?:y|ies)|credentials?)\b/i,
    metric: 'security_vulnerabilities',
    least: 0,
    most: 0,
  },
  { pattern: /\bno\b[^.;]*\b(?:stubs?|placeholders?)\b/i, metric: 'stub_rate', least: 0, most: 0 },
  { pattern: /\b(?:all|every|fully|completely)\b[^.;]*\bimplemented\b/i, metric: 'stub_rate', least: 0, most: 0 },
];

/** The claims of a hand-off one by one, and those sentences of its summary that speak of something measurable. */
export function readStatements(handoff: Handoff): Statement[] {
  const claims = handoff.claims.map((text) => ({ text, about: aboutOf(text) }));
  const told = handoff.summary
    .split(/(?<=[.!;])\s+|\n+/)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '' && !handoff.claims.includes(sentence))
    .map((text) => ({ text, about: aboutOf(text) }))
    .filter(({ about }) => about.kind !== 'nothing-measurable');
  return [...claims, ...told];
}

function aboutOf(text: string): Statement['about'] {
  const coverage = COVERAGE.map((pattern) => pattern.exec(text)?.[1]).find((number) => number !== undefined);
  if (coverage !== undefined && /\b(?:tests?|lines?|code|coverage)\b/i.test(text))
    return { kind: 'coverage', ratio: Number(coverage) / 100 };
  const negated = text.replace(/\bnone is skipped\b/i, '');
  if (!ADMITS.test(negated) && TESTS_PASS.test(text)) return { kind: 'tests-pass' };
  const known = METRICS.find(({ pattern }) => pattern.test(text));
  if (known !== undefined && !ADMITS.test(text)) {
    const { metric, least, most } = known;
    return { kind: 'metric', metric, least, most };
  }
  return { kind: 'nothing-measurable' };
}
