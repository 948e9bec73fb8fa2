import { FleetError } from '../../../../shared/errors.ts';

/** Why a report establishes nothing: it becomes the reason of its metrics. */
export class Refusal extends FleetError {
  constructor(reason: string) {
    super('BAD_INPUT', reason);
    this.name = 'Refusal';
  }
}

export const refuse = (reason: string): never => {
  throw new Refusal(reason);
};
