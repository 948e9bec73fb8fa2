import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { glob } from 'tinyglobby';
import type { ArtifactResult } from '../shared/verdict.ts';
import type { ArtifactFiles, RunContext } from './collector.ts';
import { type ReadDocument, documentProblems } from './document-problems.ts';
import type { PolicySet } from './load-policy.ts';
import type { LoadedPolicy } from './loaded-policy.ts';

const NEVER_AN_ARTIFACT = ['**/node_modules/**', '.git/**'];

/** Regular files below a folder that match; a link is none, wherever it points. */
export async function matchingFiles(root: string, patterns: readonly string[]): Promise<string[]> {
  if (patterns.length === 0) return [];
  const found = await glob([...patterns], {
    cwd: root,
    onlyFiles: true,
    followSymbolicLinks: false,
    expandDirectories: false,
    ignore: NEVER_AN_ARTIFACT,
  });
  const regular = await Promise.all(
    found.map(async (path) => ((await lstat(join(root, path)).catch(() => undefined))?.isFile() ? [path] : [])),
  );
  return regular.flat().toSorted();
}

/** Every artifact of the catalogue with the files it has in the measured folder. */
export async function resolveArtifacts(
  root: string,
  catalogue: PolicySet['artifacts'],
): Promise<Record<string, ArtifactFiles>> {
  const entries = await Promise.all(
    Object.entries(catalogue).map(async ([artifact, spec]) => {
      const files = spec.source === 'files' ? await matchingFiles(root, spec.paths) : [];
      return [artifact, { artifact, spec, files }] as const;
    }),
  );
  return Object.fromEntries(entries);
}

/** Is each artifact of a policy there, and does it hold what it must? */
export function checkArtifacts(options: {
  root: string;
  phase: string;
  policy: LoadedPolicy;
  /** What the contracts of the personas ask for beside the policy. */
  alsoRequired: readonly string[];
  artifacts: Readonly<Record<string, ArtifactFiles>>;
  run: RunContext;
  /** A folder with the reports of all collectors, by `collector/file`. */
  reportsDir: string;
  /** Where documents are read; in this process when it is not given. */
  read?: ReadDocument | undefined;
}): Promise<ArtifactResult[]> {
  const { required_artifacts, optional_artifacts } = options.policy.policy;
  const more = options.alsoRequired.filter((name) => ![...required_artifacts, ...optional_artifacts].includes(name));
  return Promise.all([
    ...[...required_artifacts, ...more].map((name) => check(name, true, options)),
    ...optional_artifacts.map((name) => check(name, false, options)),
  ]);
}

async function check(
  artifact: string,
  required: boolean,
  options: Parameters<typeof checkArtifacts>[0],
): Promise<ArtifactResult> {
  const resolved = options.artifacts[artifact];
  const present = (files: string[], message: string): ArtifactResult => ({
    artifact,
    required,
    outcome: 'present',
    files,
    message,
  });
  const missing = (message: string): ArtifactResult => ({ artifact, required, outcome: 'missing', files: [], message });
  if (!resolved) return missing('not in the artifact catalogue');
  const { spec } = resolved;
  if (spec.source === 'approvals') {
    const { phase, run } = options;
    const latest = run.approvals.filter((each) => each.phase === phase && each.round === run.round).at(-1);
    return latest?.decision === 'approved'
      ? present([], `approved by ${latest.by} (${latest.role})${latest.simulated ? ', simulated' : ''}`)
      : missing('no recorded approval of this phase in this round');
  }
  if (spec.source === 'reviews') {
    const reviewers = [...new Set(options.run.judgements.map((judgement) => judgement.reviewer))].toSorted();
    return reviewers.length > 0 ? present([], `reviewed by ${reviewers.join(', ')}`) : missing('no recorded review');
  }
  if (spec.source === 'evidence') {
    const reports = await matchingFiles(options.reportsDir, spec.reports);
    return reports.length > 0
      ? present(reports, `${reports.length} reports`)
      : missing(`no collector left a report ${spec.reports.join(' or ')}`);
  }
  if (resolved.files.length === 0) return missing(`no file ${spec.paths.join(' or ')}`);
  const problems = (
    await Promise.all(resolved.files.map((path) => documentProblems(options.root, path, spec, options.read)))
  ).flat();
  return problems.length > 0
    ? missing(problems.join('; '))
    : present([...resolved.files], resolved.files.length === 1 ? '1 file' : `${resolved.files.length} files`);
}
