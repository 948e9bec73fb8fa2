import { htmlReport } from './html.ts';
import { jsonReport } from './json.ts';
import { junitReport } from './junit.ts';
import { markdownReport } from './markdown.ts';
import type { PhaseReport } from './phase-report.ts';
import { sarifReport } from './sarif.ts';
import { type Colors, tableReport } from './table.ts';

export const REPORT_FORMATS = ['table', 'json', 'junit', 'sarif', 'markdown', 'html'] as const;
export type ReportFormat = (typeof REPORT_FORMATS)[number];

/** The report of one phase in a format, ending with a line break. */
export function renderPhase(report: PhaseReport, format: ReportFormat, colors: Colors, columns?: number): string {
  const renderers: Record<ReportFormat, () => string> = {
    table: () => tableReport(report, colors, columns),
    json: () => jsonReport(report),
    junit: () => junitReport(report),
    sarif: () => sarifReport(report),
    markdown: () => markdownReport(report),
    html: () => htmlReport(report),
  };
  return renderers[format]();
}
