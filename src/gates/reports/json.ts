import { type PhaseReport, integrityLine } from './phase-report.ts';

/** One JSON document: the verdict, and for measured phases everything it rests on. */
export function jsonReport(report: PhaseReport): string {
  const { verdict, measurements, findings, reports, tree, integrity = null } = report;
  const supplied = tree === undefined;
  const kept = reports.map(({ name, sha256, bytes }) => ({ name, sha256, bytes }));
  const line = integrityLine(report);
  const notes = line === undefined ? [] : [line];
  const whole = { ...verdict, tree, integrity, notes, measurements, findings, reports: kept };
  return `${JSON.stringify(supplied ? verdict : whole, undefined, 2)}\n`;
}
