import { pipeline } from 'node:stream/promises';
import type { Response } from 'express';
import { type RunRecord, originWords, replayedMark } from '../shared/run-record.ts';
import { z } from 'zod';
import { FleetError } from '../shared/errors.ts';
import type { GitPlace } from '../shared/git.ts';
import { RunId } from '../shared/names.ts';
import { CommitId, DiffQuery, FileQuery, FilesQuery, RunChanges, RunFiles } from './files-schemas.ts';
import { advertiseRefs, uploadPack } from './git-http.ts';
import { sendProblem } from './problem.ts';
import { type Route, json, route, text } from './route.ts';
import { assertCommit, diffOf, findFile, isText, listChanges, listFiles } from './run-files.ts';
import { type RunRepositories, commitOf } from './run-repositories.ts';
import type { ServerContext } from './server-context.ts';
import { evidenceLines } from './verify/bundle-file.ts';
import { findSeal } from './verify/find-seal.ts';

const RunParams = z.object({ id: RunId });

/** Looking at the files that a run made: one by one, as an archive, or by `git clone`. */
export const fileRoutes = (context: ServerContext): Route[] => [
  filesRoute(context),
  fileRoute(context),
  ...changeRoutes(context),
  zipRoute(context),
  bundleRoute(context),
  evidenceRoute(context),
  ...cloneRoutes(context),
];

function filesRoute({ repositories, store }: ServerContext): Route {
  return route({
    method: 'get',
    path: '/api/runs/{id}/files',
    id: 'listFiles',
    summary: 'The files that a run, or one of its phases, has handed on',
    scope: 'read',
    params: RunParams,
    query: FilesQuery,
    answers: [json(200, 'All of them', 'RunFiles', RunFiles)],
    handle: async ({ params: { id }, query: { phase }, res }) => {
      const { simulated, replayed } = await store.getRun(id);
      await repositories.use(id, phase, async ({ place, work: { work, ...rest } }) => {
        const listed = work === null ? { files: [], truncated: false } : await listFiles(place, work.commit);
        const commit = work?.commit ?? null;
        const answer: RunFiles = {
          runId: id,
          phase: phase ?? null,
          commit,
          simulated,
          ...replayedMark(replayed),
          ...rest,
          ...listed,
        };
        res.json(answer);
      });
    },
  });
}

function fileRoute({ repositories }: ServerContext): Route {
  return route({
    method: 'get',
    path: '/api/runs/{id}/files/{path*}',
    id: 'readFile',
    summary: 'One file, byte for byte: text as plain text, anything else to be stored',
    scope: 'read',
    params: z.object({ id: RunId, path: z.string().min(1) }),
    query: FileQuery,
    answers: [text(200, 'Its bytes', 'text/plain'), text(200, 'Its bytes', 'application/octet-stream')],
    handle: async ({ params: { id, path }, query: { phase, commit }, res }) => {
      if (commit === undefined) {
        await repositories.use(id, phase, (repository) =>
          sendFile(repositories, { place: repository.place, commit: commitOf(repository, id, phase), path }, res),
        );
        return;
      }
      await repositories.useAll(id, async ({ place }) => {
        await assertCommit(place, commit);
        await sendFile(repositories, { place, commit, path }, res);
      });
    },
  });
}

/** Whatever a file holds, a browser shows it as text or stores it; it runs none of it. */
async function sendFile(
  repositories: RunRepositories,
  { place, commit, path }: { place: GitPlace; commit: string; path: string },
  res: Response,
): Promise<void> {
  const file = await findFile(place, commit, path);
  const isPlain = await isText(place, file);
  if (!isPlain) res.attachment(path.split('/').at(-1));
  res.type(isPlain ? 'text/plain; charset=utf-8' : 'application/octet-stream').set({
    'Content-Length': String(file.size),
    'Cache-Control': 'private, no-cache',
    'Content-Security-Policy': "default-src 'none'; sandbox",
    'X-Maestro-Commit': commit,
  });
  await repositories.stream(place, ['cat-file', 'blob', file.oid], res);
}

function changeRoutes({ repositories, store }: ServerContext): Route[] {
  return [
    route({
      method: 'get',
      path: '/api/runs/{id}/changes',
      id: 'listChanges',
      summary: 'What each persona changed, round by round, newest first; also what was blocked',
      scope: 'read',
      params: RunParams,
      answers: [json(200, 'The commits', 'RunChanges', RunChanges)],
      handle: async ({ params: { id }, res }) => {
        const { simulated, replayed } = await store.getRun(id);
        await repositories.useAll(id, async ({ place, tips }) => {
          const commits = tips.map(({ commit }) => commit);
          const answer: RunChanges = {
            runId: id,
            simulated,
            ...replayedMark(replayed),
            ...(await listChanges(place, commits)),
          };
          res.json(answer);
        });
      },
    }),
    route({
      method: 'get',
      path: '/api/runs/{id}/changes/{commit}/diff',
      id: 'getDiff',
      summary: 'What one commit changed, as a unified diff',
      scope: 'read',
      params: z.object({ id: RunId, commit: CommitId }),
      query: DiffQuery,
      answers: [text(200, 'The diff; `X-Maestro-Truncated: true` when it was cut', 'text/x-diff')],
      handle: async ({ params: { id, commit }, query: { path }, res }) => {
        await repositories.useAll(id, async ({ place }) => {
          await assertCommit(place, commit);
          const { diff, truncated } = await diffOf(place, commit, path);
          res.set('X-Maestro-Truncated', String(truncated)).type('text/x-diff; charset=utf-8').send(diff);
        });
      },
    }),
  ];
}

/** What is taken home says by its name where it is from: files do not tell that no real model wrote them. */
const nameOf = (run: RunRecord, phase: string | undefined): string =>
  [run.workflow, run.runId, ...(phase === undefined ? [] : [phase]), ...originWords(run)].join('-');

function zipRoute({ repositories, store }: ServerContext): Route {
  return route({
    method: 'get',
    path: '/api/runs/{id}/files.zip',
    id: 'downloadZip',
    summary: 'The files as a zip archive',
    scope: 'read',
    params: RunParams,
    query: FilesQuery,
    answers: [text(200, 'The archive', 'application/zip')],
    handle: async ({ params: { id }, query: { phase }, res }) => {
      const name = nameOf(await store.getRun(id), phase);
      await repositories.use(id, phase, async (repository) => {
        const commit = commitOf(repository, id, phase);
        res.attachment(`${name}.zip`).type('application/zip').set('X-Maestro-Commit', commit);
        await repositories.stream(repository.place, ['archive', '--format=zip', `--prefix=${name}/`, commit], res);
      });
    },
  });
}

function bundleRoute({ repositories, store, blobs }: ServerContext): Route {
  return route({
    method: 'get',
    path: '/api/runs/{id}/files.bundle',
    id: 'downloadBundle',
    summary: 'The files with their whole history, as a git bundle to clone from',
    scope: 'read',
    params: RunParams,
    query: FilesQuery,
    answers: [text(200, 'The bundle', 'application/octet-stream')],
    handle: async ({ params: { id }, query: { phase }, res }) => {
      const name = nameOf(await store.getRun(id), phase);
      await repositories.use(id, phase, async (repository) => {
        const commit = commitOf(repository, id, phase);
        const { bundle } = repository.work.work ?? {};
        if (bundle === undefined) throw new FleetError('INTERNAL', `the commit ${commit} has no bundle`);
        res.attachment(`${name}.bundle`).type('application/octet-stream').set('X-Maestro-Commit', commit);
        res.send(Buffer.from(await blobs.get(bundle)));
      });
    },
  });
}

function evidenceRoute(context: ServerContext): Route {
  return route({
    method: 'get',
    path: '/api/runs/{id}/evidence.jsonl',
    id: 'downloadEvidence',
    summary: 'The signed evidence of an ended run with every blob that it rests on, for `maestro verify FILE`',
    scope: 'read',
    params: RunParams,
    answers: [text(200, 'A DSSE envelope, and a line for each blob', 'application/jsonl')],
    handle: async ({ params: { id }, res }) => {
      const { store, blobs } = context;
      const envelope = await findSeal(context, id);
      const lines = evidenceLines({ envelope, blobs });
      res.attachment(`${nameOf(await store.getRun(id), undefined)}.evidence.jsonl`).type('application/jsonl');
      // A blob that cannot be read breaks the answer off.
      await pipeline(lines, res);
    },
  });
}

/** `git clone http://HOST/api/runs/ID/repo.git`: branch `main`, and one for each phase. Nothing can be pushed. */
function cloneRoutes({ repositories }: ServerContext): Route[] {
  return [
    route({
      method: 'get',
      path: '/api/runs/{id}/repo.git/info/refs',
      id: 'advertiseRefs',
      summary: 'For git: `git clone .../api/runs/ID/repo.git` begins here',
      scope: 'read',
      params: RunParams,
      query: z.object({ service: z.string().optional() }),
      answers: [text(200, 'The branches', 'application/x-git-upload-pack-advertisement')],
      handle: async ({ params: { id }, query: { service }, req, res }) => {
        if (service !== 'git-upload-pack') {
          sendProblem(res, 403, 'FORBIDDEN', {
            detail: 'the repository of a run can be cloned and fetched, and nothing can be pushed to it',
          });
          return;
        }
        await repositories.useAll(id, (repository) => advertiseRefs(repository, req, res));
      },
    }),
    route({
      method: 'post',
      path: '/api/runs/{id}/repo.git/git-upload-pack',
      id: 'uploadPack',
      summary: 'For git: what a clone or fetch asks next',
      scope: 'read',
      // It is how git asks for what it lacks; nothing is changed.
      audited: false,
      params: RunParams,
      body: { type: 'application/x-git-upload-pack-request', stream: true },
      answers: [text(200, 'A pack', 'application/x-git-upload-pack-result')],
      handle: ({ params: { id }, req, res }) =>
        repositories.useAll(id, ({ place }) => uploadPack(repositories, place, req, res)),
    }),
  ];
}
