import { type AuditEntry, AuditLog } from '../../producer/audit.ts';
import { EXIT } from '../../shared/errors.ts';
import { type CommandContext, withSession } from '../session.ts';
import { oneLine } from '../text.ts';

interface AuditFlags {
  limit: number;
  run?: string;
  who?: string;
  json?: boolean;
}

/** `maestro audit`: what was changed, newest first. */
export function auditCommand(context: CommandContext, flags: AuditFlags): Promise<number> {
  const { terminal } = context;
  return withSession(context, { startRedis: false }, async ({ redis, config }) => {
    const audit = new AuditLog(redis, config.prefix);
    const { limit, run, who } = flags;
    const entries: AuditEntry[] = [];
    for (let before: string | undefined; entries.length < limit;) {
      const page = await audit.read({ limit: limit - entries.length, before, run, who });
      entries.push(...page.entries);
      if (page.next === null) break;
      before = page.next;
    }
    if (flags.json === true) terminal.out(JSON.stringify({ entries }, null, 2));
    else if (entries.length === 0) terminal.err('nothing was changed yet');
    else for (const entry of entries) terminal.out(lineOf(entry));
    return EXIT.passed;
  });
}

/** What a caller wrote is shown, never obeyed. */
function lineOf({ at, who, from, action, target, outcome, status }: AuditEntry): string {
  const parts = Object.entries(target).map(([name, value]) => `${name}=${value}`);
  const ended = status === null ? outcome : `${outcome} (${status})`;
  return oneLine(
    `${at.slice(0, 19).replace('T', ' ')}  ${who.padEnd(14)} ${action.padEnd(16)} ${ended.padEnd(14)} ${parts.join(' ')}  from ${from}`,
  );
}
