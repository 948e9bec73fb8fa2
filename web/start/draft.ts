import type { ExecuteRequest, WorkflowSummary } from '../../src/producer/api-schemas.ts';
import type { PartError } from '../lib/api.ts';

/** What is written into the form, as it stands in its fields. */
export interface Draft {
  /** By name; what two workflows call the same stays when another one is chosen. */
  inputs: Record<string, string | boolean>;
  provider: NonNullable<ExecuteRequest['provider']>;
  /** Whether the script decides in the place of people. */
  isApprovedByScript: boolean;
  usd: string;
  tokens: string;
  priority: string;
  startAt: string;
  digest: string;
  key: string;
}

export const emptyDraft = (provider: string): Draft => ({
  inputs: {},
  provider: provider === 'scripted' ? 'scripted' : 'anthropic',
  isApprovedByScript: true,
  usd: '',
  tokens: '',
  priority: '',
  startAt: '',
  digest: '',
  key: '',
});

/** What stands in the field of an input, touched or not. */
export const fieldValue = (draft: Draft, name: string, { default: given }: InputSpec): string | boolean =>
  draft.inputs[name] ?? (typeof given === 'boolean' ? given : String(given ?? ''));
export type InputSpec = WorkflowSummary['inputs'][string];

/** What is asked of the service. Whether it will do is for the service to say. An empty field is not sent. */
export function requestOf(
  { inputs: specs, digest, budget: ofWorkflow }: WorkflowSummary,
  draft: Draft,
): ExecuteRequest {
  const inputs: ExecuteRequest['inputs'] = {};
  for (const [name, spec] of Object.entries(specs)) {
    const value = draft.inputs[name];
    if (spec.type === 'boolean') inputs[name] = fieldValue(draft, name, spec) === true;
    else if (value !== undefined && value !== '') inputs[name] = spec.type === 'number' ? Number(value) : value;
  }
  const asked = { ...numberAs('usd', draft.usd), ...numberAs('tokens', draft.tokens) };
  const isOwn = draft.digest.trim() === '';
  // Of whoever may drop a limit the service would take one that is not named for dropped.
  const { perDay: _, ...limits } = (isOwn ? ofWorkflow : undefined) ?? {};
  return {
    inputs,
    // What is run is what was looked at, also when somebody has uploaded another version since.
    workflowDigest: isOwn ? digest : draft.digest.trim(),
    provider: draft.provider,
    ...(draft.provider === 'scripted' && !draft.isApprovedByScript ? { scripted: { approvals: false } } : {}),
    ...(Object.keys(asked).length === 0 ? {} : { budget: { ...limits, ...asked } }),
    ...numberAs('priority', draft.priority),
    ...(draft.startAt === '' ? {} : { startAt: new Date(draft.startAt).toISOString() }),
  };
}

const numberAs = (name: string, text: string): Record<string, number> => (text === '' ? {} : { [name]: Number(text) });

/** What the service said of each field, and of nothing that has one. */
export function sorted(errors: readonly PartError[], fields: readonly string[]): [Map<string, string>, string[]] {
  const ofField = new Map<string, string>();
  const others: string[] = [];
  for (const { path, message } of errors) {
    const field = path.replace(/^body\./, '');
    if (fields.includes(field)) ofField.set(field, [ofField.get(field), message].filter(Boolean).join('; '));
    else others.push(`${path}: ${message}`);
  }
  return [ofField, others];
}

/** A key of its own for each request: sent twice it starts one run. Pages without TLS have no `randomUUID`. */
export const freshKey = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
