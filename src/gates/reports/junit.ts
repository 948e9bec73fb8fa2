import { escapeMarkup } from './markup.ts';
import {
  type PhaseReport,
  type ReportRow,
  REPLAYED,
  SIMULATED,
  integrityLine,
  policyLine,
  rowsOfReport,
} from './phase-report.ts';

function body(row: ReportRow): string {
  const message = escapeMarkup(row.message);
  switch (row.outcome) {
    case 'failed':
      return `<failure type="${row.kind}" message="${message}">required: ${escapeMarkup(row.required)}</failure>`;
    case 'error':
      return `<error type="not_evaluable" message="${message}">required: ${escapeMarkup(row.required)}</error>`;
    case 'bypassed':
    case 'not_supplied':
      return `<skipped message="${message}"/>`;
    case 'warning':
      return `<system-out>WARNING: ${message}</system-out>`;
    case 'passed':
      break;
  }
  return `<system-out>${message}</system-out>`;
}

/** JUnit XML: one test case for every gate, criterion, artifact and target. What is not evaluable is an error. */
export function junitReport(report: PhaseReport): string {
  const { verdict } = report;
  const rows = rowsOfReport(report);
  const note = integrityLine(report);
  const count = (outcomes: readonly ReportRow['outcome'][]): number =>
    rows.filter((row) => outcomes.includes(row.outcome)).length;
  const notGated = verdict.verdict === 'not_gated';
  const cases = rows.map(
    (row) =>
      `    <testcase classname="${escapeMarkup(`${verdict.phase}.${row.kind}`)}" name="${escapeMarkup(row.name)}">${body(row)}</testcase>`,
  );
  if (notGated) {
    const name = escapeMarkup(verdict.phase);
    cases.push(`    <testcase classname="${name}" name="policy"><skipped message="not gated"/></testcase>`);
  }
  const totals = `tests="${cases.length}" failures="${count(['failed'])}" errors="${count(['error'])}" skipped="${count(['bypassed', 'not_supplied']) + Number(notGated)}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="maestro gates" ${totals}>`,
    `  <testsuite name="${escapeMarkup(policyLine(verdict))}" ${totals}>`,
    '    <properties>',
    `      <property name="verdict" value="${verdict.verdict}"/>`,
    `      <property name="simulated" value="${verdict.simulated ? escapeMarkup(SIMULATED) : 'false'}"/>`,
    ...(verdict.replayed === true ? [`      <property name="replayed" value="${escapeMarkup(REPLAYED)}"/>`] : []),
    ...(note === undefined ? [] : [`      <property name="integrity" value="${escapeMarkup(note)}"/>`]),
    '    </properties>',
    ...cases,
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}
