import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readBundle, writeBundle } from '../../producer/verify/bundle-file.ts';
import { SEAL_MS, findSeal } from '../../producer/verify/find-seal.ts';
import { type Verification, verifyRun } from '../../producer/verify/verify-run.ts';
import { EXIT, FleetError } from '../../shared/errors.ts';
import type { Envelope } from '../../shared/evidence/dsse.ts';
import { readSeal } from '../../shared/evidence/seal-store.ts';
import { trustedKeys } from '../../shared/evidence/signing-key.ts';
import { RunId } from '../../shared/names.ts';
import { originMark } from '../../shared/run-record.ts';
import { inColumns } from '../columns.ts';
import { type CommandContext, type Session, withSession } from '../session.ts';
import type { Terminal } from '../terminal.ts';
import { oneLine } from '../text.ts';
import { parseRunId } from './run-id.ts';

interface VerifyFlags {
  json?: boolean;
  key: string[];
}

/** `maestro verify RUN|FILE`: checks the signed evidence of a run; ends with 6 when anything does not hold. */
export async function verifyCommand(context: CommandContext, what: string, flags: VerifyFlags): Promise<number> {
  const { config, cwd, terminal } = context;
  const trusted = await trustedKeys(
    config.signingKey,
    flags.key.map((file) => resolve(cwd, file)),
  );
  const verification =
    RunId.safeParse(what).success && !existsSync(resolve(cwd, what))
      ? await withSession(context, { startRedis: false }, async (session) => {
          const { blobs, store } = session;
          return verifyRun({ envelope: await sealOf(session, what), trusted, blobs, store });
        })
      : await verifyRun({ ...(await bundleAt(resolve(cwd, what))), trusted });
  if (flags.json === true) terminal.out(JSON.stringify(verification, null, 2));
  else showVerification(terminal, verification);
  return verification.verified ? EXIT.passed : EXIT.verificationFailed;
}

async function bundleAt(file: string): ReturnType<typeof readBundle> {
  if (existsSync(file)) return readBundle(file);
  throw new FleetError('NOT_FOUND', `${file} does not exist, and is no run id`, {
    remedy: 'Give a run id from `maestro runs`, or a file that `maestro evidence RUN` has written.',
  });
}

/** Verifies a run that has just ended, as soon as it is sealed, and says in one line what came of it. */
export async function verifySealed(
  { config, terminal }: CommandContext,
  session: Session,
  runId: RunId,
): Promise<boolean> {
  const { blobs, store } = session;
  const until = Date.now() + SEAL_MS;
  while ((await sealed(session, runId)) === undefined && Date.now() < until) await sleep(100);
  const trusted = await trustedKeys(config.signingKey, []);
  const { checks, verified } = await verifyRun({ envelope: await sealOf(session, runId), trusted, blobs, store });
  for (const { check, problems } of checks)
    for (const problem of problems)
      terminal.err(`evidence    ${terminal.colors.red('✘')} ${check}: ${oneLine(problem)}`);
  const looked = checks.map(({ examined, of }) => `${examined} ${of}`).join(', ');
  if (verified) terminal.err(`evidence    ${terminal.colors.green('✔')} signed and verified: ${looked}`);
  return verified;
}

const sealed = (session: Session, runId: RunId): Promise<Envelope | undefined> =>
  readSeal({ ...session, prefix: session.config.prefix }, runId);

const sealOf = (session: Session, id: string): Promise<Envelope> =>
  findSeal({ ...session, prefix: session.config.prefix }, parseRunId(id));

function showVerification(terminal: Terminal, { checks, ...of }: Verification): void {
  const { green, red, bold, dim } = terminal.outColors;
  const rows = checks.map(({ check, outcome, examined, of: what }) => [
    { text: outcome === 'held' ? '✔' : '✘', paint: outcome === 'held' ? green : red },
    { text: check },
    { text: String(examined) },
    { text: what, paint: dim },
  ]);
  terminal.out(`${bold(`run ${of.runId}`)}  ${of.workflow}, ${of.status}${originMark(of)}, sealed ${of.sealedAt}`);
  for (const line of inColumns(
    [{ title: '' }, { title: 'check' }, { title: 'looked at', align: 'right' }, { title: '' }],
    rows,
    dim,
  ))
    terminal.out(line);
  for (const { check, problems } of checks)
    for (const problem of problems) terminal.out(`${red('✘')} ${check}: ${oneLine(problem)}`);
  const mark = originMark(of);
  terminal.out(
    of.verified
      ? `${green('verified')}: what was sealed holds${mark === '' ? '' : `;${mark} says that no real model made it now`}`
      : red('not verified'),
  );
}

/** `maestro evidence RUN`: writes the evidence of a run as one file that `maestro verify` checks anywhere. */
export function evidenceCommand(
  context: CommandContext,
  id: string,
  flags: { out?: string; json?: boolean },
): Promise<number> {
  const { cwd, terminal } = context;
  return withSession(context, { startRedis: false }, async (session) => {
    const file = resolve(cwd, flags.out ?? join('.', `${id}.evidence.jsonl`));
    const envelope = await sealOf(session, id);
    if (existsSync(file))
      throw new FleetError('CONFLICT', `${file} exists already`, { remedy: 'Name another file with --out.' });
    const blobs = await writeBundle({ file, envelope, blobs: session.blobs });
    if (flags.json === true) terminal.out(JSON.stringify({ file, blobs }, null, 2));
    else
      terminal.out(
        `${file}: the signed statement and ${blobs} blobs; check it with \`maestro verify ${flags.out ?? file}\``,
      );
    return EXIT.passed;
  });
}
