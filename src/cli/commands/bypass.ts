import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { bypassRate, rateLine, rateSettings } from '../../gates/bypass/bypass-rate.ts';
import { bypassStatus, checkApproval, checkRequest } from '../../gates/bypass/bypass-rules.ts';
import { NO_POLICY, type PolicySet, findPolicy, loadPolicySet } from '../../gates/load-policy.ts';
import { buildDefinitions } from '../../producer/definitions-builder.ts';
import { loadWorkflow } from '../../producer/workflow-file.ts';
import { type BlobStore, getJson } from '../../shared/blob-store.ts';
import {
  type Bypass,
  type BypassLog,
  type BypassScope,
  FileBypassLog,
  RedisBypassLog,
  newBypassId,
} from '../../shared/bypass-log.ts';
import { Definitions } from '../../shared/definitions.ts';
import { EXIT, FleetError, errorMessage } from '../../shared/errors.ts';
import { openBlobStore } from '../../shared/open-blob-store.ts';
import { PACKAGE_ROOT } from '../../shared/package-root.ts';
import { nearestHint } from '../../shared/yaml-file.ts';
import { audited } from '../audited.ts';
import { type PolicyFlags, loadPolicies, runSources } from '../policies.ts';
import { periodMs } from '../expires.ts';
import { type CommandContext, type Session, withSession } from '../session.ts';
import { parseRunId } from './run-id.ts';

interface LogFlags {
  /** A file of JSON lines instead of the fleet's log in Redis. */
  log?: string;
  json?: boolean;
}

interface OpenLog {
  log: BypassLog;
  blobs: BlobStore;
  /** Only with the log of a fleet. */
  session: Session | undefined;
}

/** The log in a file needs no Redis; the ADRs go to the blob store either way. */
function withLog<T>(context: CommandContext, flags: LogFlags, use: (open: OpenLog) => Promise<T>): Promise<T> {
  if (flags.log !== undefined) {
    const log = new FileBypassLog(resolve(context.cwd, flags.log));
    return use({ log, blobs: openBlobStore(context.config.blobs), session: undefined });
  }
  return withSession(context, { startRedis: false }, (session) =>
    use({ log: new RedisBypassLog(session.redis, session.config.prefix), blobs: session.blobs, session }),
  );
}

/** A log in a file is its own record; what is changed in the fleet's log also stands in the audit log. */
const changed = <T>(
  session: Session | undefined,
  action: string,
  target: Record<string, string>,
  make: () => Promise<T>,
): Promise<T> => (session === undefined ? make() : audited(session, `bypass.${action}`, target, make));

export interface RequestFlags extends LogFlags, PolicyFlags {
  by: string;
  reason: string;
  adr: string;
  expires: string;
  workflow?: string;
}

interface Target {
  scope: BypassScope;
  phase: string;
  gate: string;
  policySet: PolicySet;
  policy: string;
}

/** `maestro bypass request RUN PHASE GATE`, or PHASE GATE with `--workflow NAME` or `--log FILE`. */
export function bypassRequestCommand(
  context: CommandContext,
  where: readonly string[],
  flags: RequestFlags,
): Promise<number> {
  const now = new Date();
  const until = new Date(now.getTime() + periodMs(flags.expires)).toISOString();
  return withLog(context, flags, async ({ log, blobs, session }) => {
    const target = await findTarget(context, where, flags, session);
    const { policySet, policy, scope, phase, gate } = target;
    const { by, reason } = flags;
    const id = newBypassId();
    const of = scope.kind === 'run' ? { id: scope.run } : scope.kind === 'workflow' ? { workflow: scope.workflow } : {};
    const role = await changed(session, 'request', { ...of, bypass: id, phase, gate, by }, async () => {
      const at = now.toISOString();
      const wanted = checkRequest({ policySet, policy, gate, by, reason, until, now: at });
      const bytes = await readAdr(context, flags.adr);
      const adr = { file: flags.adr, sha256: await blobs.put(bytes), bytes: bytes.byteLength };
      await log.append({ type: 'requested', id, at, scope, phase, gate, by, reason, adr, role: wanted, until });
      return wanted;
    });
    if (flags.json === true) context.terminal.out(JSON.stringify({ id, role, until }, null, 2));
    else context.terminal.out(id);
    context.terminal.err(
      `the bypass of ${gate} in ${phase} waits for a ${role}: maestro bypass approve ${id} --by NAME --role ${role}`,
    );
    return EXIT.passed;
  });
}

async function readAdr(context: CommandContext, file: string): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await readFile(resolve(context.cwd, file));
  } catch (err) {
    throw new FleetError('BAD_INPUT', `--adr ${file} cannot be read: ${errorMessage(err)}`, {
      cause: err,
      remedy: 'Write the decision record first; a bypass always needs one.',
    });
  }
  if (bytes.toString('utf8').trim() !== '') return bytes;
  throw new FleetError('BAD_INPUT', `--adr ${file} is empty`, { remedy: 'Write down the decision and why.' });
}

async function findTarget(
  context: CommandContext,
  where: readonly string[],
  flags: RequestFlags,
  session: Session | undefined,
): Promise<Target> {
  const ofRun = flags.workflow === undefined && flags.log === undefined;
  if (where.length !== (ofRun ? 3 : 2) || (flags.workflow !== undefined && flags.log !== undefined))
    throw new FleetError('BAD_USAGE', 'it is not clear what to bypass', {
      remedy: 'Give RUN PHASE GATE, or PHASE GATE with --workflow NAME or with --log FILE.',
    });
  const [phase = '', gate = ''] = where.slice(-2);
  if (session === undefined) {
    const policySet = await loadPolicies(context, flags, context.cwd);
    return { scope: { kind: 'folder' }, phase, gate, policySet, policy: findPolicy(policySet, phase).policy };
  }
  if (flags.workflow !== undefined) {
    const loaded = await loadWorkflow(flags.workflow, { cwd: context.cwd, packageRoot: PACKAGE_ROOT });
    const sources = await runSources(context, flags);
    buildDefinitions(loaded, sources);
    const { policySet } = sources;
    const { name, phases } = loaded.workflow;
    const found = knownPhase(phase, Object.keys(phases), `workflow ${name}`);
    const { policy } = findPolicy(policySet, found, phases[found]?.policy);
    return { scope: { kind: 'workflow', workflow: name }, phase: found, gate, policySet, policy };
  }
  const runId = parseRunId(where[0] ?? '');
  const plan = await session.store.getPlan(runId);
  const { policies } = await getJson(session.blobs, plan.definitions, Definitions);
  const found = knownPhase(
    phase,
    plan.phases.map(({ name }) => name),
    `run ${runId}`,
  );
  const policy = plan.phases.find(({ name }) => name === found)?.policy ?? NO_POLICY;
  return { scope: { kind: 'run', run: runId }, phase: found, gate, policySet: loadPolicySet(policies), policy };
}

function knownPhase(phase: string, phases: readonly string[], of: string): string {
  if (phases.includes(phase)) return phase;
  throw new FleetError('NOT_FOUND', `${of} has no phase "${phase}"${nearestHint(phase, phases)}`, {
    remedy: `Use one of: ${phases.join(', ')}.`,
  });
}

async function findBypass(log: BypassLog, id: string): Promise<Bypass> {
  const found = (await log.read()).bypasses.find((bypass) => bypass.id === id);
  if (found) return found;
  throw new FleetError('NOT_FOUND', `there is no bypass ${id}`, { remedy: 'List them with `maestro bypass list`.' });
}

/** `maestro bypass approve ID --by NAME --role ROLE`. */
export function bypassApproveCommand(
  context: CommandContext,
  id: string,
  flags: LogFlags & { by: string; role: string },
): Promise<number> {
  return withLog(context, flags, async ({ log, session }) => {
    const { by, role } = flags;
    const bypass = await changed(session, 'approve', { bypass: id, by, role }, async () => {
      const at = new Date().toISOString();
      const found = await findBypass(log, id);
      checkApproval(found, { by, role }, at);
      await log.append({ type: 'approved', id, by, role, at });
      return found;
    });
    context.terminal.out(
      `${bypass.gate} in ${bypass.phase} is bypassed until ${bypass.until}, approved by ${by} (${role})`,
    );
    return EXIT.passed;
  });
}

/** `maestro bypass revoke ID --by NAME --reason TEXT`: from now on it does not count. */
export function bypassRevokeCommand(
  context: CommandContext,
  id: string,
  flags: LogFlags & { by: string; reason: string },
): Promise<number> {
  return withLog(context, flags, async ({ log, session }) => {
    const { by, reason } = flags;
    await changed(session, 'revoke', { bypass: id, by }, async () => {
      const { revocation } = await findBypass(log, id);
      if (revocation !== null) throw new FleetError('BAD_INPUT', `${id} was revoked by ${revocation.by} already`);
      if (by.trim() === '' || reason.trim() === '')
        throw new FleetError('BAD_INPUT', 'a revocation needs a name and a reason', {
          remedy: 'Give --by and --reason.',
        });
      await log.append({ type: 'revoked', id, by, reason, at: new Date().toISOString() });
    });
    context.terminal.out(`${id} no longer counts`);
    return EXIT.passed;
  });
}

const scopeWords = (scope: BypassScope): string => {
  if (scope.kind === 'run') return `run ${scope.run}`;
  return scope.kind === 'workflow' ? `every run of ${scope.workflow}` : 'folders judged with this log';
};

/** `maestro bypass list [RUN]`: who let what through, whether the log is whole, and whether it happens too often. */
export function bypassListCommand(
  context: CommandContext,
  run: string | undefined,
  flags: LogFlags & PolicyFlags,
): Promise<number> {
  const { terminal } = context;
  return withLog(context, flags, async ({ log, session }) => {
    const now = new Date().toISOString();
    const { bypasses, problems, entries } = await log.read();
    const policySet = await loadPolicies(context, flags, context.cwd);
    const workflow =
      run === undefined || session === undefined ? undefined : (await session.store.getPlan(parseRunId(run))).workflow;
    const shown = bypasses.filter(
      ({ scope }) =>
        run === undefined ||
        (scope.kind === 'run' && scope.run === run) ||
        (scope.kind === 'workflow' && scope.workflow === workflow),
    );
    const rate = session === undefined ? undefined : await bypassRate(session.store, rateSettings(policySet.file), now);
    // In a log that somebody touched nothing counts, whatever its entries say.
    const statusOf = (bypass: Bypass): string => (problems.length === 0 ? bypassStatus(bypass, now) : 'void');
    const listed = shown.map((bypass) => ({ ...bypass, status: statusOf(bypass) }));
    const exit = problems.length === 0 ? EXIT.passed : EXIT.verificationFailed;
    if (flags.json === true) {
      const chain = { whole: problems.length === 0, entries: entries.length, problems };
      terminal.out(JSON.stringify({ log: log.location, chain, bypasses: listed, rate: rate ?? null }, null, 2));
      return exit;
    }
    for (const bypass of listed) for (const line of describe(bypass)) terminal.out(line);
    if (listed.length === 0) terminal.err('no bypass was asked for');
    if (rate !== undefined) terminal.err(rate.isAlert ? terminal.colors.red(rateLine(rate)) : rateLine(rate));
    if (problems.length === 0) terminal.err(`the log ${log.location} is whole: ${entries.length} entries`);
    else
      terminal.err(terminal.colors.red(`THE LOG ${log.location} IS BROKEN, no bypass counts: ${problems.join('; ')}`));
    return exit;
  });
}

function describe(bypass: Bypass & { status: string }): string[] {
  const { approval, revocation } = bypass;
  return [
    `${bypass.id}  ${bypass.status.padEnd(8)} ${bypass.phase}/${bypass.gate}  until ${bypass.until}  ${scopeWords(bypass.scope)}`,
    `    asked by ${bypass.by}: ${bypass.reason} [${bypass.adr.file}, sha256 ${bypass.adr.sha256}]`,
    ...(approval === null ? [`    waits for a ${bypass.role}`] : [`    approved by ${approval.by} (${approval.role})`]),
    ...(revocation === null ? [] : [`    revoked by ${revocation.by}: ${revocation.reason}`]),
  ];
}
