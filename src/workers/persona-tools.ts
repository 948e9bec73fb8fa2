import { egressOf } from '../shared/network/allow-list.ts';
import type { Persona } from '../shared/persona-schema.ts';
import { openMcpServers } from './agent/mcp/open-servers.ts';
import type { ToolContext } from './agent/tool.ts';
import { type ToolBox, createToolBox } from './agent/tools.ts';
import type { WorkTree } from './agent/work-tree.ts';
import type { WorkerContext } from './worker-context.ts';

type Talk = Pick<ToolContext, 'root' | 'runGates' | 'askPerson' | 'live' | 'signal'> & {
  tools: Persona['tools'];
  tree?: WorkTree;
};

/**
 * The tools of one conversation, with the servers that some of them come from, which end with it. Throws when the
 * persona is promised what this worker does not allow or cannot start. A review has neither network nor servers.
 */
export async function openPersonaTools(
  { config, sandbox, logger }: Pick<WorkerContext, 'config' | 'sandbox' | 'logger'>,
  persona: Persona,
  { tools, ...talk }: Talk & { kind: 'work' | 'review' },
): Promise<{ tools: ToolBox; close(): Promise<void> }> {
  const { kind, ...context } = { ...talk, sandbox, logger };
  if (kind === 'review') return { tools: createToolBox({ ...context, tools }), close: () => Promise.resolve() };
  const egress = egressOf(persona.network ?? [], config.networkAllow, `the persona "${persona.name}"`);
  const servers = await openMcpServers({
    ...context,
    persona,
    egress,
    networkAllow: config.networkAllow,
    folder: config.mcpFolder,
  });
  return { tools: createToolBox({ ...context, egress, tools, more: servers.tools }), close: () => servers.close() };
}
