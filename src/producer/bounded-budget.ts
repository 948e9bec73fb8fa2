import { FleetError } from '../shared/errors.ts';
import type { Budget } from '../shared/workflow-schema.ts';

/** What a run may spend when somebody asks who may tighten its limits and not raise them: each limit stays or shrinks. */
export function boundedBudget(limit: Budget, wanted: Budget): Budget {
  for (const unit of ['usd', 'tokens'] as const) {
    const [most, asked] = [limit[unit], wanted[unit]];
    if (most !== undefined && asked !== undefined && asked > most)
      throw new FleetError('FORBIDDEN', `this token may not raise the budget: ${unit} is limited to ${most}`, {
        remedy: 'Ask for less, or use a token with the scope `admin`.',
        details: { errors: [{ path: `body.budget.${unit}`, message: `is limited to ${most} for this token` }] },
      });
  }
  return { ...limit, ...wanted };
}
