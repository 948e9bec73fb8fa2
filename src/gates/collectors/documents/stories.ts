import { randomUUID } from 'node:crypto';
import { AstBuilder, Errors, GherkinClassicTokenMatcher, Parser } from '@cucumber/gherkin';
import { InvalidInputError, type Problem, errorMessage } from '../../../shared/errors.ts';
import type { CollectContext } from '../../collector.ts';
import { type Check, type Reading, shareOf, defineCollector, finding, notEvaluable } from './define-collector.ts';
import { type ProjectText, documentPaths, readProjectFiles } from './project-files.ts';
import { isPlaceholder } from './markdown.ts';
import { noStories } from './requirement-metrics.ts';
import { readStories } from './requirements.ts';

const FEATURES = 'docs/requirements/acceptance/*.feature';

type GherkinDocument = ReturnType<Parser<unknown>['parse']>;
type FeatureChild = NonNullable<GherkinDocument['feature']>['children'][number];
type Background = NonNullable<FeatureChild['background']>;
type Scenario = NonNullable<FeatureChild['scenario']>;

/** A scenario with the stories it is tagged with, and the kinds of step it has. */
interface TaggedScenario {
  file: string;
  line: number;
  name: string;
  stories: string[];
  kinds: Set<string>;
}

function problemOf(file: string, err: unknown): Problem[] {
  if (err instanceof Errors.CompositeParserException) return err.errors.flatMap((inner) => problemOf(file, inner));
  const location = err instanceof Errors.GherkinException ? err.location : undefined;
  return [{ file, line: location?.line ?? 1, column: location?.column ?? 1, message: errorMessage(err) }];
}

function parseFeature(file: ProjectText): GherkinDocument {
  const parser = new Parser(new AstBuilder(() => randomUUID()), new GherkinClassicTokenMatcher());
  try {
    return parser.parse(file.text);
  } catch (err) {
    throw new InvalidInputError(file.path, problemOf(file.path, err));
  }
}

/** A step without words, or with words that stand in for some, says nothing. */
const kindsOf = (...parts: readonly (Background | Scenario)[]): Set<string> =>
  new Set(
    parts.flatMap((part) =>
      part.steps.flatMap((step) =>
        /\p{L}|\d/u.test(step.text) && !isPlaceholder(step.text) ? (step.keywordType ?? []) : [],
      ),
    ),
  );

/** An outline stands for its examples: without any it is no scenario at all. */
const isOutlineOfNothing = ({ examples, keyword }: Scenario): boolean =>
  (examples.length > 0 || /outline|template/i.test(keyword)) &&
  examples.every(({ tableBody }) => tableBody.length === 0);

const tagsOf = (of: { tags: readonly { name: string }[] }): string[] => of.tags.map((tag) => tag.name.slice(1));

function scenariosOf(file: ProjectText): TaggedScenario[] {
  const { feature } = parseFeature(file);
  if (feature === undefined) return [];
  const walk = (
    children: readonly { background?: Background; scenario?: Scenario }[],
    tags: readonly string[],
    outer: readonly Background[],
  ): TaggedScenario[] => {
    const backgrounds = [...outer, ...children.flatMap((child) => child.background ?? [])];
    return children.flatMap(({ scenario }) =>
      scenario === undefined
        ? []
        : [
            {
              file: file.path,
              line: scenario.location.line,
              name: scenario.name,
              stories: [...tags, ...tagsOf(scenario)].filter((tag) => /^US-\d+$/.test(tag)),
              kinds: isOutlineOfNothing(scenario) ? new Set() : kindsOf(...backgrounds, scenario),
            },
          ],
    );
  };
  const own = feature.children.flatMap((child) => child.background ?? []);
  return [
    ...walk(feature.children, tagsOf(feature), []),
    ...feature.children.flatMap(({ rule }) =>
      rule === undefined ? [] : walk(rule.children, [...tagsOf(feature), ...tagsOf(rule)], own),
    ),
  ];
}

const isComplete = (scenario: TaggedScenario): boolean =>
  ['Context', 'Action', 'Outcome'].every((kind) => scenario.kinds.has(kind));

async function acceptanceCriteriaDefined(context: CollectContext, metric: string): Promise<Reading> {
  const read = await readStories(context);
  if (read === undefined) return noStories(metric);
  if (read.stories.length === 0) {
    return notEvaluable(metric, 'stories/none', `${read.file.path} holds no heading such as "### US-1 Title (FR-1)"`, {
      file: read.file.path,
    });
  }
  const files = await readProjectFiles(context.root, documentPaths(context, 'acceptance_criteria', FEATURES));
  if (files.length === 0) {
    return notEvaluable(
      metric,
      'stories/no-feature',
      `no feature file was found at ${FEATURES}: write one in Gherkin, each Scenario tagged with its story, for instance @US-1`,
      { file: 'docs/requirements/acceptance' },
    );
  }
  const scenarios = files.flatMap(scenariosOf);
  const ids = new Set(read.stories.map((story) => story.id));
  const checks = read.stories.map((story): Check => {
    const own = scenarios.filter((scenario) => scenario.stories.includes(story.id));
    const message =
      own.length === 0
        ? `${story.id} has no scenario; tag one with @${story.id}`
        : `no scenario of ${story.id} has Given, When and Then`;
    return {
      ok: own.some(isComplete),
      finding: finding(metric, 'stories/acceptance', message, {
        file: own[0]?.file ?? read.file.path,
        line: own[0]?.line ?? story.line,
      }),
    };
  });
  const reading = shareOf(checks, `stories with a scenario of Given, When and Then (${scenarios.length} scenarios)`);
  const strays = scenarios
    .filter((scenario) => !scenario.stories.some((id) => ids.has(id)))
    .map((scenario) =>
      finding(metric, 'stories/untagged', `scenario "${scenario.name}" is tagged with no known story`, {
        file: scenario.file,
        line: scenario.line,
        severity: 'warning',
      }),
    );
  return { ...reading, findings: [...reading.findings, ...strays] };
}

/** Parses the acceptance criteria as Gherkin and joins them to the stories by tag. */
export const storiesCollector = defineCollector({
  id: 'stories',
  version: '2',
  timeoutMs: 30_000,
  prepare: () => Promise.resolve(undefined),
  measures: { acceptance_criteria_defined: (_, context, metric) => acceptanceCriteriaDefined(context, metric) },
});
