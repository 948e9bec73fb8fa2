import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { gatherCassette } from '../../producer/recorded-run.ts';
import { putJson } from '../../shared/blob-store.ts';
import { Cassette } from '../../shared/cassette.ts';
import { FleetError, errorMessage } from '../../shared/errors.ts';
import type { RunPlan } from '../../shared/run-record.ts';
import type { CommandContext, Session } from '../session.ts';
import { count } from '../text.ts';

/** The flags of `maestro run` that are about recordings. */
export interface CassetteFlags {
  record?: string;
  cassette?: string;
}

interface Played {
  cassette: NonNullable<RunPlan['cassette']>;
  inputs: RunPlan['inputs'];
  scripted: RunPlan['scripted'];
}

/** What `--provider replay --cassette FILE` plays; undefined for every other provider. */
export async function cassetteFor(
  { cwd }: CommandContext,
  { blobs }: Session,
  { provider, cassette: name, record }: CassetteFlags & { provider: string },
  workflow: string,
): Promise<Played | undefined> {
  if (provider !== 'replay') {
    if (name === undefined) return undefined;
    throw new FleetError('BAD_USAGE', '--cassette is for --provider replay', { remedy: 'Add `--provider replay`.' });
  }
  if (name === undefined)
    throw new FleetError('BAD_USAGE', '--provider replay needs --cassette FILE', {
      remedy: 'Record a run with `maestro run WORKFLOW --record FILE` first.',
    });
  if (record !== undefined)
    throw new FleetError('BAD_USAGE', 'a replay cannot be recorded', { remedy: 'Its recording is there already.' });
  const cassette = await readCassette(resolve(cwd, name));
  if (cassette.workflow !== workflow)
    throw new FleetError('BAD_INPUT', `${name} is the recording of ${cassette.workflow}, not of ${workflow}`);
  const ref = await putJson(blobs, cassette);
  const { provider: recordedWith, simulated, inputs, scripted } = cassette;
  return { cassette: { ref, provider: recordedWith, simulated }, inputs, scripted };
}

async function readCassette(file: string): Promise<Cassette> {
  try {
    return Cassette.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (err) {
    throw new FleetError('BAD_INPUT', `${file} is no recording that can be played: ${errorMessage(err)}`, {
      cause: err,
    });
  }
}

/** A run whose recording could not be written at its end would have been paid for in vain. */
export async function assertWritable(file: string, { detach }: { detach?: boolean }): Promise<void> {
  if (detach === true)
    throw new FleetError('BAD_USAGE', '--record and --detach: nobody would be there to write the recording', {
      remedy: 'Leave one of them away.',
    });
  const isFolder = await stat(dirname(file)).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) throw new FleetError('BAD_USAGE', `--record ${file}: its folder does not exist`);
}

/** Gathers what the workers have recorded of a run into one file, readable for its owner alone. */
export async function writeCassette(
  { terminal }: CommandContext,
  session: Session,
  plan: RunPlan,
  file: string,
): Promise<void> {
  const cassette = await gatherCassette({ ...session, prefix: session.config.prefix }, plan);
  const unfinished = `${file}.part`;
  try {
    await writeFile(unfinished, `${JSON.stringify(cassette, null, 1)}\n`, { mode: 0o600 });
    await rename(unfinished, file);
  } catch (err) {
    throw new FleetError('BAD_USAGE', `the recording cannot be written: ${errorMessage(err)}`, { cause: err });
  }
  terminal.err(
    `  recorded    ${count(cassette.recordings.length, 'call')} in ${file}; play them with --provider replay --cassette ${file}`,
  );
}
