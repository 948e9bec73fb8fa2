import { FleetError } from '../../shared/errors.ts';

/** The end of a conversation that leads nowhere. */
export const stuck = (message: string, details: Record<string, unknown> = {}): FleetError =>
  new FleetError('AGENT_STUCK', message, {
    remedy: 'Look at the transcript: the task may need another prompt, tool or model.',
    details,
  });
