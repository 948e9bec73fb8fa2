import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BlobStore, putJson } from '../../src/shared/blob-store.ts';
import { type CommitRef, NO_USAGE, type PhaseRecord, type RunPlan } from '../../src/shared/run-record.ts';
import type { RunStore } from '../../src/shared/run-store.ts';
import { type Source, openWorkspace } from '../../src/shared/workspace.ts';
import { NO_BLOB, planOf, verdictOf } from './seed-run.ts';

/** A name that a page must not take for markup, and a list not for two lines. */
export const HOSTILE = '"><img src=x onerror=alert(1)>\n-rf.js';
export const PIXELS = Buffer.from([0x89, 0x50, 0, 1, 2, 255, 254]);

interface Place {
  store: RunStore;
  blobs: BlobStore;
  folder: string;
}

/** A run whose design and backend passed, backend in its second round, and whose docs were blocked. */
export async function seedRunWithFiles(place: Place): Promise<RunPlan> {
  const plan = planOf(['design', 'backend', 'docs']);
  for (const phase of plan.phases.slice(1)) phase.needs = ['design'];
  await place.store.createRun(plan);
  let made = 0;
  const work = async (
    phase: string,
    round: number,
    given: Source[],
    write: (dir: string) => Promise<void>,
  ): Promise<CommitRef> => {
    made += 1;
    const dir = join(place.folder, `tree-${made}`);
    const { workspace } = await openWorkspace({ dir, blobs: place.blobs, sources: given });
    await write(workspace.dir);
    await workspace.commitAll({
      message: `${phase}: round ${round}`,
      trailers: {
        Run: plan.runId,
        Phase: phase,
        Persona: 'coder',
        Round: String(round),
        Simulated: 'true',
        ...(phase === 'docs' ? { Replayed: 'true' } : {}),
      },
      author: { name: 'Coder', email: 'coder@maestro.invalid' },
      date: `2026-11-23T10:0${made}:00Z`,
    });
    return workspace.bundle();
  };
  const design = await work('design', 0, [], async (dir) => {
    await writeFile(join(dir, 'design.md'), '# Design\n');
    await symlink('/etc/passwd', join(dir, 'out'));
  });
  await record(place, plan, 'design', 'passed', [design]);
  const first = await work('backend', 0, [{ label: 'design', ...design }], async (dir) => {
    await mkdir(join(dir, 'src'));
    await writeFile(join(dir, 'src', 'app.js'), 'one();\n');
  });
  const second = await work('backend', 1, [{ label: 'backend', ...first }], async (dir) => {
    await writeFile(join(dir, 'src', 'app.js'), 'two();\nthree();\n');
    await writeFile(join(dir, 'src', HOSTILE), 'x');
    await writeFile(join(dir, 'logo.png'), PIXELS);
  });
  await record(place, plan, 'backend', 'passed', [first, second]);
  const docs = await work('docs', 0, [{ label: 'design', ...design }], async (dir) => {
    await writeFile(join(dir, 'guide.md'), 'a guide that was blocked\n');
  });
  await record(place, plan, 'docs', 'blocked', [docs]);
  return plan;
}

async function record(
  { store, blobs }: Place,
  plan: RunPlan,
  phase: string,
  status: 'passed' | 'blocked',
  rounds: readonly CommitRef[],
): Promise<void> {
  const last = status === 'passed' ? rounds.at(-1) : undefined;
  const transcript = await putJson(blobs, status === 'passed' ? TALK : REPLAYED_TALK);
  await store.updatePhase(plan.runId, phase, (before): { next: PhaseRecord; events: [] } => ({
    next: {
      ...before,
      status,
      finishedAt: plan.createdAt,
      commit: last?.commit ?? null,
      bundle: last?.bundle ?? null,
      transcripts: { 'coder.work.r0': transcript },
      rounds: rounds.map((candidate, round) => ({
        round,
        verdict: verdictOf(phase, round === rounds.length - 1 && status === 'passed' ? 'passed' : 'blocked'),
        findings: 0,
        evidence: NO_BLOB,
        candidate,
        at: plan.createdAt,
      })),
    },
    events: [],
  }));
}

/** What is kept of a conversation, with what a page must not take for markup. */
const TALK = {
  schemaVersion: 1,
  messages: [
    { role: 'user', content: [{ type: 'text', text: 'Write the service <b>now</b>.' }] },
    {
      role: 'assistant',
      content: [
        { type: 'text', text: 'I change <script>alert(1)</script> the call.' },
        {
          type: 'tool_use',
          id: 'toolu_1',
          name: 'edit_file',
          input: { path: 'src/app.js', old_text: 'one();', new_text: 'two();' },
        },
      ],
    },
    {
      role: 'user',
      content: [
        { type: 'tool_result', tool_use_id: 'toolu_1', content: 'old_text does not occur', is_error: true },
        { type: 'text', text: 'You have called edit_file with the same input 3 times in a row.' },
      ],
    },
  ],
  calls: [
    {
      turn: 1,
      outcome: 'answered',
      error: null,
      modelAsked: 'claude-sonnet-5-5',
      modelAnswered: 'scripted-1',
      host: '127.0.0.1:1',
      latencyMs: 1_500,
      usage: { ...NO_USAGE, calls: 1, inputTokens: 1_000, outputTokens: 234 },
      simulated: true,
    },
  ],
  lineage: [],
  refusedCalls: [{ tool: 'shell', toolUseId: 'toolu_9', messageId: 'msg_1' }],
  resumed: 'fresh',
};

/** The same from a recording, in which a model was overloaded and another one answered. */
const REPLAYED_TALK = {
  ...TALK,
  calls: TALK.calls.map((call) => ({ ...call, replayed: true, fallbackFrom: 'claude-opus-5-5' })),
};
