import type Anthropic from '@anthropic-ai/sdk';
import type { AgentCheckpoint } from './checkpoint.ts';

const MOVED =
  'Your work goes on in a new folder, with the files that git keeps. What it ignores is gone: installed packages, build ' +
  'output, caches. Make it again when you need it.';
const BEHIND =
  ' The workspace held more than can be kept, so the files are as they were before that. Look at them before you go on.';
const SERVERS = ' MCP servers were started anew and remember nothing.';

/** Says what a conversation cannot know: each attempt has a folder of its own. A turn that ran nothing left nothing. */
export function sayNewFolder(state: AgentCheckpoint, tools: readonly Anthropic.Tool[]): void {
  if (state.toolCalls === 0 && (state.progress?.results ?? []).length === 0) return;
  // A reviewer has files, and none of its own.
  const hasFiles = (state.workspace ?? null) !== null || state.behind === true;
  if (state.final !== null || !hasFiles) return;
  const hasServers = tools.some(({ name }) => name.startsWith('mcp__'));
  const line = `${MOVED}${state.behind === true ? BEHIND : ''}${hasServers ? SERVERS : ''}`;
  delete state.behind;
  const last = state.messages.at(-1);
  // What was sent stays as it is, so that the provider's cache of it holds: the line stands after all the rest.
  if (state.stage === 'answered' || last?.role !== 'user' || typeof last.content === 'string') {
    if (!state.toSay.includes(line)) state.toSay.push(line);
  } else if (!last.content.some((block) => block.type === 'text' && block.text === line))
    last.content.push({ type: 'text', text: line });
}

/** Whether a text is that line, which another run of the same work may not have. */
export const isOfNewFolder = (text: string): boolean => text.startsWith(MOVED);
