import { FleetError } from '../shared/errors.ts';
import type { InputSpec, InputValues, Workflow } from '../shared/workflow-schema.ts';
import { nearestHint } from '../shared/yaml-file.ts';

type Value = InputValues[string];

/** Turns `key=value` texts from a command line into the types that the workflow declares. */
export function inputsFromText(workflow: Workflow, texts: Readonly<Record<string, string>>): InputValues {
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]): [string, Value] => {
      const type = Object.hasOwn(workflow.inputs, name) ? workflow.inputs[name]?.type : undefined;
      if (type === 'number' && text.trim() !== '' && Number.isFinite(Number(text))) return [name, Number(text)];
      if (type === 'boolean' && (text === 'true' || text === 'false')) return [name, text === 'true'];
      return [name, text];
    }),
  );
}

/**
 * Checks what a run is given against what its workflow declares, and fills in defaults. Throws `BAD_INPUT`, with what is
 * wrong with each input under its name `at` the place where it was given.
 */
export function checkInputs(workflow: Workflow, given: InputValues, at = 'body.inputs'): InputValues {
  const specs = workflow.inputs;
  const problems: { name: string; says: string; detail: string }[] = Object.keys(given)
    .filter((name) => !Object.hasOwn(specs, name))
    .map((name) => {
      const hint = nearestHint(name, Object.keys(specs));
      return { name, says: `is not declared${hint}`, detail: `there is no input "${name}"${hint}` };
    });
  const add = (name: string, says: string): void =>
    void problems.push({ name, says, detail: `the input "${name}" ${says}` });
  const inputs: InputValues = {};
  for (const [name, spec] of Object.entries(specs)) {
    const value = Object.hasOwn(given, name) ? given[name] : spec.default;
    if (value === undefined) {
      if (spec.optional !== true) add(name, 'is missing');
      continue;
    }
    for (const problem of valueProblems(spec, value)) add(name, problem);
    inputs[name] = value;
  }
  if (problems.length === 0) return inputs;
  const details = problems.map(({ detail }) => detail);
  throw new FleetError('BAD_INPUT', `the inputs do not fit workflow ${workflow.name}: ${details.join('; ')}`, {
    remedy: describeInputs(workflow),
    details: { errors: problems.map(({ name, says }) => ({ path: `${at}.${name}`, message: says })) },
  });
}

function valueProblems(spec: InputSpec, value: Value): string[] {
  if (typeof value !== spec.type) return [`must be a ${spec.type}, and is a ${typeof value}`];
  const problems: string[] = [];
  if (typeof value === 'string') {
    const { minLength = 0, maxLength = Number.POSITIVE_INFINITY } = spec;
    if (value.length < minLength) problems.push(`must have at least ${minLength} characters, and has ${value.length}`);
    if (value.length > maxLength) problems.push(`may have at most ${maxLength} characters, and has ${value.length}`);
    if (spec.enum !== undefined && !spec.enum.includes(value))
      problems.push(`must be one of ${spec.enum.join(', ')}${nearestHint(value, spec.enum)}`);
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) problems.push('must be a finite number');
    if (spec.minimum !== undefined && value < spec.minimum) problems.push(`must be at least ${spec.minimum}`);
    if (spec.maximum !== undefined && value > spec.maximum) problems.push(`may be at most ${spec.maximum}`);
  }
  return problems;
}

function describeInputs(workflow: Workflow): string {
  const names = Object.entries(workflow.inputs).map(
    ([name, spec]) =>
      `${name} (${spec.type}${spec.optional === true || spec.default !== undefined ? ', optional' : ''})`,
  );
  return names.length === 0 ? 'This workflow takes no inputs.' : `It takes: ${names.join(', ')}.`;
}
