import type { Request, Response } from 'express';
import { createGunzip } from 'node:zlib';
import { FleetError } from '../shared/errors.ts';
import { type GitPlace, tryGit } from '../shared/git.ts';
import type { RunRepositories, RunRepository } from './run-repositories.ts';

/** Branches alone are shown: what else the repository keeps is of no use to whoever clones. */
const HIDE = ['-c', 'uploadpack.hideRefs=refs/fetched', '-c', 'uploadpack.hideRefs=refs/sources'];
/** A request names what the client has and wants; a history of a run is far below this. */
const MOST_ASKED_BYTES = 8 * 1024 ** 2;

const noCache = (res: Response): Response => res.set('Cache-Control', 'no-cache, max-age=0, must-revalidate');

/** Git's own wish for a version of its protocol, when it is one. */
function protocolOf(req: Request): Record<string, string> {
  const version = req.get('git-protocol') ?? '';
  return /^version=[012]$/.test(version) ? { GIT_PROTOCOL: version } : {};
}

/** Answers the first question of `git clone` or `git fetch`: which branches there are. */
export async function advertiseRefs({ place }: RunRepository, req: Request, res: Response): Promise<void> {
  const args = [...HIDE, 'upload-pack', '--http-backend-info-refs', '--strict', place.gitDir];
  const { stdout, exitCode, stderr } = await tryGit(place, args, { env: protocolOf(req) });
  if (exitCode !== 0) throw new FleetError('GIT_FAILED', `git upload-pack failed: ${stderr.trim()}`);
  noCache(res).type('application/x-git-upload-pack-advertisement');
  // A line of git's protocol begins with its own length; 0000 ends a group of lines.
  res.send(Buffer.from(`001e# service=git-upload-pack\n0000${stdout}`));
}

/** Answers what a client asks next: it sends what it has, and gets a pack of the rest. */
export async function uploadPack(
  repositories: RunRepositories,
  place: GitPlace,
  req: Request,
  res: Response,
): Promise<void> {
  const isPacked = req.get('content-encoding') === 'gzip';
  const stdin = isPacked ? req.pipe(createGunzip()) : req;
  let asked = 0;
  stdin.on('data', (chunk: Buffer) => {
    asked += chunk.length;
    if (asked > MOST_ASKED_BYTES) stdin.destroy(new Error('too much was asked'));
  });
  noCache(res).type('application/x-git-upload-pack-result');
  const args = [...HIDE, 'upload-pack', '--stateless-rpc', '--strict', place.gitDir];
  try {
    await repositories.stream(place, args, res, { stdin, env: protocolOf(req) });
  } catch (err) {
    // Git ends so when it does not understand what it is asked, before it has said anything.
    if (!(err instanceof FleetError) || err.details['exitCode'] !== 128 || res.headersSent) throw err;
    throw new FleetError('BAD_INPUT', `git does not understand the request: ${err.message}`, { cause: err });
  }
}
