import type { Finding, PhaseVerdict } from '../shared/verdict.ts';

const finding = (rule: string, message: string, severity: Finding['severity'] = 'error'): Finding => ({
  rule,
  message,
  severity,
});

/** Everything in a verdict that did not hold, as findings that an author can act on. */
export function verdictFindings(verdict: PhaseVerdict): Finding[] {
  return [
    ...verdict.gates
      .filter((gate) => gate.outcome !== 'passed')
      .map((gate) => finding(`gate/${gate.gate}`, `${gate.outcome}: ${gate.message}`)),
    ...verdict.criteria
      .filter((criterion) => criterion.outcome !== 'passed')
      .map((criterion) =>
        finding(
          `criterion/${criterion.criterion}`,
          `${criterion.outcome}: ${criterion.message}`,
          criterion.severity === 'BLOCKING' ? 'error' : 'warning',
        ),
      ),
    ...(verdict.contracts ?? [])
      .filter(({ outcome }) => outcome !== 'passed')
      .map(({ persona, kind, name, outcome, severity, message }) =>
        finding(
          `contract/${persona}/${kind}/${name}`,
          `${outcome}: ${message}`,
          severity === 'BLOCKING' ? 'error' : 'warning',
        ),
      ),
    ...verdict.artifacts
      .filter((artifact) => artifact.required && artifact.outcome === 'missing')
      .map((artifact) => finding(`artifact/${artifact.artifact}`, `missing: ${artifact.message}`)),
    ...verdict.targets
      .filter((target) => target.outcome === 'missed')
      .map((target) => finding(`target/${target.metric}`, `missed: ${target.message}`, 'warning')),
    // What blocks beside the policy: conflicts, a refusal, checks of integrity.
    ...verdict.errors
      .filter(({ gate, criterion }) => gate === undefined && criterion === undefined)
      .map(({ metric, reason }) => finding(`blocked/${metric}`, reason)),
  ];
}

/** A verdict and its findings as plain text, for a persona to read. */
export function gateText(verdict: PhaseVerdict, findings: readonly Finding[]): string {
  const passed = verdict.gates.filter((gate) => gate.outcome === 'passed');
  return [
    ...passed.map((gate) => `passed gate/${gate.gate}: ${gate.message}`),
    ...verdictFindings(verdict).map(findingLine),
    ...findings.map(findingLine),
  ].join('\n');
}

/** `src/a.js:3:1 error eslint/no-undef: ...` */
const findingLine = (found: Finding): string => {
  const place = [found.file, found.line, found.column].filter((part) => part !== undefined).join(':');
  return `${place === '' ? '' : `${place} `}${found.severity} ${found.rule}: ${found.message}`;
};
