import { Scope } from '../../producer/principal.ts';
import { type TokenRecord, TokenStore } from '../../producer/tokens.ts';
import { EXIT, FleetError } from '../../shared/errors.ts';
import { Name } from '../../shared/names.ts';
import { audited, operator } from '../audited.ts';
import { periodMs } from '../expires.ts';
import { type CommandContext, type Session, withSession } from '../session.ts';

interface JsonFlag {
  json?: boolean;
}
const attach = <T>(context: CommandContext, use: (session: Session, tokens: TokenStore) => Promise<T>): Promise<T> =>
  withSession(context, { startRedis: false }, (session) =>
    use(session, new TokenStore(session.redis, session.config.prefix)),
  );

function parseScopes(words: readonly string[]): Scope[] {
  if (words.length === 0)
    throw new FleetError('BAD_USAGE', 'a token needs a scope', {
      remedy: 'Give --scope read, run, approve:ROLE, approve:* or admin, once for each.',
    });
  return words.map((word) => {
    const parsed = Scope.safeParse(word);
    if (parsed.success) return parsed.data;
    throw new FleetError('BAD_USAGE', `"${word}" is not a scope`, {
      remedy: 'Use read, run, approve:ROLE, approve:* or admin.',
    });
  });
}

function parseName(text: string): string {
  const parsed = Name.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new FleetError('BAD_USAGE', `--name ${text}: ${parsed.error.issues[0]?.message}`);
}

/** `maestro token create`: prints the token, this once. */
export function tokenCreateCommand(
  context: CommandContext,
  flags: JsonFlag & { name: string; scope: string[]; expires: string; rate?: number },
): Promise<number> {
  const { terminal } = context;
  const name = parseName(flags.name);
  const scopes = [...new Set(parseScopes(flags.scope))];
  const expiresAt = flags.expires === 'never' ? null : new Date(Date.now() + periodMs(flags.expires)).toISOString();
  const rate = flags.rate === undefined ? {} : { ratePerMinute: flags.rate };
  return attach(context, async (session, tokens) => {
    const target = { token: name, scopes: scopes.join(' ') };
    const made = await audited(session, 'token.create', target, () =>
      tokens.create({ name, scopes, expiresAt, createdBy: operator(), ...rate }),
    );
    if (flags.json === true) terminal.out(JSON.stringify({ token: made.token, ...made.record }, null, 2));
    else {
      terminal.out(made.token);
      terminal.err(`${describe(made.record)}; it is shown this once, so keep it safe`);
    }
    return EXIT.passed;
  });
}

const day = (at: string): string => at.slice(0, 16).replace('T', ' ');
const describe = ({ name, scopes, expiresAt }: TokenRecord): string =>
  `token ${name} (${scopes.join(', ')}) ${expiresAt === null ? 'never expires' : `expires ${day(expiresAt)} UTC`}`;

/** `maestro token list`: names and scopes, never the tokens. */
export function tokenListCommand(context: CommandContext, flags: JsonFlag): Promise<number> {
  const { terminal } = context;
  return attach(context, async (_session, tokens) => {
    const list = await tokens.list();
    if (flags.json === true) terminal.out(JSON.stringify({ tokens: list }, null, 2));
    else if (list.length === 0)
      terminal.err('no tokens: servers on 127.0.0.1 ask for none, others do not start without MAESTRO_TOKEN');
    else
      for (const { id, name, status, scopes, expiresAt, lastUsedAt } of list)
        terminal.out(
          `${id}  ${name.padEnd(20)} ${status.padEnd(8)} ${scopes.join(',').padEnd(24)} ` +
            `expires ${expiresAt === null ? 'never           ' : day(expiresAt)}  used ${lastUsedAt === null ? 'never' : day(lastUsedAt)}`,
        );
    return EXIT.passed;
  });
}

/** `maestro token revoke NAME`: every server refuses it from now on. */
export function tokenRevokeCommand(context: CommandContext, name: string, flags: JsonFlag): Promise<number> {
  return attach(context, async (session, tokens) => {
    const record = await audited(session, 'token.revoke', { token: name }, () => tokens.revoke(name));
    const said = `token ${name} (${record.id}) is revoked`;
    context.terminal.out(flags.json === true ? JSON.stringify(record, null, 2) : said);
    return EXIT.passed;
  });
}

/** `maestro token reset --yes`: forgets every token. */
export function tokenResetCommand(context: CommandContext, flags: JsonFlag & { yes?: boolean }): Promise<number> {
  if (flags.yes !== true)
    throw new FleetError('BAD_USAGE', 'this forgets every token, and servers on 127.0.0.1 then ask for none', {
      remedy: 'Say --yes to do it.',
    });
  return attach(context, async (session, tokens) => {
    const forgotten = await audited(session, 'token.reset', {}, () => tokens.reset());
    context.terminal.out(flags.json === true ? JSON.stringify({ forgotten }) : `${forgotten} tokens are forgotten`);
    return EXIT.passed;
  });
}
