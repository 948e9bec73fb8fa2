import { z } from 'zod';
import { type BlobStore, getJson } from './blob-store.ts';
import { BlobRef } from './run-record.ts';

/** A message of a conversation, for reading. */
export const TalkMessage = z.looseObject({
  role: z.enum(['user', 'assistant']),
  content: z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]),
});
type TalkMessage = z.infer<typeof TalkMessage>;

/** The times it was summed up: how many turns went into the note, and where they are kept. */
export const TalkCompactions = z
  .array(
    z.looseObject({
      turn: z.number(),
      replaced: z.number(),
      fromTokens: z.number(),
      toTokens: z.number(),
      conversation: BlobRef.nullable().optional(),
    }),
  )
  .default([]);

const Kept = z.looseObject({ messages: z.array(TalkMessage) });

/** The messages up to the end of so many turns. */
function untilTurn(messages: TalkMessage[], turns: number): TalkMessage[] {
  let seen = 0;
  const end = messages.findIndex(({ role }) => role === 'assistant' && (seen += 1) > turns);
  return end === -1 ? messages : messages.slice(0, end);
}

/** A first message as it stands after a conversation was summed up: the task is known, the note is not. */
function noteOf(first: TalkMessage | undefined): TalkMessage[] {
  if (first === undefined || typeof first.content === 'string' || first.content.length < 2) return [];
  return [{ ...first, content: first.content.slice(1) }];
}

/**
 * A conversation with all its turns: those that were summed up stand as they were kept, and the note of the model
 * behind them.
 */
export async function wholeTalk<T extends { messages: TalkMessage[]; compactions: z.infer<typeof TalkCompactions> }>(
  blobs: BlobStore,
  talk: T,
): Promise<T> {
  const parts: TalkMessage[] = [];
  for (const { conversation, replaced } of talk.compactions) {
    if (conversation === null || conversation === undefined) return talk;
    const { messages } = await getJson(blobs, conversation, Kept);
    const part = untilTurn(messages, replaced);
    parts.push(...(parts.length === 0 ? part : [...noteOf(part[0]), ...part.slice(1)]));
  }
  if (parts.length === 0) return talk;
  return { ...talk, messages: [...parts, ...noteOf(talk.messages[0]), ...talk.messages.slice(1)] };
}
