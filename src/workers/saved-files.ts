import { conversationIds } from '../shared/names.ts';
import type { PersonaJob } from '../shared/jobs.ts';
import type { Persona } from '../shared/persona-schema.ts';
import type { RunPlan } from '../shared/run-record.ts';
import type { Fence } from '../shared/run-store.ts';
import type { Workspace } from '../shared/workspace.ts';
import { type SavedFiles, type SavedTree, type SavedWork, openSavedWork } from './agent/checkpoint-store.ts';
import type { WorkTree } from './agent/work-tree.ts';
import { withdrawQuestions } from './ask-person.ts';
import { tellRestart } from './conversation-log.ts';
import type { WorkerContext } from './worker-context.ts';

interface TheJob {
  ctx: WorkerContext;
  plan: RunPlan;
  persona: Persona;
  data: PersonaJob;
  fence: Fence;
}

/** What the conversation of a job is saved under. */
export const conversationId = ({ kind, runId, phase, persona, round }: PersonaJob): string =>
  conversationIds[kind](runId, phase, persona, round);

export const signature = (persona: Persona): { author: { name: string; email: string }; date: string } => ({
  author: { name: persona.role, email: `${persona.name}@maestro-fleet.invalid` },
  date: new Date().toISOString(),
});

/**
 * The files as they are now, in one commit on the one that the job began with: a file that is written again with each
 * turn is kept once, and not once a turn.
 */
export const checkpoint = (job: TheJob, workspace: Workspace, beginning: string): Promise<string | null> =>
  workspace.commitAll({
    onto: beginning,
    changedSince: 'last',
    message: 'Checkpoint',
    trailers: {},
    ...signature(job.persona),
  });

/**
 * The conversation as it stood when the last worker was stopped, with the files that belong to it.
 * A worker that is killed costs at most the call that was under way.
 */
export function savedWork(
  job: TheJob,
  at: { workspace: Workspace; tree: Pick<WorkTree, 'fault'> } | null,
): Promise<SavedWork> {
  const { ctx, plan } = job;
  return openSavedWork({
    redis: ctx.redis,
    prefix: ctx.config.prefix,
    runId: plan.runId,
    jobId: conversationId(job.data),
    blobs: ctx.blobs,
    fence: job.fence,
    files: at === null ? null : savedFiles(job, at.workspace, at.tree),
    onStartOver: async (reason) => {
      await withdrawQuestions({ ...job, store: ctx.store }, `${job.persona.name} begins anew: ${reason}`);
      await tellRestart(ctx, job, reason);
    },
  });
}

function savedFiles(job: TheJob, workspace: Workspace, now: Pick<WorkTree, 'fault'>): SavedFiles {
  const beginning = workspace.head();
  let stored: SavedTree | undefined;
  return {
    async snapshot() {
      if (now.fault !== undefined) return null;
      await checkpoint(job, workspace, await beginning);
      // What is stored already is not packed again.
      if (stored?.commit !== (await workspace.head()))
        stored = { ...(await workspace.bundle()), tree: await workspace.tree() };
      return stored;
    },
    async adopt(tree) {
      await beginning;
      await workspace.adopt(tree);
      return workspace.tree();
    },
    reset: async () => workspace.returnTo(await beginning),
  };
}
