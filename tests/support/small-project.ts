import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { PolicyFile } from '../../src/gates/policy-schema.ts';
import type { PolicySource } from '../../src/shared/definitions.ts';
import { shippedText } from '../gates/support.ts';

/** The shipped catalogue, with one policy of these gates. */
export function policyOf(gates: Readonly<Record<string, string>>): PolicySource {
  const base = PolicyFile.parse(parse(shippedText()));
  const phase = {
    phase_name: 'Small',
    phase_id: 'custom_component',
    description: '',
    success_criteria: {},
    required_artifacts: [],
    optional_artifacts: [],
    exit_gates: Object.entries(gates).map(([gate, condition]) => ({ gate, condition, severity: 'BLOCKING' })),
    metrics: [],
  };
  const file = {
    ...base,
    phases: { custom_component: phase },
    bypass_rules: { ...base.bypass_rules, bypassable_gates: [], non_bypassable_gates: [] },
  };
  return { file: 'policies/phase_slos.yaml', text: JSON.stringify(file) };
}

/** Runs every check of the project, and writes what came of it as JUnit. */
export const RUN_CHECKS = `count=0; failed=0; cases=
for check in checks/*.sh; do
  count=$((count + 1))
  if sh "$check"; then cases="$cases<testcase name='$check'/>"
  else failed=$((failed + 1)); cases="$cases<testcase name='$check' file='$check'><failure message='wrong sum'/></testcase>"; fi
done
echo "<testsuites tests='$count' failures='$failed'><testsuite name='checks'>$cases</testsuite></testsuites>" > "$1"
[ "$failed" -eq 0 ]`;

export const overlayOf = (argv: readonly string[]): PolicySource => ({
  file: 'maestro.policies.yaml',
  kind: 'overlay',
  text: JSON.stringify({
    apiVersion: 'maestro/v1',
    extends: 'phase_slos',
    measure: {
      commands: [
        {
          id: 'checks',
          argv,
          produces: { path: 'junit.xml', format: 'junit' },
          metrics: { test_pass_rate: { from: 'junit' }, test_count: { from: 'junit' } },
        },
        {
          id: 'size',
          argv: ['sh', '-c', 'printf \'{"lines": %s, "files": 1}\' "$(wc -l < src/add.sh)" > "$1"', 'sh', '{out}/size'],
          produces: { path: 'size', format: 'json' },
          metrics: { lines_of_code: { from: 'json', pointer: '/lines', examined: '/files' } },
        },
      ],
    },
  }),
});
export const PHASE = { policy: 'custom_component', approvalRoles: [] };

export const write = async (tree: string, files: Readonly<Record<string, string>>): Promise<void> => {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(tree, name)), { recursive: true });
    await writeFile(join(tree, name), text);
  }
};
export const check = (left: number, right: number, sum: number): string =>
  `[ "$(sh src/add.sh ${left} ${right})" = ${sum} ]\n`;
