import type { Request, RequestHandler, Response } from 'express';
import { errorMessage } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { AuditEntry, AuditLog } from './audit.ts';
import { type Need, mayDo, principalOf } from './principal.ts';
import { requestIdOf } from './request-id.ts';

const MOST_CHARACTERS = 200;
const details = new WeakMap<Request, Record<string, string>>();

/** Adds to what the log says of this request, such as the run that it started. Never secrets or contents. */
export const noteDetails = (req: Request, more: Record<string, string>): void => {
  details.set(req, { ...details.get(req), ...more });
};

/** Writes a change into the audit log before it is made, and how it ended once it was answered. */
export const auditRequest =
  (audit: AuditLog, logger: Logger, of: { id: string; scope: Need }): RequestHandler =>
  async (req, res, next) => {
    const principal = principalOf(req);
    noteDetails(req, parametersOf(req));
    const change = () => ({
      who: principal.name,
      tokenId: principal.tokenId ?? null,
      from: req.ip ?? '',
      action: of.id,
      target: details.get(req) ?? {},
      requestId: requestIdOf(req),
    });
    const asking = mayDo(principal, of.scope) ? audit.asked(change()) : Promise.resolve(undefined);
    // Whoever asked may be gone before it is written down.
    res.once('close', () => {
      const answered = { ...change(), ...outcomeOf(res) };
      asking
        .then((id) => audit.answered(id, answered))
        .catch((err: unknown) => {
          logger.error({ requestId: requestIdOf(req), reason: errorMessage(err) }, 'outcome missing in audit log');
        });
    });
    await asking;
    next();
  };

function parametersOf(req: Request): Record<string, string> {
  const parameters = Object.entries<unknown>(req.params);
  return Object.fromEntries(parameters.map(([name, value]) => [name, String(value).slice(0, MOST_CHARACTERS)]));
}

function outcomeOf(res: Response): Pick<AuditEntry, 'outcome' | 'status'> {
  // Whoever went away before the answer may have changed something all the same.
  if (!res.headersSent) return { outcome: 'unknown', status: null };
  const { statusCode: status } = res;
  return { outcome: status < 400 ? 'done' : status < 500 ? 'refused' : 'failed', status };
}
