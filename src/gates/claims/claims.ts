import type { Handoff } from '../../shared/handoff.ts';
import type { Claim, IntegrityCheck } from '../../shared/round-evidence.ts';
import type { Finding, Measurement } from '../../shared/verdict.ts';
import { type Statement, readStatements } from './statements.ts';
import { endsAsItsTests } from './test-runs.ts';

/** What the fleet recorded of one persona job. */
export interface JobRecord {
  persona: string;
  handoff: Handoff;
  /** Without the call that ends the work. */
  toolCalls: number;
  /** Nothing of the work differs from what it began with. */
  isIdle: boolean;
  /** Another persona of the phase did change something. */
  mayBeIdle: boolean;
  /** Commands that were run; `run_gates` stands for the measurement by the fleet. */
  commands: readonly { command: string; exitCode: number | null }[];
  /** What was found when the hand-off was compared with the files. */
  findings: readonly Finding[];
}

/** Where tests were measured to pass, it is enough that the job has looked at them. */
const NAMES_TESTS =
  /\b(?:node\s+(?:\S+\s+)*--test\b|(?:npm|pnpm|yarn|bun)\s+(?:run\s+)?(?:test|t)\b|vitest\b|jest\b|mocha\b|ava\b|pytest\b|unittest\b|go\s+test\b|cargo\s+test\b|c8\b|tap\b)|^run_gates$/;
/** A coverage said to the full percent is true when it is rounded. */
const ROUNDING = 0.0051;

/** What the hand-off names and the work does not hold. */
const MISSING = ['handoff/missing-file', 'handoff/missing-contract'];

type Said = Pick<Claim, 'measured' | 'contradicted' | 'blocks'>;
const agrees = (measured: string): Said => ({ measured, contradicted: false, blocks: false });
const differs = (measured: string): Said => ({ measured, contradicted: true, blocks: false });
const notDone = (measured: string): Said => ({ measured, contradicted: true, blocks: true });

/** Every claim of a hand-off beside what was recorded and measured. Nothing here is believed; most is only shown. */
export function checkClaims(job: JobRecord, measurements: readonly Measurement[]): Claim[] {
  const { persona, handoff } = job;
  const missing = new Set(
    job.findings.flatMap(({ rule, file }) => (MISSING.includes(rule) && file !== undefined ? [file] : [])),
  );
  const isThere = (file: string): Said =>
    missing.has(file) ? notDone('the file is not in the work') : agrees('the file is there');
  return [
    { persona, claim: 'the work is done', ...workDone(job) },
    ...handoff.files.map((file) => ({ persona, claim: `there is ${file}`, ...isThere(file) })),
    ...handoff.contracts.map(({ name, file }) => ({
      persona,
      claim: `the contract "${name}" is in ${file}`,
      ...isThere(file),
    })),
    ...readStatements(handoff).map(({ text, about }) => ({
      persona,
      claim: text,
      ...compare(about, job, measurements),
    })),
  ];
}

function workDone({ toolCalls, isIdle, mayBeIdle }: JobRecord): Said {
  if (isIdle && mayBeIdle) return agrees('this persona changed no file in this round; others did');
  if (toolCalls === 0) return notDone('no tool was called: nothing was done');
  return isIdle
    ? notDone('no file was changed: nothing was done')
    : agrees(`${toolCalls} tool calls, and files changed`);
}

function compare(about: Statement['about'], job: JobRecord, measurements: readonly Measurement[]): Said {
  switch (about.kind) {
    case 'tests-pass':
      return testsPass(job, measurements);
    case 'coverage': {
      const found = reading(measurements, 'test_coverage');
      if (found === undefined || typeof found === 'string') return notMeasured(found);
      const words = `measured: ${percent(found)} of the lines`;
      return Math.abs(found - about.ratio) > ROUNDING ? differs(words) : agrees(words);
    }
    case 'metric': {
      const found = reading(measurements, about.metric);
      if (found === undefined || typeof found === 'string') return notMeasured(found);
      const words = `measured: ${about.metric} ${Number(found.toFixed(4))}`;
      return found >= about.least && found <= about.most ? agrees(words) : differs(words);
    }
    case 'nothing-measurable':
      return agrees('nothing measures this');
    default:
      return about satisfies never;
  }
}

const percent = (ratio: number): string => `${Number((ratio * 100).toFixed(1))} %`;

const notMeasured = (reason: string | undefined): Said =>
  reason === undefined ? agrees('not measured in this phase') : differs(`could not be measured: ${reason}`);

function testsPass(job: JobRecord, measurements: readonly Measurement[]): Said {
  const found = reading(measurements, 'test_pass_rate');
  if (typeof found === 'string') return notDone(`could not be measured: ${found}`);
  if (found !== undefined && found < 1) return notDone(`measured: ${percent(found)} of the tests pass`);
  const named = job.commands.filter(({ command }) => NAMES_TESTS.test(command) || endsAsItsTests(command));
  const other = named.at(-1);
  if (other === undefined) return notDone('no command of this job ran a test');
  if (found !== undefined) return agrees('measured: all tests pass');
  const last = named.findLast(({ command }) => endsAsItsTests(command));
  if (last === undefined)
    return notDone(
      `no exit code of this job says so: \`${oneLine(other.command)}\` does not end as its tests do (run them as a command of their own, or joined by && alone)`,
    );
  if (last.exitCode !== 0)
    return notDone(`the last run of tests in this job ended with code ${last.exitCode ?? 'none'}`);
  return agrees(`the job ran tests (${last.command}), and they passed`);
}

const oneLine = (text: string): string => {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length <= 120 ? line : `${line.slice(0, 119)}…`;
};

/** A measured value, the reason why there is none, or nothing when this phase does not read the metric. */
function reading(measurements: readonly Measurement[], metric: string): number | string | undefined {
  const found = measurements.find((each) => each.metric === metric);
  if (found === undefined) return undefined;
  return found.status === 'measured' ? found.value : found.reason;
}

/** Every contradiction as something to act on. */
export const claimFindings = (claims: readonly Claim[]): Finding[] =>
  claims
    .filter(({ contradicted }) => contradicted)
    .map(({ persona, claim, measured }) => ({
      persona,
      rule: 'claims/contradicted',
      message: `${persona} says: ${claim}. But ${measured}`,
      severity: 'error',
    }));

/** The job is not done, whatever it says, when it did nothing, names what is not there or tells of tests that are not so. */
export function claimsCheck(claims: readonly Claim[]): IntegrityCheck {
  const bad = claims.filter(({ blocks }) => blocks);
  const contradicted = claims.filter((claim) => claim.contradicted);
  const message =
    bad.length === 0
      ? `${contradicted.length} of ${claims.length} claims are contradicted, none of them by the work being absent`
      : bad.map(({ persona, claim, measured }) => `${persona} says "${claim}", but ${measured}`).join('; ');
  return {
    check: 'claims_hold',
    outcome: bad.length === 0 ? 'held' : 'violated',
    examined: claims.length,
    message,
    evidence: [{ kind: 'record', summary: message }],
  };
}
