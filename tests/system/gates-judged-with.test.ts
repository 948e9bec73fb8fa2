import { appendFile, cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { packagePath } from '../../src/shared/package-root.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { type Ended, cleanEnv, jsonOf, run } from './maestro.ts';

/** A phase that is measured within a second, with one criterion that may be bypassed and one that may not get worse. */
const PAPERS = `phases:
  papers:
    phase_name: Papers
    phase_id: papers
    description: What is written.
    success_criteria:
      clarity_score: { threshold: 1.0, direction: min, severity: BLOCKING }
      requirements_traceability: { relative_to: last_passed, ratchet: true, on_missing: pass_declared, direction: min, severity: BLOCKING }
    required_artifacts: []
    optional_artifacts: []
    exit_gates:
      - { gate: documented, condition: 'documentation_completeness >= 0.5', severity: BLOCKING }
    metrics: []
`;
const RULE = `bypassable_gates:
    - { gate: clarity_score, phases: [papers], requires_adr: true, approval_level: tech_lead }
`;

/** A folder with the fixture's documents, outside of it the policy, and the command run beside both. */
async function project() {
  const home = await tempFolder();
  await cp(packagePath('tests', 'fixtures', 'docs-links'), join(home, 'work'), { recursive: true });
  const text = await readFile(packagePath('policies', 'phase_slos.yaml'), 'utf8');
  const policy = text.replace('phases:\n', PAPERS).replace('bypassable_gates:\n', RULE);
  await writeFile(join(home, 'p.yaml'), policy);
  const maestro = (args: readonly string[]): Promise<Ended> => run(args, cleanEnv({ MAESTRO_HOME: home }), home);
  const gates = (more: readonly string[]): Promise<Ended> =>
    maestro(['gates', 'work', '--phase', 'papers', '--policy', 'p.yaml', ...more]);
  const prd = join(home, 'work', 'docs', 'requirements', 'prd.md');
  return { home, maestro, gates, prd };
}

const VAGUE = '- **FR-99** The service should somehow be fast and user-friendly, etc.\n';

test('a folder that is measured is let through by the log of bypasses beside it, in every format, until it is touched', async () => {
  const { home, maestro, gates, prd } = await project();
  const text = await readFile(prd, 'utf8');
  await writeFile(prd, text.replace(/(## Functional requirements\n+)/, `$1${VAGUE}`));
  expect((await gates([])).exit).toBe(3);

  await writeFile(join(home, 'adr.md'), '# Vague for now\n\nAccepted until the next round.\n');
  const log = ['--log', 'bypasses.jsonl'];
  const why = ['--by', 'Ann', '--reason', 'next round', '--adr', 'adr.md', '--expires', '2d', '--policy', 'p.yaml'];
  const asked = await maestro(['bypass', 'request', 'papers', 'clarity_score', ...why, ...log, '--json']);
  const { id } = z.object({ id: z.string() }).parse(jsonOf(asked, 0));
  // Nobody approved it yet.
  expect((await gates(['--bypasses', 'bypasses.jsonl'])).exit).toBe(3);
  const approved = await maestro(['bypass', 'approve', id, '--by', 'Bob', '--role', 'tech_lead', ...log]);
  expect(approved.exit).toBe(0);

  const formats = ['table', 'json', 'junit', 'sarif', 'markdown', 'html'];
  const shown = await Promise.all(formats.map((format) => gates(['--bypasses', 'bypasses.jsonl', '--format', format])));
  for (const ended of shown) {
    expect(ended).toMatchObject({ exit: 0 });
    expect(ended.stdout.replaceAll('\\', '')).toMatch(/bypassed until .* by Bob .*asked by Ann: next round/);
  }
  expect((await maestro(['bypass', 'list', ...log])).stdout).toMatch(/active +papers\/clarity_score/);

  await writeFile(
    join(home, 'edited.jsonl'),
    (await readFile(join(home, 'bypasses.jsonl'), 'utf8')).replace('Ann', 'Eve'),
  );
  const edited = await gates(['--bypasses', 'edited.jsonl']);
  expect(edited).toMatchObject({ exit: 2, stdout: '' });
  expect(edited.stderr).toMatch(/the bypass log edited\.jsonl is broken/);

  expect((await maestro(['bypass', 'revoke', id, '--by', 'Eve', '--reason', 'done', ...log])).exit).toBe(0);
  const revoked = await gates(['--bypasses', 'bypasses.jsonl']);
  expect(revoked.exit).toBe(3);
  expect(revoked.stdout).toMatch(/revoked by Eve: done/);
});

test('a folder that is measured is compared with the report of an earlier measurement', async () => {
  const { home, gates, prd } = await project();
  const before = await gates(['--format', 'json']);
  expect(before.exit).toBe(0);
  await writeFile(join(home, 'before.json'), before.stdout);
  expect((await gates(['--baseline', 'before.json'])).exit).toBe(0);

  await appendFile(prd, '\n## More\n\n- **FR-98** The service answers within 100 ms.\n');
  const after = await gates(['--baseline', 'before.json']);
  expect(after.exit).toBe(3);
  expect(after.stdout).toMatch(/✗ failed +requirements_traceability .*baseline/);
  // Without the baseline the policy lets it pass, as it declares.
  expect((await gates([])).exit).toBe(0);
});
