import { z } from 'zod';
import { readRegularFile } from '../hostile-files.ts';
import type { Finding } from '../../shared/verdict.ts';
import { join } from 'node:path';
import type { Checked, IntegrityInput } from './integrity-context.ts';
import { pythonTampering } from './python-tampering.ts';

const Scripts = z.object({ scripts: z.record(z.string(), z.string()).default({}) });
const MAX_MANIFEST_BYTES = 1024 ** 2;

/** Scripts that others trust to mean what their name says. */
const TRUSTED = /^(?:test|build|lint|typecheck|check|coverage|e2e)(?:[:-].*)?$/;
/** One command that does nothing and succeeds. */
const IDLE =
  /^(?::|true|exit(?:\s+0)?|echo\b.*|printf\b.*|sleep\s+\S+|node\s+(?:-e|--eval)\s+(['"]?)\s*;?\s*\1|node\s+(?:-v|--version)|node\s+(?:-e|--eval)\s+['"]?process\.exit\(0?\)['"]?)$/;
/** Whatever came before, it succeeds. */
const SWALLOWS = /(?:\|\||;)\s*(?:true|:|exit\s+0)\s*$/;

/** Settings of tools that measure. The fleet brings its own, so these change nothing here; who reads on should know. */
const SETTINGS =
  /^(?:\.c8rc[^/]*|\.nycrc[^/]*|c8\.config\.[^/]+|\.eslintrc[^/]*|\.eslintignore|eslint\.config\.[^/]+|tsconfig[^/]*\.json|vitest\.config\.[^/]+|jest\.config\.[^/]+|\.mocharc[^/]*|\.jscpd\.json|\.secretlintrc[^/]*|\.secretlintignore|\.npmrc|\.node-version|sonar-project\.properties|\.?pytest\.ini|tox\.ini|\.?mypy\.ini|\.coveragerc|\.?ruff\.toml|\.flake8|\.pylintrc|\.bandit)$/;
/** What tools report. Nothing that lies in the work is read as a report. */
const REPORTS =
  /(?:^|\/)(?:coverage|test-results|reports?)\/.*\.(?:xml|json|info|lcov|sarif|html)$|(?:^|\/)(?:junit[^/]*\.xml|lcov\.info|coverage[^/]*\.(?:json|xml)|[^/]+\.sarif|[^/]+\.lcov)$/i;

export const isIdleScript = (script: string): boolean => {
  const parts = script
    .split(/&&|;/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
  return parts.every((part) => IDLE.test(part)) || SWALLOWS.test(script.trim());
};

/** The work leaves alone what measures it: scripts keep their meaning, and nothing in it stands in for a result. */
export async function checkMeasurement(input: IntegrityInput): Promise<Checked> {
  const present = input.changed.filter(({ status }) => status !== 'deleted').map(({ file }) => file);
  const violations: Finding[] = [
    ...(await scriptFindings(input)),
    ...(await pythonTampering(input)),
    ...input.strayLinks.map((file): Finding => ({
      rule: 'tamper/stray-link',
      message: `${file} is a link that leads out of the work, or nowhere: put a regular file in its place`,
      severity: 'error',
      file,
    })),
  ];
  const notes: Finding[] = [
    ...present
      .filter((file) => SETTINGS.test(file))
      .map((file): Finding => ({
        rule: 'tamper/own-settings',
        message: `${file} has no effect on the gates: they measure with settings of their own`,
        severity: 'info',
        file,
      })),
    ...present
      .filter((file) => REPORTS.test(file))
      .map((file): Finding => ({
        rule: 'tamper/report-in-work',
        message: `${file} looks like a report of a tool. No gate reads it: every report is made anew. Remove it`,
        severity: 'warning',
        file,
      })),
  ];
  const held = violations.length === 0;
  const message = held
    ? `${present.length} changed files: no script was emptied, no test is chosen or judged by what was added, and no link leads out`
    : violations.map(({ file, message: what }) => (what.includes(file ?? '') ? what : `${file}: ${what}`)).join('; ');
  return {
    check: {
      check: 'measurement_untouched',
      outcome: held ? 'held' : 'violated',
      examined: present.length,
      message,
      evidence: [{ kind: 'record', summary: message, tree: input.context.tree }],
    },
    findings: [...violations, ...notes],
  };
}

async function scriptFindings({ context, baseRoot, changed }: IntegrityInput): Promise<Finding[]> {
  if (!changed.some(({ file, status }) => file === 'package.json' && status !== 'deleted')) return [];
  const [before, after] = await Promise.all([scriptsOf(baseRoot), scriptsOf(context.root)]);
  return Object.entries(after).flatMap(([name, script]): Finding[] => {
    if (!TRUSTED.test(name) || script === before[name] || !isIdleScript(script)) return [];
    const was = before[name] === undefined ? '' : ` (it was \`${before[name]}\`)`;
    return [
      {
        rule: 'tamper/empty-script',
        message: `the script "${name}" succeeds whatever happens: \`${script}\`${was}. Let it do what its name says`,
        severity: 'error',
        file: 'package.json',
      },
    ];
  });
}

/** Scripts of the manifest; none where there is no manifest that can be read, which the collectors report. */
async function scriptsOf(root: string): Promise<Record<string, string>> {
  const bytes = await readRegularFile(join(root, 'package.json'), MAX_MANIFEST_BYTES);
  if (bytes === undefined) return {};
  try {
    return Scripts.parse(JSON.parse(bytes.toString('utf8'))).scripts;
  } catch {
    // A manifest that does not parse makes every code metric not evaluable.
    return {};
  }
}
