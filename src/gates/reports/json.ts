import type { PhaseReport } from './phase-report.ts';

/** One JSON document: the verdict, and for measured phases everything it rests on. */
export function jsonReport({ verdict, measurements, findings, reports, tree }: PhaseReport): string {
  const supplied = tree === undefined;
  const kept = reports.map(({ name, sha256, bytes }) => ({ name, sha256, bytes }));
  return `${JSON.stringify(supplied ? verdict : { ...verdict, tree, measurements, findings, reports: kept }, undefined, 2)}\n`;
}
