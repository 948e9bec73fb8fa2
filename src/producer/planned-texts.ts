import { FleetError, errorMessage } from '../shared/errors.ts';
import { markedValue } from '../shared/marked-text.ts';
import { inputsOf } from '../shared/run-record.ts';
import { renderText } from '../shared/templates.ts';
import type { Concurrency, InputValues, Workflow } from '../shared/workflow-schema.ts';
import type { Part } from './expand.ts';
import { checkInputs } from './inputs.ts';

/** Texts of a workflow with the inputs of a run put in. */
export class PlannedTexts {
  readonly inputs: InputValues;
  /** What each sub-workflow is given, by its prefix. */
  readonly parts: Record<string, InputValues> = {};
  readonly #isKnown: boolean;

  /** `given` is null before there are inputs: then texts stay as they are written. */
  constructor(workflow: Workflow, parts: readonly Part[], given: InputValues | null) {
    this.#isKnown = given !== null;
    this.inputs = given === null ? {} : checkInputs(workflow, given);
    if (!this.#isKnown) return;
    for (const part of parts) {
      const values = Object.entries(part.with).map(([name, value]): [string, InputValues[string]] => [
        name,
        typeof value === 'string' ? this.text(value, part.outer) : value,
      ]);
      this.parts[part.prefix] = checkInputs(part.workflow, Object.fromEntries(values), `${part.prefix}with`);
    }
  }

  /** A text of the workflow with this prefix; one expression alone keeps the type of its value. */
  text(written: string, prefix: string, mark?: (value: string) => string): InputValues[string] {
    if (!this.#isKnown || !written.includes('${{')) return written;
    try {
      return renderText(written, { inputs: inputsOf(this, prefix) }, mark);
    } catch (err) {
      throw new FleetError('BAD_INPUT', `"${written}" cannot be filled in: ${errorMessage(err)}`, { cause: err });
    }
  }

  /** What a persona is told to do, in which whatever was given from outside is marked. */
  description(written: string, prefix: string): string {
    return String(this.text(written, prefix, markedValue));
  }

  group({ group, limit }: Concurrency, prefix: string): Concurrency {
    return { group: String(this.text(group, prefix)), limit };
  }
}
