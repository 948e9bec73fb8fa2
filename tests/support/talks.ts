import { readPolicies } from '../../src/producer/definitions-builder.ts';
import { putJson } from '../../src/shared/blob-store.ts';
import type { BlobStore } from '../../src/shared/blob-store.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import { type PlannedPhase, RunPlan } from '../../src/shared/run-record.ts';
import { Script } from '../../src/workers/scripted/script-schema.ts';
import { noopPlan } from './noop-handlers.ts';

/** The name of a persona that ships, so that the command's own workers take its jobs. */
export const TALKER = 'backend_developer';

/** Who talks: a persona with real tools, whose phase is not gated. */
const PERSONA = {
  apiVersion: 'maestro/v1',
  name: TALKER,
  role: 'Talker',
  tools: ['list_files', 'read_file', 'write_file', 'edit_file', 'shell'],
  prompt: 'A persona of the tests, who talks to the stand-in and uses real tools.',
};

const tool = (name: string, input: Record<string, unknown>) => ({ tool: name, input });

/** A short conversation: files are written, read and changed, and where `command` is given it is run. */
export const talkTurns = (of: { delayMs?: number; firstDelayMs?: number; command?: string; text?: string } = {}) => {
  const { delayMs = 0, firstDelayMs = delayMs, command, text = 'one\ntwo\nthree\n' } = of;
  return [
    {
      say: 'I begin with the notes.',
      tools: [
        tool('write_file', { path: 'docs/notes.md', content: text }),
        tool('write_file', { path: 'src/app.js', content: 'export const answer = 41;\n' }),
      ],
    },
    {
      say: 'The answer is wrong.',
      tools: [
        tool('read_file', { path: 'src/app.js' }),
        tool('edit_file', {
          path: 'src/app.js',
          old_text: 'export const answer = 41;',
          new_text: 'export const answer = 42;',
        }),
      ],
    },
    { tools: command === undefined ? [tool('list_files', {})] : [tool('shell', { command })] },
    { tools: [tool('hand_off', { summary: 'The notes and the answer are written.' })] },
  ].map((turn, index) => ({ ...turn, delay_ms: index === 0 ? firstDelayMs : delayMs }));
};

/** What the stand-in says in every run of `planTalk`. */
export const talkScript = (turns: readonly unknown[]): Script =>
  Script.parse({ workflow: 'noop', jobs: [{ phase: 'a', persona: TALKER, turns }] });

/** The definitions that such runs are made from. */
export const talkDefinitions = async (blobs: BlobStore) =>
  putJson(blobs, {
    schemaVersion: 1,
    workflow: { apiVersion: 'maestro/v1', name: 'noop', phases: { a: { persona: TALKER } } },
    personas: { [TALKER]: PERSONA },
    policies: await readPolicies(packagePath('policies')),
    models: {},
  });

/** A run of one conversation. */
export const planTalk = (
  definitions: Awaited<ReturnType<typeof talkDefinitions>>,
  overrides: Partial<PlannedPhase> = {},
): RunPlan =>
  RunPlan.parse({
    ...noopPlan({ a: [] }, { attempts: 1, rework: 0, timeoutMs: 600_000, personas: [TALKER], ...overrides }),
    definitions,
  });
