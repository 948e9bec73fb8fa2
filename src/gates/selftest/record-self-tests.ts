import type { Approval, Judgement } from '../../shared/handoff.ts';
import type { RunContext } from '../collector.ts';
import type { Expected, SelfTest } from './self-test.ts';

const FILE = 'src/backend/links.js';
const METRICS = [
  'design_review_approval',
  'security_design_review',
  'code_review_completion',
  'acceptance_criteria_met',
  'requirements_fulfilled',
  'security_architecture_review',
  'technology_stack_approved',
];
const REVIEWER = 'phase_reviewer';

const expectEach = (metrics: readonly string[], expected: Expected): Record<string, Expected> =>
  Object.fromEntries(metrics.map((metric) => [metric, expected]));

/** The same reading of the code under every metric, by one reviewer. */
const reviewed = (items: Judgement['items'], reviewer = REVIEWER): Pick<RunContext, 'judgements'> => ({
  judgements: METRICS.map((metric) => ({
    reviewer,
    simulated: true,
    judgement: { metric, items, summary: 'planted by the self-test' },
  })),
});
const item = (line: number, text: string): Judgement['items'][number] => ({
  item: 'links are kept by code',
  met: true,
  note: '',
  quote: { file: FILE, line, text },
});
const TRUE_ITEM = item(10, 'export class Links {');

const review: SelfTest = {
  phase: 'backend',
  specs: Object.fromEntries(METRICS.map((metric) => [metric, { type: 'flag', reviewer: REVIEWER } as const])),
  clean: { run: reviewed([TRUE_ITEM]), expect: expectEach(METRICS, { atLeast: 1 }) },
  defects: [
    {
      what: 'a review with a quote that does not stand in the file',
      run: reviewed([TRUE_ITEM, item(11, 'export class Wishes {')]),
      expect: expectEach(METRICS, { notEvaluable: /does not stand there/ }),
    },
    {
      what: 'a review with an item that is not met',
      run: reviewed([TRUE_ITEM, { item: 'links survive a restart', met: false, note: 'kept in memory' }]),
      expect: expectEach(METRICS, { atMost: 0 }),
    },
    {
      what: 'a review by another persona than the one that must judge',
      run: reviewed([TRUE_ITEM], 'backend_developer'),
      expect: expectEach(METRICS, { notEvaluable: /no recorded review/ }),
    },
  ],
};

const decided = (decision: Approval['decision'], own: Partial<Approval> = {}): Pick<RunContext, 'approvals'> => ({
  approvals: [
    {
      phase: 'design',
      role: 'stakeholder',
      round: 0,
      by: 'self-test',
      decision,
      note: '',
      at: '2026-01-01T00:00:00.000Z',
      simulated: true,
      ...own,
    },
  ],
});
const BY_PHASE = ['stakeholder_approval', 'stakeholder_notification'];
const UNRATED = { customer_satisfaction: { notEvaluable: /no rating/ } };

const approval: SelfTest = {
  phase: 'design',
  clean: {
    run: decided('approved'),
    expect: { ...expectEach([...BY_PHASE, 'stakeholder_satisfaction'], { atLeast: 1 }), ...UNRATED },
  },
  defects: [
    {
      what: 'a rejection',
      run: decided('rejected'),
      expect: { ...expectEach([...BY_PHASE, 'stakeholder_satisfaction'], { atMost: 0 }), ...UNRATED },
    },
    {
      what: 'an approval of an earlier round',
      run: { ...decided('approved'), round: 1 },
      expect: expectEach(BY_PHASE, { notEvaluable: /no recorded approval/ }),
    },
    {
      what: 'an approval in another role',
      run: decided('approved', { role: 'developer' }),
      expect: expectEach(BY_PHASE, { notEvaluable: /no recorded approval/ }),
    },
  ],
};

const DAY_MS = 86_400_000;
const startedDaysAgo = (days: number): string => new Date(Date.now() - days * DAY_MS).toISOString();
const ROUNDS = ['design_iterations', 'review_iterations'];

const runRecord: SelfTest = {
  phase: 'design',
  clean: {
    run: () => ({ phaseStartedAt: startedDaysAgo(0), round: 0 }),
    expect: { phase_duration_days: { atMost: 1 }, ...expectEach(ROUNDS, { atMost: 1 }) },
  },
  defects: [
    {
      what: 'a phase that took long and came back often',
      run: () => ({ phaseStartedAt: startedDaysAgo(30), round: 4 }),
      expect: { phase_duration_days: { atLeast: 29 }, ...expectEach(ROUNDS, { atLeast: 5 }) },
    },
    {
      what: 'a phase that began after now',
      run: () => ({ phaseStartedAt: startedDaysAgo(-30) }),
      expect: { phase_duration_days: { notEvaluable: /no time before now/ } },
    },
  ],
};

/** False records, for the collectors that read what people, reviewers and the fleet recorded. */
export const recordSelfTests: Readonly<Record<string, SelfTest>> = { review, approval, 'run-record': runRecord };
