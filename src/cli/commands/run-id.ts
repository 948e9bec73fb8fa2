import { FleetError } from '../../shared/errors.ts';
import { RunId } from '../../shared/names.ts';

export function parseRunId(text: string): RunId {
  const parsed = RunId.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new FleetError('BAD_USAGE', `"${text}" is not a run id`, {
    remedy: 'A run id has 26 letters and digits; list them with `maestro runs`.',
  });
}
