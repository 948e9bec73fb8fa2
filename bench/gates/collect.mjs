/** A full collection of everything that is measured on code, and the same tools by hand, in turns. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadPolicySet } from '../../dist/gates/load-policy.js';
import { allCollectors } from '../../dist/gates/collectors/registry.js';
import { measurePhase } from '../../dist/gates/measure.js';
import { createLogger } from '../../dist/shared/logger.js';
import { openSandbox } from '../../dist/shared/sandbox/open-sandbox.js';
import { runByHand } from './by-hand.mjs';
import { generateProject } from './generate-project.mjs';
import { policyOfEverything } from './policy-of-everything.mjs';
import { median } from './statistics.mjs';

/** Everything but the page's bundle: the generated project has no page. */
const COLLECTORS = [
  'build',
  'quality',
  'tests',
  'regression',
  'stubs',
  'security',
  'docs-coverage',
  'size',
  'licences',
  'sbom',
];
/** Asks for tests titled `security:`, of which the project has none. */
const LEFT_OUT = ['security_testing_complete'];
const isWanted = (metric, collector) => COLLECTORS.includes(collector) && !LEFT_OUT.includes(metric);

const advisories = () => ({
  name: 'advisories.json',
  text: JSON.stringify({
    schema: 'maestro.advisories/v1',
    source: 'benchmark',
    taken: new Date().toISOString(),
    ecosystem: 'npm',
    covers: 'all',
    vulns: [],
  }),
});

/** What each collector took is what lies between its start and its end; they overlap. */
function timed(collector, times) {
  return {
    ...collector,
    collect: async (context) => {
      const began = performance.now();
      try {
        return await collector.collect(context);
      } finally {
        times[collector.id] = performance.now() - began;
      }
    },
  };
}

async function collectOnce({ root, policySet, sandbox, logger }) {
  const scratch = mkdtempSync(join(tmpdir(), 'bench-gates-'));
  const collectors = {};
  try {
    const began = performance.now();
    const { measurements } = await measurePhase({
      root,
      scratch,
      phase: 'everything',
      policySet,
      policy: 'everything',
      sandbox,
      run: {
        approvals: [],
        judgements: [],
        phaseStartedAt: undefined,
        round: 0,
        inputs: {},
        given: { advisories: advisories() },
      },
      collectors: allCollectors.map((each) => timed(each, collectors)),
      signal: new AbortController().signal,
      logger,
    });
    const ms = performance.now() - began;
    const missing = measurements.filter(({ status }) => status !== 'measured');
    if (missing.length > 0) throw new Error(missing.map(({ metric, reason }) => `${metric}: ${reason}`).join('\n'));
    const values = Object.fromEntries(measurements.map(({ metric, value, examined }) => [metric, { value, examined }]));
    return { ms, collectors, values };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

export async function benchCollection({ fleet, seed, lines, rounds, say }) {
  const root = join(mkdtempSync(join(tmpdir(), 'bench-project-')), 'project');
  mkdirSync(root);
  try {
    const size = generateProject({ root, fleet, seed, lines });
    say(
      `generated ${size.src} lines of source in ${size.modules} modules, ${size.tests} lines of tests, ${size.docs} of documents`,
    );
    const logger = createLogger({ level: 'error', name: 'bench' });
    const sandbox = await openSandbox({ mode: 'auto', cache: join(homedir(), '.cache', 'maestro-fleet'), logger });
    const policySet = loadPolicySet([{ file: 'everything.yaml', text: policyOfEverything(fleet, isWanted) }]);
    const runs = [];
    for (let round = 1; round <= rounds; round += 1) {
      const collected = await collectOnce({ root, policySet, sandbox, logger });
      const byHand = runByHand({ root, fleet });
      const sum = byHand.reduce((total, { ms }) => total + ms, 0);
      runs.push({ collected, byHand, sum, ratio: collected.ms / sum });
      say(
        `round ${round}: collected in ${Math.round(collected.ms)} ms, by hand ${Math.round(sum)} ms, ratio ${(collected.ms / sum).toFixed(2)}`,
      );
    }
    const over = (read) => median(runs.map(read));
    return {
      project: size,
      sandbox: sandbox.description,
      rounds,
      collectedMs: over((run) => run.collected.ms),
      byHandMs: over((run) => run.sum),
      ratio: over((run) => run.ratio),
      limit: 1.3,
      byHand: runs[0].byHand.map(({ tool }, index) => ({ tool, ms: over((run) => run.byHand[index].ms) })),
      collectors: Object.keys(runs[0].collected.collectors).map((id) => ({
        collector: id,
        ms: over((run) => run.collected.collectors[id]),
      })),
      values: runs[0].collected.values,
    };
  } finally {
    rmSync(join(root, '..'), { recursive: true, force: true });
  }
}
