import { setTimeout as sleep } from 'node:timers/promises';
import { watchRun } from '../../producer/watch.ts';
import { getJson } from '../../shared/blob-store.ts';
import { EXIT, FleetError, errorMessage } from '../../shared/errors.ts';
import { readLiveCommands } from '../../shared/live-commands.ts';
import type { RunId } from '../../shared/names.ts';
import { type BlobRef, type PhaseRecord, type RoundRecord, TERMINAL_RUN } from '../../shared/run-record.ts';
import { RoundEvidence } from '../../shared/round-evidence.ts';
import { readSavedTalks } from '../../shared/saved-talks.ts';
import { wholeTalk } from '../../shared/whole-talk.ts';
import { nearestHint } from '../../shared/yaml-file.ts';
import { type CommandContext, type Session, withSession } from '../session.ts';
import { LiveLines } from '../transcript/live-lines.ts';
import type { Page } from '../transcript/markdown.ts';
import { headLines, openLines, taskLines, turnLines } from '../transcript/render.ts';
import { roundLines } from '../transcript/round-lines.ts';
import { Transcript, type Turn, readTalk } from '../transcript/talk.ts';
import { REPLAYED, SIMULATED } from './run.ts';
import { parseRunId } from './run-id.ts';

export interface LogsFlags {
  json?: boolean;
  full?: boolean;
  follow?: boolean;
  turn?: number;
}

/** Wider lines of prose are hard to read. */
const MOST_COLUMNS = 110;
/** How often it is looked what commands print. */
const LOOK_MS = 500;

/** `maestro logs RUN [PHASE]`: what was said and done in the conversations of the personas. */
export function logsCommand(
  context: CommandContext,
  id: string,
  phase: string | undefined,
  flags: LogsFlags,
): Promise<number> {
  const { terminal } = context;
  const runId = parseRunId(id);
  if (flags.follow === true && (flags.json === true || flags.turn !== undefined))
    throw new FleetError('BAD_USAGE', '--follow prints turns as they end: it goes with neither --json nor --turn');
  return withSession(context, { startRedis: false }, async (session) => {
    const entries = await entriesOf(session, runId, phase);
    const talks = entries.filter((entry) => 'ref' in entry);
    if (flags.json === true) {
      const transcripts = [];
      for (const { ref, isOpen, ...talk } of talks)
        transcripts.push({ ...talk, underWay: isOpen, ...(await getJson(session.blobs, ref, Transcript)) });
      terminal.out(JSON.stringify({ runId, transcripts }, null, 2));
      return EXIT.passed;
    }
    const run = await session.store.getRun(runId);
    if (run.replayed === true) terminal.err(REPLAYED);
    if (run.simulated) terminal.err(SIMULATED);
    const view = new LogView(context, session, flags);
    for (const entry of entries) await view.show(entry);
    if (flags.turn === undefined) await view.showLive(runId, phase);
    if (flags.follow === true) await follow(context, session, { runId, phase, view });
    else if (talks.length === 0) terminal.err('no conversation has begun yet; --follow waits for it');
    if (flags.turn !== undefined && view.shown === 0 && talks.length > 0)
      throw new FleetError('NOT_FOUND', `no conversation of these has a turn ${flags.turn}`);
    return EXIT.passed;
  });
}

/** A conversation that has ended, or that was saved while it goes on. */
interface NamedTalk {
  phase: string;
  name: string;
  ref: BlobRef;
  isOpen: boolean;
}

/** What the gates said of a round. */
interface NamedRound {
  phase: string;
  round: RoundRecord;
}

async function entriesOf(
  { store, redis, config }: Session,
  runId: RunId,
  phase: string | undefined,
): Promise<(NamedTalk | NamedRound)[]> {
  const wanted = phasesNamed(await store.getPhases(runId), runId, phase);
  const saved = await readSavedTalks(redis, config.prefix, runId);
  return wanted.flatMap((record) => {
    const ended = Object.entries(record.transcripts);
    const open = saved.filter((talk) => talk.phase === record.phase && !(talk.name in record.transcripts));
    return betweenRounds(record, [
      ...ended.map(([name, ref]) => ({ phase: record.phase, name, ref, isOpen: false })),
      ...open.map(({ name, checkpoint }) => ({ phase: record.phase, name, ref: checkpoint, isOpen: true })),
    ]);
  });
}

/** The conversations of a phase, and after those of each round what its gates said. */
function betweenRounds({ phase, rounds }: PhaseRecord, talks: readonly NamedTalk[]): (NamedTalk | NamedRound)[] {
  const left = rounds.toSorted((a, b) => a.round - b.round).map((round) => ({ phase, round }));
  const entries = talks.flatMap((talk) => {
    const before = left.filter(({ round }) => round.round < roundOf(talk));
    left.splice(0, before.length);
    return [...before, talk];
  });
  return [...entries, ...left];
}

const roundOf = ({ name }: NamedTalk): number => Number(name.split('.')[2]?.replace('r', '') ?? 0);

/** Prints conversations, each turn once. */
class LogView {
  shown = 0;
  readonly #context: CommandContext;
  readonly #session: Session;
  readonly #flags: LogsFlags;
  readonly #printed = new Map<string, number>();
  readonly #live = new LiveLines();
  #last = '';

  constructor(context: CommandContext, session: Session, flags: LogsFlags) {
    this.#context = context;
    this.#session = session;
    this.#flags = flags;
  }

  #page(): Page {
    const { terminal } = this.#context;
    return {
      colors: terminal.outColors,
      columns: Math.min(terminal.outColumns() ?? MOST_COLUMNS, MOST_COLUMNS),
      isFull: this.#flags.full === true,
    };
  }

  /** What commands under way have printed since the last time. */
  async showLive(runId: RunId, phase: string | undefined): Promise<void> {
    const { redis, config } = this.#session;
    const commands = await readLiveCommands(redis, config.prefix, runId);
    const wanted = commands.filter((command) => phase === undefined || command.phase === phase);
    const lines = this.#live.next(wanted, this.#page());
    if (lines.length > 0) this.#context.terminal.out(lines.join('\n'));
  }

  async show(of: NamedTalk | NamedRound): Promise<void> {
    return 'ref' in of ? this.#showTalk(of) : this.#showRound(of);
  }

  async #showRound({ phase, round }: NamedRound): Promise<void> {
    const key = `${phase}/gates.r${round.round}`;
    if (this.#flags.turn !== undefined || this.#printed.has(key)) return;
    const { findings } = await getJson(this.#session.blobs, round.evidence, RoundEvidence);
    this.#context.terminal.out(`${roundLines(phase, round, findings, this.#page()).join('\n')}\n`);
    this.#last = key;
    this.#printed.set(key, 0);
  }

  async #showTalk(of: NamedTalk): Promise<void> {
    const { terminal } = this.#context;
    const page = this.#page();
    const key = `${of.phase}/${of.name}`;
    const { blobs } = this.#session;
    const talk = readTalk(await wholeTalk(blobs, await getJson(blobs, of.ref, Transcript)));
    const before = this.#printed.get(key);
    const { turn, follow: isFollowed = false } = this.#flags;
    // Whoever follows is given each turn once, with what came of it.
    const told = isFollowed && of.isOpen ? talk.turns.filter((one) => !isUnderWay(one)) : talk.turns;
    const fresh = told.filter(({ number }) => (turn === undefined ? number > (before ?? 0) : number === turn));
    if (before !== undefined && fresh.length === 0) return;
    if (turn !== undefined && fresh.length === 0) return;
    const lines: string[] = [];
    if (before === undefined || this.#last !== key) lines.push(...headLines(titleOf(of), talk, page));
    if (before === undefined && turn === undefined) lines.push(...taskLines(talk, page));
    lines.push(...fresh.flatMap((one) => turnLines(one, page)));
    if (turn === undefined) lines.push(...openLines(talk, page));
    terminal.out(`${lines.join('\n')}\n`);
    this.shown += fresh.length;
    this.#last = key;
    this.#printed.set(key, told.at(-1)?.number ?? 0);
  }
}

/** Whether tools of a turn still run; a question that waits for a person is no such thing. */
const isUnderWay = ({ items }: Turn): boolean =>
  items.some((item) => item.kind === 'tool' && item.result === undefined && item.name !== 'ask_human');

function titleOf(talk: NamedTalk): string {
  const { phase, name, isOpen } = talk;
  const [persona = '', kind = '', , attempt] = name.split('.');
  const nth = roundOf(talk);
  const after = nth === 0 ? '' : `, rework ${nth}`;
  const givenUp = attempt === undefined ? '' : `, attempt ${attempt.slice(1)}, which led nowhere`;
  return `${phase}: ${persona}, ${kind}${after}${givenUp}${isOpen ? ', under way' : ''}`;
}

/** What there is something to print after, beside what personas do. */
const TOLD: readonly string[] = ['gate.verdict', 'run.finished'];

/** Prints every turn as it ends, and what commands print while they run, until the run has ended. */
async function follow(
  { signal, terminal }: CommandContext,
  session: Session,
  { runId, phase, view }: { runId: RunId; phase: string | undefined; view: LogView },
): Promise<void> {
  const { redisUrl, store, config } = session;
  const isOver = AbortSignal.any([signal, terminal.outClosed]);
  const fromSeq = (await store.readEvents(runId, 0)).at(-1)?.seq ?? 0;
  // What was said between the first look and this one.
  for (const entry of await entriesOf(session, runId, phase)) await view.show(entry);
  if (TERMINAL_RUN.includes((await store.getRun(runId)).status)) return;
  const watched = { redisUrl, prefix: config.prefix, store, runId, fromSeq, signal: isOver };
  const ended = new AbortController();
  const looking = followCommands(view, { runId, phase }, AbortSignal.any([isOver, ended.signal])).catch(
    (err: unknown) => terminal.err(`what commands print while they run is not shown: ${errorMessage(err)}`),
  );
  try {
    for await (const event of watchRun(watched)) {
      const isOther = phase !== undefined && 'phase' in event && event.phase !== phase;
      if (isOther || !(event.type.startsWith('persona.') || TOLD.includes(event.type))) continue;
      for (const entry of await entriesOf(session, runId, phase)) await view.show(entry);
    }
  } finally {
    ended.abort();
    await looking;
  }
}

async function followCommands(
  view: LogView,
  { runId, phase }: { runId: RunId; phase: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await view.showLive(runId, phase);
    // Rejects only when the run is no longer followed.
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}

function phasesNamed(records: PhaseRecord[], runId: string, phase: string | undefined): PhaseRecord[] {
  if (phase === undefined) return records;
  const found = records.filter((record) => record.phase === phase);
  if (found.length > 0) return found;
  const names = records.map((record) => record.phase);
  throw new FleetError('NOT_FOUND', `run ${runId} has no phase "${phase}"${nearestHint(phase, names)}`, {
    remedy: `Its phases are ${names.join(', ')}.`,
  });
}
