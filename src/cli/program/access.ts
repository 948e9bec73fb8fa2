import type { Command } from 'commander';
import { auditCommand } from '../commands/audit.ts';
import { tokenCreateCommand, tokenListCommand, tokenResetCommand, tokenRevokeCommand } from '../commands/token.ts';
import { type MakeContext, type SetExit, collect, json, wholeNumber } from './options.ts';

/** Who may use the HTTP API, and what was changed by whom. */
export function addAccess(program: Command, context: MakeContext, set: SetExit): void {
  const token = program.command('token').description('who may use the HTTP API, and for what');
  json(token.command('create'))
    .description('make a token; it is shown this once')
    .requiredOption('--name <NAME>', 'what it is called, in the audit log too')
    .option('--scope <SCOPE>', 'read, run, approve:ROLE, approve:* or admin; repeatable', collect, [])
    .option('--expires <TIME>', 'how long it holds, such as 30d or 12h; `never` for good', '90d')
    .option('--rate <N>', 'requests a minute (default: what MAESTRO_RATE_LIMIT says)', wholeNumber(1, 10_000_000))
    .action((flags) => set(tokenCreateCommand(context(), flags)));
  json(token.command('list'))
    .description('all tokens, expired and revoked ones too')
    .action((flags) => set(tokenListCommand(context(), flags)));
  json(token.command('revoke <NAME>'))
    .description('end a token now, on every server')
    .action((name: string, flags) => set(tokenRevokeCommand(context(), name, flags)));
  json(token.command('reset'))
    .description('forget every token: servers on 127.0.0.1 then ask for none')
    .option('--yes', 'do it')
    .action((flags) => set(tokenResetCommand(context(), flags)));
  json(program.command('audit').description('what was changed, by whom and how it ended, newest first'))
    .option('--limit <N>', 'how many', wholeNumber(1, 10_000), 50)
    .option('--run <RUN>', 'only changes of this run')
    .option('--who <NAME>', 'only by this token')
    .action((flags) => set(auditCommand(context(), flags)));
}
