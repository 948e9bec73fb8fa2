import type { IntegrityCheck } from '../../shared/round-evidence.ts';
import type { BypassResult, Finding, GateOutcome, Measurement, PhaseVerdict, Severity } from '../../shared/verdict.ts';
import type { Report } from '../harvest-reports.ts';

/** Everything that is known of one judged phase. Values that were supplied come without measurements. */
export interface PhaseReport {
  verdict: PhaseVerdict;
  measurements: readonly Measurement[];
  findings: readonly Finding[];
  reports: readonly Report[];
  tree: string | undefined;
  /** What the files were held against, and how they stood it; absent where they were held against nothing. */
  integrity?: { against: string; commit: string; checks: readonly IntegrityCheck[] } | undefined;
}

export const UNPROVEN =
  'The tests were not proven to mean something: nothing was named to hold the files against (--against REF).';

/** What stands below the verdict: the revision that the files were held against, or that there was none. */
export function integrityLine({ verdict, tree, integrity }: PhaseReport): string | undefined {
  if (tree === undefined || verdict.verdict === 'not_gated') return undefined;
  return integrity === undefined ? UNPROVEN : `held against ${integrity.against} (${integrity.commit.slice(0, 12)})`;
}

/** The report of supplied values. */
export const suppliedReport = (verdict: PhaseVerdict): PhaseReport => ({
  verdict,
  measurements: [],
  findings: [],
  reports: [],
  tree: undefined,
});

type RowOutcome = GateOutcome | 'warning' | 'not_supplied';

/** One judged thing, as every kind of report shows it. */
export interface ReportRow {
  kind: 'gate' | 'criterion' | 'artifact' | 'target' | 'contract' | 'bypass' | 'integrity';
  name: string;
  /** `failed` blocks, `warning` does not. */
  outcome: RowOutcome;
  severity: Severity;
  message: string;
  /** The condition, threshold or files asked for. */
  required: string;
  /** Where the values come from, e.g. `collector` or `review, simulated`. */
  source: string;
}

const failedAs = (outcome: GateOutcome, severity: Severity): RowOutcome =>
  outcome === 'failed' && severity === 'WARNING' ? 'warning' : outcome;

const sourceOf = (values: readonly { source: string; simulated: boolean }[]): string => {
  const sources = [...new Set(values.map((value) => value.source))].toSorted();
  return [...sources, ...(values.some((value) => value.simulated) ? ['simulated'] : [])].join(', ');
};

const BYPASS_OUTCOMES = { applied: 'bypassed', not_needed: 'not_supplied', refused: 'warning' } as const;

/** Every bypass that was asked for, whether it counted or not. */
const bypassRow = (bypass: BypassResult): ReportRow => ({
  kind: 'bypass',
  name: bypass.gate,
  outcome: BYPASS_OUTCOMES[bypass.outcome],
  severity: 'WARNING',
  message:
    bypass.outcome === 'applied'
      ? bypass.message
      : `${bypass.id}, asked by ${bypass.requestedBy} until ${bypass.until}: ${bypass.message}`,
  required: `approval by a ${bypass.role}`,
  source: `ADR ${bypass.adrSha256}`,
});

/** Said even where no bypass was asked for: whoever touched the log may have removed one, or a revocation. */
const brokenLogRow = ({ brokenBypassLog }: PhaseVerdict): ReportRow[] =>
  brokenBypassLog === undefined
    ? []
    : [
        {
          kind: 'bypass',
          name: 'log',
          outcome: 'warning',
          severity: 'WARNING',
          message: `no bypass counts: the log is broken: ${brokenBypassLog}`,
          required: 'an untouched log',
          source: '',
        },
      ];

const INTEGRITY_OUTCOMES = {
  held: 'passed',
  violated: 'failed',
  error: 'error',
  not_applicable: 'not_supplied',
} as const;

const integrityRow = (check: IntegrityCheck): ReportRow => ({
  kind: 'integrity',
  name: check.check,
  outcome: INTEGRITY_OUTCOMES[check.outcome],
  severity: 'BLOCKING',
  message: check.message,
  required: 'held',
  source: 'collector',
});

/** All rows of a report: those of its verdict, and those of the checks of integrity. */
export const rowsOfReport = ({ verdict, integrity }: PhaseReport): ReportRow[] => [
  ...rowsOf(verdict),
  ...(integrity?.checks ?? []).map(integrityRow),
];

const TARGET_OUTCOMES = {
  met: 'passed',
  missed: 'warning',
  not_measured: 'warning',
  not_supplied: 'not_supplied',
} as const;

const targetRow = (target: PhaseVerdict['targets'][number]): ReportRow => ({
  kind: 'target',
  name: target.metric,
  outcome: TARGET_OUTCOMES[target.outcome],
  severity: 'WARNING',
  message: target.message,
  required: target.condition,
  source: '',
});

/** All rows of a verdict: gates, criteria, artifacts, targets, contracts of personas, bypasses. */
export function rowsOf(verdict: PhaseVerdict): ReportRow[] {
  const gates = verdict.gates.map((gate): ReportRow => ({
    kind: 'gate',
    name: gate.gate,
    outcome: failedAs(gate.outcome, gate.severity),
    severity: gate.severity,
    message: gate.message,
    required: gate.condition,
    source: sourceOf(Object.values(gate.values)),
  }));
  const criteria = verdict.criteria.map((each): ReportRow => ({
    kind: 'criterion',
    name: each.criterion,
    outcome: failedAs(each.outcome, each.severity),
    severity: each.severity,
    message: each.message,
    required:
      each.threshold === null
        ? 'not worse than the baseline'
        : `${each.direction === 'min' ? '>=' : '<='} ${each.threshold}`,
    source: sourceOf([each]),
  }));
  const artifacts = verdict.artifacts.map((artifact): ReportRow => {
    const absent = artifact.required ? 'failed' : 'not_supplied';
    const outcome = { present: 'passed', missing: absent, not_supplied: 'not_supplied' } as const;
    return {
      kind: 'artifact',
      name: artifact.artifact,
      outcome: outcome[artifact.outcome],
      severity: artifact.required ? 'BLOCKING' : 'WARNING',
      message: artifact.message,
      required: artifact.required ? 'required' : 'optional',
      source: artifact.files.join(', '),
    };
  });
  const contracts = (verdict.contracts ?? []).map((result): ReportRow => ({
    kind: 'contract',
    name: `${result.persona}.${result.name}`,
    outcome: failedAs(result.outcome, result.severity),
    severity: result.severity,
    message: result.message,
    required: result.required,
    source: sourceOf([result]),
  }));
  return [
    ...gates,
    ...criteria,
    ...artifacts,
    ...verdict.targets.map(targetRow),
    ...contracts,
    ...(verdict.bypasses ?? []).map(bypassRow),
    ...brokenLogRow(verdict),
  ];
}

/** `BLOCKED`, as people read it. */
export const verdictWords: Readonly<Record<PhaseVerdict['verdict'], string>> = {
  passed: 'PASSED',
  passed_with_warnings: 'PASSED WITH WARNINGS',
  blocked: 'BLOCKED',
  not_gated: 'NOT GATED',
};

/** Which policy judged, that it was a fallback where it was one, and the baseline where there is one. */
export function policyLine(verdict: PhaseVerdict): string {
  if (verdict.verdict === 'not_gated') return `phase ${verdict.phase}, no policy: nothing was judged`;
  const fallback = verdict.fallback ? ', a fallback: no policy names this phase' : '';
  return `phase ${verdict.phase}, policy ${verdict.policy}${fallback}${baselineWords(verdict)}`;
}

/** Which baseline relative criteria were compared with; nothing when the policy has none. */
function baselineWords({ baseline }: PhaseVerdict): string {
  if (baseline === undefined) return '';
  if (baseline === null) return ', no baseline';
  const tree = baseline.tree === '' ? '' : ` (files ${baseline.tree})`;
  return `, baseline ${baseline.source}${tree}`;
}

export const SIMULATED =
  'SIMULATED: a scripted model or a scripted person had a part in this. It is no evidence of real work.';
export const REPLAYED =
  'REPLAYED: the answers come from the recording of an earlier run. No model was asked; what collectors read was measured anew.';

export interface Origin {
  simulated: boolean;
  replayed?: boolean | undefined;
}
/** What is said at the head and the foot of whatever no model gave the answers for now; nothing for a real run. */
export const originNotes = ({ simulated, replayed }: Origin): string[] => [
  ...(replayed === true ? [REPLAYED] : []),
  ...(simulated ? [SIMULATED] : []),
];

/** Text from measured files may hold escape sequences and other control characters: they are shown, never obeyed. */
export const visible = (text: string): string =>
  // oxlint-disable-next-line no-control-regex -- finding control characters is the purpose
  text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\u{fffd}');

/** `src/app.js:3:7`, as far as the place is known. */
export const placeOf = (finding: Finding): string =>
  [finding.file, finding.line, finding.column].filter((part) => part !== undefined).join(':');
