import type { PhaseVerdict } from '../../src/shared/verdict.ts';
import { number } from '../lib/format.ts';

/** One thing that a phase is judged by, whatever its kind, as it came out in one round. */
export interface Judged {
  group: 'Gates' | 'Criteria' | 'Contracts' | 'Artifacts' | 'Targets';
  name: string;
  /** Of what or whose it is, where the name alone does not say. */
  about: string;
  required: string;
  isWarning: boolean;
  outcome: string;
  values: Reading[];
  message: string;
  /** The files of an artifact. */
  files: string[];
}
export interface Reading {
  metric: string;
  text: string;
  source: string;
  simulated: boolean;
}

interface Sourced {
  value: number | null;
  source: string;
  simulated: boolean;
}
const reading = (metric: string, { value, source, simulated }: Sourced): Reading => ({
  metric,
  text: value === null ? 'no value' : number(value),
  source,
  simulated,
});

/** Everything that a verdict was reached by, in the order in which it is shown. */
export function judgedBy(verdict: PhaseVerdict): Judged[] {
  const { gates, criteria, contracts = [], artifacts, targets } = verdict;
  return [
    ...gates.map(({ gate, condition, severity, outcome, values, message }) => ({
      group: 'Gates' as const,
      name: gate,
      about: '',
      required: condition,
      isWarning: severity === 'WARNING',
      outcome,
      values: Object.entries(values).map(([metric, value]) => reading(metric, value)),
      message,
      files: [],
    })),
    ...criteria.map((each) => ({
      group: 'Criteria' as const,
      name: each.criterion,
      about: '',
      required:
        each.threshold === null
          ? 'not worse than the baseline'
          : `${each.direction === 'min' ? '≥' : '≤'} ${each.threshold}`,
      isWarning: each.severity === 'WARNING',
      outcome: each.outcome,
      values: [reading('', each)],
      message: each.message,
      files: [],
    })),
    ...contracts.map((each) => ({
      group: 'Contracts' as const,
      name: each.name,
      about: `${each.kind} of ${each.persona}`,
      required: each.required,
      isWarning: each.severity === 'WARNING',
      outcome: each.outcome,
      values: each.metric === null ? [] : [reading(each.metric, each)],
      message: each.message,
      files: [],
    })),
    ...artifacts.map(({ artifact, required, outcome, files, message }) => ({
      group: 'Artifacts' as const,
      name: artifact,
      about: '',
      required: required ? 'required' : 'optional',
      isWarning: false,
      outcome,
      values: [],
      message,
      files,
    })),
    ...targets.map(({ metric, condition, outcome, value, message }) => ({
      group: 'Targets' as const,
      name: metric,
      about: '',
      required: condition,
      isWarning: true,
      outcome,
      values: value === null ? [] : [{ metric: '', text: number(value), source: '', simulated: false }],
      message,
      files: [],
    })),
  ];
}

const BAD = new Set(['failed', 'error', 'missing', 'missed', 'violated']);
const GOOD = new Set(['passed', 'present', 'met']);
export const isGood = ({ outcome }: Pick<Judged, 'outcome'>): boolean => GOOD.has(outcome);
export const isBad = ({ outcome }: Pick<Judged, 'outcome'>): boolean => BAD.has(outcome);
