import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { ListToolsResultSchema, type Tool } from '@modelcontextprotocol/sdk/types.js';
import { FleetError, errorMessage } from '../../../shared/errors.ts';
import type { Logger } from '../../../shared/logger.ts';
import { type Egress, HostPort, egressOf, joinHostPort } from '../../../shared/network/allow-list.ts';
import { allowedFetch, placeOf } from '../../../shared/network/allowed-fetch.ts';
import type { McpServer, Persona } from '../../../shared/persona-schema.ts';
import type { Sandbox } from '../../../shared/sandbox/sandbox.ts';
import { durationMs } from '../../../shared/workflow-schema.ts';
import type { AgentTool } from '../tool.ts';
import { workspaceMounts } from '../workspace-mounts.ts';
import { mcpTool } from './mcp-tool.ts';
import { SandboxTransport } from './sandbox-transport.ts';

const MAX_PAGES = 20;
/** A server that ends is started anew so often in a conversation: one that ends again would end the next time as well. */
const MAX_RESTARTS = 1;
const MAX_ANSWER_BYTES = 8 * 1024 ** 2;

export interface McpOptions {
  persona: Pick<Persona, 'name' | 'mcp'>;
  root: string;
  sandbox: Sandbox;
  /** What commands of the persona may reach; its servers in the sandbox reach the same. */
  egress: Egress | undefined;
  /** Places that the operator allows. */
  networkAllow: readonly HostPort[];
  /** A folder of servers that the operator offers, seen inside as /opt/mcp. */
  folder: string | undefined;
  signal: AbortSignal;
  logger: Logger;
}

export interface McpServers {
  tools: readonly AgentTool[];
  close(): Promise<void>;
}

/**
 * Starts every MCP server of a persona, and gives the tools that its file names. One that cannot be had, or lacks a
 * tool, is an error of the whole job: a persona never works without what it was promised.
 */
export async function openMcpServers(options: McpOptions): Promise<McpServers> {
  const open: Client[] = [];
  const close = async (): Promise<void> => {
    await Promise.allSettled(open.map((client) => client.close()));
  };
  try {
    const tools: AgentTool[] = [];
    // By name, so that the conversation is the same wherever it is gone on with.
    for (const [name, server] of Object.entries(options.persona.mcp ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      tools.push(...(await openServer(options, name, server, open)));
    return { tools, close };
  } catch (err) {
    await close();
    throw err;
  }
}

type Running = Pick<RunningServer, 'client' | 'gone'>;
interface RunningServer {
  client: Client;
  /** Why it is gone; empty while it is there. */
  gone: () => string;
  /** Every tool that it offers. */
  listed: Tool[];
}

/** Starts a server, or connects to it. */
async function startServer(
  options: McpOptions,
  name: string,
  server: McpServer,
  open: Client[],
): Promise<RunningServer> {
  const { persona, signal, logger } = options;
  const transport = 'url' in server ? overHttp(options, name, server.url) : inSandbox(options, server);
  // It is offered nothing: no sampling, no roots, no questions.
  const client = new Client({ name: 'maestro-fleet', version: '1' }, { capabilities: {} });
  open.push(client);
  const onerror = (err: Error): void => logger.debug({ err, server: name }, 'an MCP server was not understood');
  Object.assign(client, { onerror });
  const timeoutMs = durationMs(server.timeout);
  const limits = { timeout: timeoutMs, maxTotalTimeout: timeoutMs, signal };
  const gone = (): string => (transport instanceof SandboxTransport ? transport.why : '');
  try {
    await client.connect(transport, limits);
    return { client, gone, listed: await listTools(client, limits) };
  } catch (err) {
    throw unavailable(persona.name, name, gone() || errorMessage(err), true, err);
  }
}

async function openServer(options: McpOptions, name: string, server: McpServer, open: Client[]): Promise<AgentTool[]> {
  const first = await startServer(options, name, server, open);
  let now: Running = first;
  let restarts = 0;
  const ready = async (): Promise<{ client: Client; note?: string }> => {
    const why = now.gone();
    if (why === '') return { client: now.client };
    if (restarts >= MAX_RESTARTS)
      throw new FleetError(
        'TOOL_UNAVAILABLE',
        `the MCP server "${name}" ended again and is not started any more: ${why}`,
      );
    restarts += 1;
    now = await startServer(options, name, server, open);
    const note = `The MCP server ${name} had ended and was started anew; it remembers nothing of before.`;
    return { client: now.client, note };
  };
  const gone = (): string => now.gone();
  return server.tools.toSorted().map((tool) => {
    const found = first.listed.find((one) => one.name === tool);
    if (found === undefined) {
      const offered = first.listed
        .map((one) => one.name.slice(0, 64))
        .slice(0, 50)
        .join(', ');
      throw unavailable(options.persona.name, name, `it has no tool "${tool}"; it has: ${offered || 'none'}`, false);
    }
    // Confined and without network it can change nothing but its own memory; its calls keep their order.
    const isConfined = !('url' in server) && options.egress === undefined && options.sandbox.kind === 'bwrap';
    const effects = isConfined ? 'workspace' : 'outside';
    return mcpTool({ ready, server: name, tool: found, timeoutMs: durationMs(server.timeout), effects, gone });
  });
}

const unavailable = (persona: string, server: string, why: string, retry: boolean, cause?: unknown): FleetError =>
  new FleetError('MCP_UNAVAILABLE', `the MCP server "${server}" of the persona "${persona}" cannot be used: ${why}`, {
    remedy:
      'Mend the server, or its entry under `mcp` of the persona; what the operator offers lies in MAESTRO_MCP_DIR.',
    retry,
    ...(cause === undefined ? {} : { cause }),
  });

function inSandbox(
  { sandbox, root, egress, folder }: McpOptions,
  server: Extract<McpServer, { command: string }>,
): SandboxTransport {
  const offered = folder === undefined ? [] : [{ host: folder, inside: '/opt/mcp', writable: false }];
  return new SandboxTransport(sandbox, {
    argv: [server.command, ...server.args],
    mounts: [...workspaceMounts(root, false), ...offered],
    cwd: '/work',
    env: server.env,
    egress,
  });
}

function overHttp({ networkAllow, persona }: McpOptions, name: string, address: string): Transport {
  const url = new URL(address);
  const { host, port } = placeOf(url);
  const place = HostPort.safeParse(joinHostPort(host, port));
  if (!place.success)
    throw unavailable(persona.name, name, `${JSON.stringify(host)} in its url is no name of a host`, false);
  const egress = egressOf([place.data], networkAllow, `the MCP server "${name}" of the persona "${persona.name}"`);
  if (egress === undefined) throw new FleetError('INTERNAL', `${address} leads nowhere`);
  const reconnect = {
    maxRetries: 2,
    initialReconnectionDelay: 500,
    maxReconnectionDelay: 2_000,
    reconnectionDelayGrowFactor: 2,
  };
  return new StreamableHTTPClientTransport(url, {
    fetch: allowedFetch(egress, MAX_ANSWER_BYTES),
    reconnectionOptions: reconnect,
  });
}

async function listTools(client: Client, limits: { timeout: number; signal: AbortSignal }): Promise<Tool[]> {
  const all: Tool[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    // Asked plainly, so that schemas which are not ours are not compiled in this process.
    const params = cursor === undefined ? {} : { cursor };
    const answer = await client.request({ method: 'tools/list', params }, ListToolsResultSchema, limits);
    all.push(...answer.tools);
    cursor = answer.nextCursor;
    if (cursor === undefined) return all;
  }
  throw new FleetError('BAD_INPUT', `its list of tools has more than ${MAX_PAGES} pages`);
}
