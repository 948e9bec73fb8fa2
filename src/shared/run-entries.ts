import { z } from 'zod';
import { FleetError } from './errors.ts';
import type { RunId } from './names.ts';
import { Question } from './question.ts';
import { NO_USAGE, type PhaseRecord, RunEvent, type RunRecord, type RunStatus } from './run-record.ts';

/** How a run stands, without its phases. */
export interface RunStanding {
  status: RunStatus;
  generation: number;
  budget: RunRecord['budget'];
}

export const seqOf = (entryId: string): number => Number(entryId.split('-')[0]);

export const parseEvent = (runId: RunId, entryId: string, body: string): RunEvent =>
  RunEvent.parse({ ...z.looseObject({}).parse(JSON.parse(body)), runId, seq: seqOf(entryId) });

export const noSuchRun = (runId: string): FleetError =>
  new FleetError('NOT_FOUND', `there is no run ${runId}`, { remedy: 'List the runs with `maestro runs`.' });

export const newPhase = (phase: string, simulated: boolean): PhaseRecord => ({
  phase,
  status: 'waiting',
  reason: '',
  round: 0,
  firstRound: 0,
  faults: 0,
  rounds: [],
  commit: null,
  bundle: null,
  handoffs: {},
  transcripts: {},
  usage: NO_USAGE,
  simulated,
  startedAt: null,
  finishedAt: null,
});

export const parseQuestion = (text: string): Question => Question.parse(JSON.parse(text));
