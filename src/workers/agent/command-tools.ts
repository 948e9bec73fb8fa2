import { z } from 'zod';
import type { Egress } from '../../shared/network/allow-list.ts';
import type { SandboxResult } from '../../shared/sandbox/sandbox.ts';
import { capText, dataBlock } from './data-block.ts';
import { type AgentTool, defineTool, refused } from './tool.ts';
import { workspaceMounts } from './workspace-mounts.ts';

const OUTPUT_CHARS = 30_000;
const WALL_MS = 120_000;

const ENDINGS: Readonly<Record<Exclude<SandboxResult['endedBy'], 'exit'>, string>> = {
  signal: 'ended by a signal: it may have used too much memory or time',
  timeout: `ended after ${WALL_MS / 1000} s, the most a command may take`,
  aborted: 'ended because the work was cancelled',
};

const shell = defineTool({
  name: 'shell',
  // Elsewhere it reaches the network and the files of the machine.
  effects: ({ sandbox }) => (sandbox.kind === 'bwrap' ? 'workspace' : 'outside'),
  description:
    'Runs a shell command in the workspace (/work), in a sandbox: no network, only the workspace is writable, ' +
    `at most ${WALL_MS / 1000} s. Node, npm, git and the usual tools are there. Returns the exit code and the output.`,
  schema: z.strictObject({ command: z.string().min(1).max(20_000) }),
  async run({ command }, { root, tree, sandbox, egress, signal, live, toolUseId }) {
    const before = await tree.beforeCommand();
    const shown = live?.begin({ toolUseId, tool: 'shell', command });
    const running = sandbox.run({
      argv: ['sh', '-c', command],
      mounts: workspaceMounts(root, true),
      cwd: '/work',
      limits: { wallMs: WALL_MS },
      egress,
      signal,
      onProgress: shown?.hear,
    });
    const result = await running.finally(() => shown?.end());
    const { changed, notes } = await tree.afterCommand(before);
    const ended = result.endedBy === 'exit' ? `exit code ${result.exitCode}` : ENDINGS[result.endedBy];
    const { refusals = [] } = result;
    const parts = [
      `${ended} after ${result.durationMs} ms`,
      ...(['stdout', 'stderr'] as const).flatMap((stream) =>
        result[stream] === '' ? [] : [dataBlock(capText(result[stream], OUTPUT_CHARS), { stream })],
      ),
      ...(result.truncated ? ['The output was longer than is kept.'] : []),
      ...(refusals.length > 0 ? [`The network refused: ${refusals.join('; ')}.`] : []),
      ...notes,
      ...(changed.length > 0 ? [`${changed.length} files changed.`] : []),
      ...(tree.fault === undefined ? [] : [tree.fault]),
    ];
    return { text: parts.join('\n'), isError: result.endedBy !== 'exit' || tree.fault !== undefined, changed };
  },
});

const runGates = defineTool({
  name: 'run_gates',
  // It commits what is there before it measures.
  effects: 'workspace',
  description:
    'Measures the workspace now with the collectors that the gate will use, holds its tests against the code as it ' +
    'was before this phase and against planted faults, and returns what it found. Files that git ignores are no part of it. ' +
    'Judgements of reviewers and approvals are not part of it: they are made after you hand off.',
  schema: z.strictObject({}),
  async run(_input, { tree, runGates: measure, signal, live, toolUseId }) {
    if (tree.fault !== undefined) return refused(tree.fault);
    const shown = live?.begin({ toolUseId, tool: 'run_gates', command: 'measures the workspace' });
    const table = await measure(signal).finally(() => shown?.end());
    return { text: dataBlock(capText(table, 2 * OUTPUT_CHARS), { gates: 'now' }) };
  },
});

/** The shell of a persona whose commands may reach something: what they do there cannot be taken back. */
export const reaching = (tool: AgentTool, { hosts }: Egress): AgentTool =>
  tool === shell
    ? {
        ...tool,
        description: shell.description.replace(
          'no network',
          `no network but ${hosts.join(', ')} through the HTTP proxy that the environment names`,
        ),
        effects: 'outside',
      }
    : tool;

export const COMMAND_TOOLS: readonly AgentTool[] = [shell, runGates];
