import { replayedMark } from '../../shared/run-record.ts';
import type { Finding } from '../../shared/verdict.ts';
import { type PhaseReport, type ReportRow, integrityLine, rowsOfReport, visible } from './phase-report.ts';

const LEVELS = { error: 'error', warning: 'warning', info: 'note' } as const;

const uriOf = (path: string): string => path.split('/').map(encodeURIComponent).join('/');

function findingResult(finding: Finding): Record<string, unknown> {
  const region =
    finding.line === undefined
      ? {}
      : {
          region: { startLine: finding.line, ...(finding.column === undefined ? {} : { startColumn: finding.column }) },
        };
  return {
    ruleId: finding.rule,
    level: LEVELS[finding.severity],
    message: { text: visible(finding.message) },
    ...(finding.file === undefined
      ? {}
      : { locations: [{ physicalLocation: { artifactLocation: { uri: uriOf(finding.file) }, ...region } }] }),
    ...(finding.metric === undefined && finding.persona === undefined
      ? {}
      : { properties: { metric: finding.metric, persona: finding.persona } }),
  };
}

const ruleOf = (row: ReportRow): string => `${row.kind}/${row.name}`;

function rowResult(row: ReportRow): Record<string, unknown> {
  const bad = row.outcome === 'failed' || row.outcome === 'error';
  return {
    ruleId: ruleOf(row),
    kind: bad || row.outcome === 'warning' || row.outcome === 'bypassed' ? 'fail' : 'pass',
    level: bad ? 'error' : row.outcome === 'warning' || row.outcome === 'bypassed' ? 'warning' : 'none',
    message: { text: visible(`${row.name}: ${row.message}`) },
    // What was let through is still a failure; viewers hide it only because somebody accepted it.
    ...(row.outcome === 'bypassed'
      ? { suppressions: [{ kind: 'external', status: 'accepted', justification: visible(row.message) }] }
      : {}),
    properties: { outcome: row.outcome, required: row.required, source: row.source },
  };
}

/** SARIF 2.1.0: findings with their places, and every gate, criterion, artifact and target as a result of its own. */
export function sarifReport(report: PhaseReport): string {
  const { verdict, findings, tree, integrity } = report;
  const note = integrityLine(report);
  const rows = rowsOfReport(report).filter((row) => row.outcome !== 'not_supplied');
  const rules = [...new Set([...findings.map((finding) => finding.rule), ...rows.map(ruleOf)])].toSorted();
  const document = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'maestro gates', rules: rules.map((id) => ({ id })) } },
        invocations: [{ executionSuccessful: verdict.errors.length === 0 }],
        results: [...findings.map(findingResult), ...rows.map(rowResult)],
        properties: {
          phase: verdict.phase,
          policy: verdict.policy,
          fallback: verdict.fallback,
          verdict: verdict.verdict,
          simulated: verdict.simulated,
          ...replayedMark(verdict.replayed),
          ...(verdict.baseline === undefined ? {} : { baseline: verdict.baseline }),
          ...(verdict.policyDigest === undefined ? {} : { policyDigest: verdict.policyDigest }),
          ...(tree === undefined ? {} : { tree }),
          ...(integrity === undefined ? {} : { against: integrity.against, commit: integrity.commit }),
          ...(note === undefined ? {} : { note }),
        },
      },
    ],
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}
