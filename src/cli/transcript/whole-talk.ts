import { z } from 'zod';
import { type BlobStore, getJson } from '../../shared/blob-store.ts';
import { Transcript } from './talk.ts';

type Messages = Transcript['messages'];
const Kept = z.looseObject({ messages: Transcript.shape.messages });

/** The messages up to the end of so many turns. */
function untilTurn(messages: Messages, turns: number): Messages {
  let seen = 0;
  const end = messages.findIndex(({ role }) => role === 'assistant' && (seen += 1) > turns);
  return end === -1 ? messages : messages.slice(0, end);
}

/** A first message as it stands after a conversation was summed up: the task is known, the note is not. */
function noteOf(first: Messages[number] | undefined): Messages {
  if (first === undefined || typeof first.content === 'string' || first.content.length < 2) return [];
  return [{ ...first, content: first.content.slice(1) }];
}

/**
 * The conversation with all its turns: those that were summed up stand where they were kept, and the note of the model
 * behind them.
 */
export async function wholeTalk(blobs: BlobStore, talk: Transcript): Promise<Transcript> {
  const parts: Messages = [];
  for (const { conversation, replaced } of talk.compactions) {
    if (conversation === null || conversation === undefined) return talk;
    const { messages } = await getJson(blobs, conversation, Kept);
    const part = untilTurn(messages, replaced);
    parts.push(...(parts.length === 0 ? part : [...noteOf(part[0]), ...part.slice(1)]));
  }
  if (parts.length === 0) return talk;
  return { ...talk, messages: [...parts, ...noteOf(talk.messages[0]), ...talk.messages.slice(1)] };
}
