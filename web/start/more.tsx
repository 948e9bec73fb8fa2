import type { JSX } from 'preact';
import type { WorkflowSummary } from '../../src/producer/api-schemas.ts';
import { dollars } from '../lib/format.ts';
import type { Draft } from './draft.ts';
import { Field } from './field.tsx';

interface MoreProps {
  workflow: WorkflowSummary;
  draft: Draft;
  errors: ReadonlyMap<string, string>;
  change: (changed: Partial<Draft>, field: string) => void;
}

type TextOfDraft = { [K in keyof Draft]: Draft[K] extends string ? K : never }[keyof Draft];
interface Line {
  of: TextOfDraft;
  /** What the service calls it. */
  field: string;
  name: string;
  hint: string;
  type: 'number' | 'text' | 'datetime-local';
  /** What holds when it is left empty. */
  otherwise?: string;
}

const linesOf = ({ budget = {}, digest }: WorkflowSummary): Line[] => [
  {
    of: 'usd',
    field: 'budget.usd',
    name: 'Budget in US dollars',
    hint: budget.usd === undefined ? 'The workflow sets no limit.' : `The workflow says ${dollars(budget.usd)}.`,
    type: 'number',
    otherwise: String(budget.usd ?? ''),
  },
  {
    of: 'tokens',
    field: 'budget.tokens',
    name: 'Budget in tokens',
    hint:
      budget.tokens === undefined
        ? 'The workflow sets no limit.'
        : `The workflow says ${budget.tokens.toLocaleString()}.`,
    type: 'number',
    otherwise: String(budget.tokens ?? ''),
  },
  {
    of: 'priority',
    field: 'priority',
    name: 'Priority',
    hint: 'From 0, the most urgent, to 100.',
    type: 'number',
  },
  {
    of: 'startAt',
    field: 'startAt',
    name: 'Start at',
    hint: 'In the time of this browser. Empty: at once.',
    type: 'datetime-local',
  },
  {
    of: 'digest',
    field: 'workflowDigest',
    name: 'Version of the workflow',
    hint: 'The digest of an older version that was uploaded. Empty: the one that is shown.',
    type: 'text',
    otherwise: digest,
  },
  {
    of: 'key',
    field: 'Idempotency-Key',
    name: 'Idempotency key',
    hint: 'Sent twice, the same key starts one run. Empty: a new one for each run.',
    type: 'text',
  },
];

/** Names of the fields, as the service tells them. */
export const MORE_FIELDS = ['budget.usd', 'budget.tokens', 'priority', 'startAt', 'workflowDigest', 'Idempotency-Key'];

/** What hardly anybody has to say. */
export const More = ({ workflow, draft, errors, change }: MoreProps): JSX.Element => (
  <details class="more">
    <summary>Limits, time and version</summary>
    <div class="fields">
      {linesOf(workflow).map(({ of, field, name, hint, type, otherwise = '' }) => (
        <Field key={of} name={name} isOptional hint={hint} error={errors.get(field)}>
          {(control) => {
            const props = {
              ...control,
              placeholder: otherwise,
              value: draft[of],
              onInput: ({ currentTarget }: { currentTarget: { value: string } }) =>
                change({ [of]: currentTarget.value }, field),
            };
            if (type === 'number') return <input {...props} type="number" step="any" min={0} />;
            return type === 'text' ? <input {...props} /> : <input {...props} type="datetime-local" />;
          }}
        </Field>
      ))}
    </div>
  </details>
);
