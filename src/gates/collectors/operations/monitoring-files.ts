import { z } from 'zod';
import { InvalidInputError } from '../../../shared/errors.ts';
import type { Finding } from '../../../shared/verdict.ts';
import { parseYaml } from '../../../shared/yaml-file.ts';
import type { CollectContext } from '../../collector.ts';
import { finding, reasonOf } from '../documents/define-collector.ts';
import { documentPaths, readProjectFiles, readProjectText } from '../documents/project-files.ts';
import { type Selector, selectorsOf, withoutVariables } from './promql.ts';

export const ALERT_FILES = 'monitoring/alerts/*.{yml,yaml}';
export const DASHBOARD_FILES = 'monitoring/dashboards/*.json';
const METRIC = 'monitoring_configured';
const DURATION = /^(?:\d+(?:ms|[smhdwy]))+$/;

const Rule = z
  .strictObject({
    alert: z.string().min(1).optional(),
    record: z.string().min(1).optional(),
    expr: z.coerce.string().min(1),
    for: z.string().optional(),
    keep_firing_for: z.string().optional(),
    labels: z.record(z.string(), z.coerce.string()).default({}),
    annotations: z.record(z.string(), z.string()).default({}),
  })
  .refine(({ alert, record }) => (alert === undefined) !== (record === undefined), 'a rule has an alert or a record');
const AlertFile = z.strictObject({
  groups: z.array(z.looseObject({ name: z.string().min(1), rules: z.array(Rule) })).min(1),
});

const Target = z.looseObject({ expr: z.string().optional() });
const Panel = z.looseObject({
  title: z.string().optional(),
  type: z.string().optional(),
  targets: z.array(Target).default([]),
  get panels() {
    return z.array(Panel).optional();
  },
});
const Dashboard = z.looseObject({ title: z.string().min(1), panels: z.array(Panel) });

/** One expression of an alert, a recording or a panel. */
export interface Watch {
  kind: 'alert' | 'record' | 'panel';
  name: string;
  expression: string;
  selectors: Selector[];
  file: string;
  line: number;
}

export interface MonitoringFiles {
  alertFiles: number;
  dashboardFiles: number;
  watches: Watch[];
  findings: Finding[];
}

type Place = { file: string; line: number };

function watchOf(watch: Omit<Watch, 'selectors'>, findings: Finding[]): Watch {
  try {
    const selectors = selectorsOf(watch.kind === 'panel' ? withoutVariables(watch.expression) : watch.expression);
    if (selectors.length === 0) {
      findings.push(finding(METRIC, 'monitoring/no-series', `${watch.name} looks at no series at all`, watch));
    }
    return { ...watch, selectors };
  } catch (err) {
    if (!(err instanceof SyntaxError)) throw err;
    findings.push(finding(METRIC, 'monitoring/expression', `${watch.name}: ${err.message}`, watch));
    return { ...watch, selectors: [] };
  }
}

/** What an alert needs so that somebody can be woken by it and know what to do. */
async function alertProblems(context: CollectContext, rule: z.infer<typeof Rule>): Promise<string[]> {
  const runbook = rule.annotations['runbook_url'] ?? rule.annotations['runbook'] ?? '';
  const page = runbook.split('#')[0] ?? '';
  const isAddress = /^https?:\/\/[^\s/]+/.test(runbook);
  const problems: [boolean, string][] = [
    [DURATION.test(rule.for ?? ''), 'say with for: how long it must hold'],
    [(rule.labels['severity'] ?? '') !== '', 'give it a severity label'],
    [page !== '', 'name its runbook in annotations.runbook_url'],
    [
      page === '' || isAddress || (await readProjectText(context.root, page)) !== undefined,
      `its runbook ${page} does not exist`,
    ],
  ];
  return problems.filter(([ok]) => !ok).map(([, message]) => message);
}

async function readAlerts(context: CollectContext, files: MonitoringFiles): Promise<void> {
  for (const text of await readProjectFiles(
    context.root,
    documentPaths(context, 'alert_configurations', ALERT_FILES),
  )) {
    files.alertFiles += 1;
    const { value, positionOf } = parseYaml(AlertFile, { file: text.path, text: text.text });
    for (const [g, group] of value.groups.entries()) {
      for (const [r, rule] of group.rules.entries()) {
        const place: Place = { file: text.path, line: positionOf(['groups', g, 'rules', r]).line };
        const name = rule.alert ?? rule.record ?? '';
        const kind = rule.alert === undefined ? 'record' : 'alert';
        files.watches.push(watchOf({ kind, name, expression: rule.expr, ...place }, files.findings));
        if (kind === 'record') continue;
        for (const problem of await alertProblems(context, rule)) {
          files.findings.push(finding(METRIC, 'monitoring/alert', `${name}: ${problem}`, place));
        }
      }
    }
  }
}

const allPanels = (panels: readonly z.infer<typeof Panel>[]): z.infer<typeof Panel>[] =>
  panels.flatMap((panel) => [panel, ...allPanels(panel.panels ?? [])]);

async function readDashboards(context: CollectContext, files: MonitoringFiles): Promise<void> {
  const paths = documentPaths(context, 'monitoring_dashboards', DASHBOARD_FILES);
  for (const text of await readProjectFiles(context.root, paths)) {
    files.dashboardFiles += 1;
    const { value, positionOf } = parseYaml(Dashboard, { file: text.path, text: text.text });
    const place: Place = { file: text.path, line: positionOf(['panels']).line };
    const before = files.watches.length;
    for (const panel of allPanels(value.panels)) {
      const name = `panel "${panel.title ?? 'without a title'}"`;
      for (const { expr } of panel.targets) {
        if (expr === undefined || expr.trim() === '') continue;
        files.watches.push(watchOf({ kind: 'panel', name, expression: expr, ...place }, files.findings));
      }
    }
    if (files.watches.length === before) {
      files.findings.push(
        finding(METRIC, 'monitoring/dashboard', `${text.path} shows nothing: no panel has an expr`, place),
      );
    }
  }
}

/** Reads alert rules (Prometheus) and dashboards (Grafana), or says which file cannot be read. */
export async function readMonitoringFiles(context: CollectContext): Promise<MonitoringFiles | { unreadable: string }> {
  const files: MonitoringFiles = { alertFiles: 0, dashboardFiles: 0, watches: [], findings: [] };
  try {
    await readAlerts(context, files);
    await readDashboards(context, files);
    return files;
  } catch (err) {
    if (!(err instanceof InvalidInputError)) throw err;
    return { unreadable: reasonOf(err) };
  }
}
