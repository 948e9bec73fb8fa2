import { onTestFinished } from 'vitest';
import { Handoff } from '../../src/shared/handoff.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import type { ToolName } from '../../src/shared/persona-schema.ts';
import type { Sandbox } from '../../src/shared/sandbox/sandbox.ts';
import { formatJobLine } from '../../src/workers/agent/job-line.ts';
import type { AgentOptions } from '../../src/workers/agent/agent-options.ts';
import { runAgent } from '../../src/workers/agent/run-agent.ts';
import { createToolBox } from '../../src/workers/agent/tools.ts';
import { WorkTree } from '../../src/workers/agent/work-tree.ts';
import { type ModelProvider, openProvider } from '../../src/workers/models/provider.ts';
import { Script } from '../../src/workers/scripted/script-schema.ts';
import { type ScriptedProvider, startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { tempFolder } from '../support/temp-folder.ts';

export const JOB = {
  run: '01J00000000000000000000000',
  workflow: 'demo',
  phase: 'backend',
  persona: 'backend_developer',
  kind: 'work',
  round: 0,
} as const;

export const HAND_OFF = { tool: 'hand_off', input: { summary: 'done' } };

const scriptOf = (turns: readonly unknown[]): Script =>
  Script.parse({ workflow: 'demo', jobs: [{ phase: 'backend', persona: 'backend_developer', turns }] });

/** The stand-in on a free port, playing these turns; stopped when the test has ended. */
export async function playing(
  turns: readonly unknown[],
  latencyMs = 0,
  more: Pick<Parameters<typeof startScriptedProvider>[0], 'limits'> = {},
): Promise<ScriptedProvider> {
  const server = await startScriptedProvider({ scripts: [scriptOf(turns)], latencyMs, ...more });
  onTestFinished(() => server.close());
  return server;
}

export const NO_KEYS = {
  anthropic: { apiKey: undefined, authToken: undefined, baseUrl: undefined },
  scriptedUrl: undefined,
};

export const providerAt = (url: string): ModelProvider =>
  openProvider({ name: 'scripted', config: NO_KEYS, scriptedUrl: url });

/** For tools that run no command: running one is a mistake of the test. */
export const NO_SANDBOX: Sandbox = {
  kind: 'off',
  description: 'none',
  pathOf: (_mounts, inside) => inside,
  run: () => Promise.reject(new Error('this test has no sandbox')),
};

type Overrides = Partial<Omit<AgentOptions<Handoff>, 'tools'>> & {
  tools?: readonly ToolName[];
  root?: string;
  sandbox?: Sandbox;
  runGates?: () => Promise<string>;
  /** The most bytes that may be handed off. */
  mostBytes?: number;
};

/** The real loop over real HTTP against the stand-in. */
export async function runWith(url: string, overrides: Overrides = {}) {
  const { tools = ['write_file', 'read_file', 'edit_file', 'list_files'], sandbox = NO_SANDBOX, ...rest } = overrides;
  const root = overrides.root ?? (await tempFolder());
  const signal = overrides.signal ?? new AbortController().signal;
  const tree = new WorkTree(root, undefined, overrides.mostBytes === undefined ? {} : { bytes: overrides.mostBytes });
  const runGates = overrides.runGates ?? (() => Promise.resolve('nothing measured'));
  const result = await runAgent({
    provider: providerAt(url),
    model: 'claude-sonnet-5-5',
    system: 'You build things.',
    userMessage: `${formatJobLine(JOB)}\n\nBuild it.`,
    finalTool: { name: 'hand_off', description: 'Hands the work over.', schema: Handoff },
    maxTurns: 12,
    maxTokensPerTurn: 4_000,
    price: null,
    jobId: 'job-1',
    attempt: 1,
    idleTimeoutMs: 5_000,
    ...rest,
    signal,
    tools: createToolBox({ root, sandbox, runGates, signal, logger: silentLogger(), tools, tree }),
  });
  return { ...result, root };
}
