import { getJson } from '../../shared/blob-store.ts';
import { EXIT, FleetError } from '../../shared/errors.ts';
import type { PhaseRecord } from '../../shared/run-record.ts';
import { nearestHint } from '../../shared/yaml-file.ts';
import { type CommandContext, withSession } from '../session.ts';
import { Transcript, transcriptLines } from '../transcript.ts';
import { parseRunId } from './run-id.ts';

/** `maestro logs RUN [PHASE]`: what was said and done in the conversations of the personas. */
export function logsCommand(
  context: CommandContext,
  id: string,
  phase: string | undefined,
  flags: { json?: boolean; full?: boolean },
): Promise<number> {
  const { terminal } = context;
  const runId = parseRunId(id);
  return withSession(context, { startRedis: false }, async ({ store, blobs }) => {
    const wanted = phasesNamed(await store.getPhases(runId), runId, phase);
    const talks = wanted.flatMap((record) =>
      Object.entries(record.transcripts).map(([name, ref]) => ({ phase: record.phase, name, ref })),
    );
    const read = [];
    for (const { ref, ...talk } of talks) read.push({ ...talk, ...(await getJson(blobs, ref, Transcript)) });
    if (flags.json === true) {
      terminal.out(JSON.stringify({ runId, transcripts: read }, null, 2));
      return EXIT.passed;
    }
    const { outColors: colors } = terminal;
    for (const talk of read) {
      const [persona = '', kind = '', round = '', attempt] = talk.name.split('.');
      const givenUp = attempt === undefined ? '' : `, attempt ${attempt.slice(1)}, which led nowhere`;
      terminal.out(colors.bold(`━━ ${talk.phase}: ${persona}, ${kind}, round ${round.replace('r', '')}${givenUp}`));
      terminal.out(`${transcriptLines(talk, { colors, isFull: flags.full === true }).join('\n')}\n`);
    }
    if (read.length === 0)
      terminal.err('no conversation has ended yet: a transcript is kept when a persona hands over its work');
    return EXIT.passed;
  });
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
