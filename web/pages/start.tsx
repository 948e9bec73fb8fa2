import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ExecuteResponse, WorkflowList, WorkflowSummary } from '../../src/producer/api-schemas.ts';
import { Refusal, post, refusalText } from '../lib/api.ts';
import { count } from '../lib/format.ts';
import { refusalFor, useMe } from '../lib/me.ts';
import { href } from '../lib/route.ts';
import { useAsked } from '../lib/use-asked.ts';
import { type Draft, emptyDraft, fieldValue, freshKey, requestOf, sorted } from '../start/draft.ts';
import { Field } from '../start/field.tsx';
import { InputField } from '../start/input-field.tsx';
import { MORE_FIELDS, More } from '../start/more.tsx';
import { Banner, Empty, Loading, SimulatedMark, Text } from '../ui/basic.tsx';
import { notify } from '../ui/notice.tsx';

/** Where a run is started: `#/runs/new`, with the name of the workflow behind it. */
export function StartPage({ name }: { name: string | undefined }): JSX.Element {
  const { value: list, fault } = useAsked<WorkflowList>('/api/workflows');
  useEffect(() => {
    document.title = 'Start a run · Maestro Fleet';
  }, []);
  return (
    <div class="start">
      <p class="crumb">
        <a href="#/">Runs</a> / new
      </p>
      <div class="title">
        <h1>Start a run</h1>
      </div>
      {fault !== undefined && <Banner kind="bad">{fault}</Banner>}
      {list === undefined && fault === undefined && <Loading what="the workflows" />}
      {list !== undefined && list.workflows.length === 0 && <NoWorkflows />}
      {list !== undefined && list.workflows.length > 0 && <StartForm list={list} name={name} />}
      {list !== undefined && list.invalid.length > 0 && (
        <Banner>
          These cannot be started:
          {list.invalid.map((each) => (
            <p key={each.name}>
              <strong>{each.name}</strong>: <Text>{each.reason}</Text>
            </p>
          ))}
        </Banner>
      )}
    </div>
  );
}

const NoWorkflows = (): JSX.Element => (
  <Empty title="There is no workflow to start.">
    <p>
      Upload one: <code>POST /api/workflows</code>.
    </p>
  </Empty>
);

function StartForm({ list, name }: { list: WorkflowList; name: string | undefined }): JSX.Element {
  const workflow = name === undefined ? list.workflows[0] : list.workflows.find((each) => each.name === name);
  const form = useStart(list, workflow);
  const refusal = refusalFor(useMe(), 'run');
  const { draft, errors, faults, isBusy, change } = form;
  const at = useRef<HTMLFormElement>(null);
  // What turned red is to be seen, and whoever cannot see it is led there.
  useEffect(() => {
    const wrong = [...(at.current?.querySelectorAll<HTMLElement>('[aria-invalid]') ?? [])];
    for (const field of wrong) field.closest('details')?.setAttribute('open', '');
    wrong[0]?.focus();
  }, [form.answers]);
  return (
    <form class="panel start-form" aria-label="Start a run" noValidate ref={at} onSubmit={form.submit}>
      {refusal !== undefined && <p class="refusal">{refusal}</p>}
      <fieldset disabled={refusal !== undefined}>
        <WorkflowField list={list} workflow={workflow} name={name} />
        {workflow !== undefined &&
          Object.entries(workflow.inputs).map(([input, spec]) => (
            <InputField
              key={input}
              name={input}
              spec={spec}
              value={fieldValue(draft, input, spec)}
              error={errors.get(`inputs.${input}`)}
              change={(value) => change({ inputs: { ...draft.inputs, [input]: value } }, `inputs.${input}`)}
            />
          ))}
        <Players draft={draft} own={list.provider} change={change} />
        {workflow !== undefined && <More workflow={workflow} draft={draft} errors={errors} change={change} />}
        <div role="alert">
          {faults.map((fault) => (
            <Banner key={fault} kind="bad">
              {fault}
            </Banner>
          ))}
        </div>
        <div class="buttons">
          <button class="primary" disabled={isBusy || workflow === undefined}>
            {isBusy ? 'Starting…' : 'Start run'}
          </button>
          <a class="button quiet" href="#/">
            Back
          </a>
        </div>
      </fieldset>
    </form>
  );
}

interface Start {
  draft: Draft;
  /** What the service said of fields, by their names, and of the rest. */
  errors: ReadonlyMap<string, string>;
  faults: readonly string[];
  isBusy: boolean;
  /** How often the service has said no. */
  answers: number;
  change: (changed: Partial<Draft>, field: string) => void;
  submit: (event: Event) => void;
}

function useStart(list: WorkflowList, workflow: WorkflowSummary | undefined): Start {
  const [draft, setDraft] = useState(() => emptyDraft(list.provider));
  const [said, setSaid] = useState<[ReadonlyMap<string, string>, readonly string[]]>([new Map(), []]);
  const [answers, setAnswers] = useState(0);
  const [isBusy, setBusy] = useState(false);
  const sent = useRef({ body: '', key: '' });
  useEffect(() => setSaid([new Map(), []]), [workflow?.name]);

  const start = async (of: WorkflowSummary): Promise<void> => {
    const request = requestOf(of, draft);
    const body = JSON.stringify([of.name, request]);
    // Whether the first answer was lost or the button was pressed twice: the same request starts one run.
    if (sent.current.body !== body) sent.current = { body, key: freshKey() };
    const key = draft.key === '' ? sent.current.key : draft.key;
    setBusy(true);
    try {
      const path = `/api/workflows/${encodeURIComponent(of.name)}/execute`;
      const { runId } = await post<ExecuteResponse>(path, request, { 'idempotency-key': key });
      notify(`${of.name} was started`);
      location.hash = href('runs', runId);
    } catch (err) {
      const fields = [...Object.keys(of.inputs).map((input) => `inputs.${input}`), ...MORE_FIELDS];
      const [ofField, others] = sorted(err instanceof Refusal ? err.errors : [], fields);
      setSaid([ofField, ofField.size === 0 ? [refusalText(err)] : others]);
      setAnswers((before) => before + 1);
      setBusy(false);
    }
  };
  return {
    draft,
    errors: said[0],
    faults: said[1],
    isBusy,
    answers,
    change: (changed, field) => {
      setDraft((before) => ({ ...before, ...changed }));
      setSaid(([before]) => [new Map([...before].filter(([name]) => name !== field)), []]);
    },
    submit: (event) => {
      event.preventDefault();
      if (workflow !== undefined && !isBusy) void start(workflow);
    },
  };
}

interface WorkflowFieldProps {
  list: WorkflowList;
  workflow: WorkflowSummary | undefined;
  name: string | undefined;
}

/** Which workflow, what it is for, and who works at what in it. The choice stands in the address. */
function WorkflowField({ list, workflow, name }: WorkflowFieldProps): JSX.Element {
  const error = workflow === undefined ? `there is no workflow "${name}" here` : undefined;
  const groups = [
    { label: 'Shipped', of: list.workflows.filter(({ uploaded }) => !uploaded) },
    { label: 'Uploaded', of: list.workflows.filter(({ uploaded }) => uploaded) },
  ].filter(({ of }) => of.length > 0);
  return (
    <>
      <Field name="Workflow" hint={workflow?.description ?? ''} error={error}>
        {(control) => (
          <select
            {...control}
            value={workflow?.name ?? ''}
            onChange={({ currentTarget }) => location.replace(href('runs', 'new', currentTarget.value))}
          >
            {workflow === undefined && <option value="">Choose one</option>}
            {groups.map(({ label, of }) => (
              <optgroup key={label} label={label}>
                {of.map((each) => (
                  <option key={each.name}>{each.name}</option>
                ))}
              </optgroup>
            ))}
          </select>
        )}
      </Field>
      {workflow !== undefined && <Phases of={workflow} />}
    </>
  );
}

const Phases = ({ of: { phases, digest } }: { of: WorkflowSummary }): JSX.Element => (
  <details class="more">
    <summary>
      {count(phases.length, 'phase')} <span class="muted">version {digest.slice('sha256:'.length, 19)}</span>
    </summary>
    <ul class="trail">
      {phases.map((phase) => (
        <li key={phase.name}>
          <strong>{phase.name}</strong>
          {phase.personas.length > 0 && `: ${phase.personas.join(', ')}`}
          {phase.needs.length > 0 && <span class="muted"> after {phase.needs.join(', ')}</span>}
        </li>
      ))}
    </ul>
    <p class="muted">
      <code>{digest}</code>
    </p>
  </details>
);

interface PlayersProps {
  draft: Draft;
  own: WorkflowList['provider'];
  change: Start['change'];
}

/** Who plays the personas: what no real model does says so before it begins. */
function Players({ draft, own, change }: PlayersProps): JSX.Element {
  return (
    <>
      <Field
        name="Who plays the personas"
        hint={draft.provider === own ? 'As this service is set up.' : ''}
        error={undefined}
      >
        {(control) => (
          <select
            {...control}
            value={draft.provider}
            onChange={({ currentTarget: { value } }) =>
              change({ provider: value === 'scripted' ? 'scripted' : 'anthropic' }, 'provider')
            }
          >
            <option value="anthropic">A model of Anthropic</option>
            <option value="scripted">A script (simulated)</option>
          </select>
        )}
      </Field>
      {draft.provider === 'scripted' && (
        <div class="banner simulated">
          <SimulatedMark /> No real model has a part in this run, and nothing is paid.
          <label class="check">
            <input
              type="checkbox"
              checked={draft.isApprovedByScript}
              onChange={({ currentTarget }) => change({ isApprovedByScript: currentTarget.checked }, 'scripted')}
            />
            The script also answers and approves in the place of people
          </label>
        </div>
      )}
    </>
  );
}
