import type { PhaseVerdict } from '../shared/verdict.ts';

/**
 * Whether a verdict is blocked already by something that no review or approval could change.
 * Reviewers and people are asked only about work whose measured gates hold.
 */
export function isBlockedByMeasurement(
  verdict: PhaseVerdict,
  judged: { metrics: ReadonlySet<string>; artifacts: ReadonlySet<string> },
): boolean {
  const isMeasured = (metric: string): boolean => !judged.metrics.has(metric);
  const failedGate = verdict.gates.some(
    (gate) => gate.outcome === 'failed' && gate.severity === 'BLOCKING' && Object.keys(gate.values).some(isMeasured),
  );
  const failedCriterion = verdict.criteria.some(
    (criterion) =>
      criterion.outcome === 'failed' && criterion.severity === 'BLOCKING' && isMeasured(criterion.criterion),
  );
  const notEvaluable = verdict.errors.some((error) => isMeasured(error.metric));
  const brokenContract = (verdict.contracts ?? []).some(
    ({ name, outcome, severity }) => outcome === 'failed' && severity === 'BLOCKING' && !judged.artifacts.has(name),
  );
  const missing = verdict.artifacts.some(
    (artifact) => artifact.required && artifact.outcome === 'missing' && !judged.artifacts.has(artifact.artifact),
  );
  return failedGate || failedCriterion || notEvaluable || brokenContract || missing;
}

/**
 * The reason a verdict is blocked, in one line, and how many more there are: what failed comes before what no policy
 * names (a merge conflict, a check of integrity), and that before what could not be evaluated, or still waits.
 */
export function blockedReason(verdict: PhaseVerdict): string {
  const gates = verdict.gates.filter((gate) => gate.outcome === 'failed' || gate.outcome === 'error');
  const told = (outcome: 'failed' | 'error'): string[] =>
    gates.filter((gate) => gate.outcome === outcome).map((gate) => `gate ${gate.gate}: ${gate.message}`);
  const reasons = [
    ...told('failed'),
    ...verdict.errors
      .filter((error) => error.gate === undefined && error.criterion === undefined && error.persona === undefined)
      .map((error) => `${error.metric}: ${error.reason}`),
    ...told('error'),
    ...verdict.criteria
      .filter(
        (criterion) =>
          criterion.outcome === 'error' || (criterion.outcome === 'failed' && criterion.severity === 'BLOCKING'),
      )
      .filter((criterion) => !gates.some((gate) => criterion.criterion in gate.values))
      .map((criterion) => `${criterion.criterion}: ${criterion.message}`),
    ...(verdict.contracts ?? [])
      .filter(({ outcome, severity }) => outcome === 'error' || (outcome === 'failed' && severity === 'BLOCKING'))
      .filter(({ metric }) => metric === null || !gates.some((gate) => metric in gate.values))
      .map(({ persona, kind, name, message }) => `contract of ${persona}, ${kind} ${name}: ${message}`),
    ...verdict.artifacts
      .filter((artifact) => artifact.required && artifact.outcome === 'missing')
      .map((artifact) => `${artifact.artifact}: ${artifact.message}`),
  ];
  const more = reasons.length > 1 ? ` (and ${reasons.length - 1} more)` : '';
  return `${reasons[0] ?? 'blocked'}${more}`;
}
