import { z } from 'zod';
import { type JobRecord, checkClaims, claimsCheck } from '../gates/claims/claims.ts';
import { getJson } from '../shared/blob-store.ts';
import { Handoff } from '../shared/handoff.ts';
import type { PersonaResult } from '../shared/jobs.ts';
import type { Claim, IntegrityCheck } from '../shared/round-evidence.ts';
import type { Measurement } from '../shared/verdict.ts';
import { TalkCompactions, TalkMessage, wholeTalk } from '../shared/whole-talk.ts';
import type { WorkerContext } from './worker-context.ts';

const ToolUse = z.object({ type: z.literal('tool_use'), id: z.string(), name: z.string(), input: z.unknown() });
const ToolResult = z.object({ type: z.literal('tool_result'), tool_use_id: z.string(), content: z.unknown() });
const Transcript = z.looseObject({ messages: z.array(TalkMessage), compactions: TalkCompactions });
const Command = z.object({ command: z.string() });
/** Tools by which a conversation ends; they do nothing. */
const FINAL = 'hand_off';

export interface Claimed {
  claims: Claim[];
  checks: IntegrityCheck[];
}
export const NO_CLAIMS: Claimed = { claims: [], checks: [] };

const isIdle = (result: PersonaResult): boolean => result.findings.some(({ rule }) => rule === 'handoff/empty-diff');

/** Puts what each persona of the round said beside what it did and what was measured. */
export async function claimsOf(
  ctx: Pick<WorkerContext, 'blobs'>,
  results: readonly PersonaResult[],
  measurements: readonly Measurement[],
): Promise<Claimed> {
  const claims: Claim[] = [];
  // Of several personas, those whose work was right may leave a rework round as it is.
  const mayBeIdle = !results.every(isIdle);
  for (const result of results) {
    const handoff = await getJson(ctx.blobs, result.handoff, Handoff);
    // What was summed up was done all the same.
    const transcript = await wholeTalk(ctx.blobs, await getJson(ctx.blobs, result.transcript, Transcript));
    const { persona, findings } = result;
    const job = { ...recordOf(transcript), persona, handoff, findings, isIdle: isIdle(result), mayBeIdle };
    claims.push(...checkClaims(job, measurements));
  }
  return { claims, checks: [claimsCheck(claims)] };
}

/** What a persona did, from the transcript that the fleet kept. */
function recordOf(transcript: z.infer<typeof Transcript>): Pick<JobRecord, 'toolCalls' | 'commands'> {
  const blocks = transcript.messages.flatMap(({ content }): unknown[] => (Array.isArray(content) ? content : []));
  const uses = blocks.flatMap((block) => {
    const use = ToolUse.safeParse(block);
    return use.success && use.data.name !== FINAL ? [use.data] : [];
  });
  const results = new Map(
    blocks.flatMap((block): [string, string][] => {
      const result = ToolResult.safeParse(block);
      return result.success ? [[result.data.tool_use_id, JSON.stringify(result.data.content)]] : [];
    }),
  );
  return {
    toolCalls: uses.length,
    commands: uses.flatMap(({ id, name, input }) => {
      const text = name === 'run_gates' ? name : Command.safeParse(input).data?.command;
      if (text === undefined || (name !== 'shell' && name !== 'run_gates')) return [];
      const said = results.get(id) ?? '';
      // Where it stands at the beginning: further on are the words of the command itself.
      const code = /^"exit code (\d+) after/.exec(said)?.[1];
      return [{ command: text, exitCode: name === 'run_gates' ? 0 : code === undefined ? null : Number(code) }];
    }),
  };
}
