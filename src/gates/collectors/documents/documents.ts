import { allOf, defineCollector, shareOf } from './define-collector.ts';
import {
  documentationUpdated,
  improvementActions,
  lessonsDocumented,
  retrospectiveCompleted,
  technicalDebtItems,
} from './closing-metrics.ts';
import { rollbackPlanReady } from './rollback-plan.ts';
import { adrCount, architectureDocumentation, scalability } from './design-metrics.ts';
import { clarityScore, documentationCompleteness, requirementsCount, userStoriesCount } from './requirement-metrics.ts';

/** Reads Markdown documents: required headings with real text, requirements with ids, the points they must make. */
export const documentsCollector = defineCollector({
  id: 'documents',
  version: '1',
  timeoutMs: 30_000,
  prepare: () => Promise.resolve(undefined),
  measures: {
    documentation_completeness: (_, context, metric) => documentationCompleteness(context, metric),
    clarity_score: (_, context, metric) => clarityScore(context, metric),
    requirements_count: (_, context, metric) => requirementsCount(context, metric),
    user_stories_count: (_, context, metric) => userStoriesCount(context, metric),
    architecture_documentation: (_, context, metric) => architectureDocumentation(context, metric, shareOf),
    architecture_document_complete: (_, context, metric) => architectureDocumentation(context, metric, allOf),
    scalability_assessment: (_, context, metric) => scalability(context, metric, shareOf),
    scalability_assessment_complete: (_, context, metric) => scalability(context, metric, allOf),
    adr_count: (_, context, metric) => adrCount(context, metric),
    retrospective_completed: (_, context, metric) => retrospectiveCompleted(context, metric),
    improvement_actions: (_, context, metric) => improvementActions(context, metric),
    lessons_documented: (_, context, metric) => lessonsDocumented(context, metric),
    rollback_plan_ready: (_, context, metric) => rollbackPlanReady(context, metric),
    documentation_updated: (_, context, metric) => documentationUpdated(context, metric),
    technical_debt_items: (_, context, metric) => technicalDebtItems(context, metric),
  },
});
