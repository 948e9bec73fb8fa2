import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type Chromium, findChromium } from '../../../shared/chromium.ts';
import { FleetError } from '../../../shared/errors.ts';
import type { SandboxMount } from '../../../shared/sandbox/sandbox.ts';
import type { Evidence } from '../../../shared/verdict.ts';
import { type YamlFile, parseYaml } from '../../../shared/yaml-file.ts';
import type { CollectContext, Collector } from '../../collector.ts';
import { readRegularFile } from '../../hostile-files.ts';
import {
  type Reading,
  defineCollector,
  finding,
  measured,
  notEvaluable,
  reasonOf,
} from '../documents/define-collector.ts';
import { REPORT, keepReport, runProbe } from '../documents/probe.ts';
import { documentPaths, readDocument } from '../documents/project-files.ts';
import { type PageInput, PageReport } from './page-report.ts';
import { withService } from './with-service.ts';

const COMPONENTS_PATH = 'docs/design/ui-components.yaml';
const BROWSER = '/opt/chromium';
const OUT = '/out';
/** The only folder that anything beside the page can write to: the report stands above it. */
const SCREENS = 'screens';
const MAX_SCREENSHOT_BYTES = 20 * 1024 ** 2;
const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47]);

const ComponentList = z.strictObject({
  components: z
    .array(z.strictObject({ name: z.string().min(1), selector: z.string().min(1), description: z.string().optional() }))
    .refine((list) => new Set(list.map((component) => component.selector)).size === list.length, {
      message: 'two components have the same selector',
    }),
});
type ComponentFile = YamlFile<z.infer<typeof ComponentList>> & { path: string };

interface Opened {
  components: ComponentFile | undefined;
  report: PageReport | undefined;
  problem: string | undefined;
  evidence: Evidence[];
}

async function readComponents(context: CollectContext): Promise<ComponentFile | undefined> {
  const text = await readDocument(context, 'ui_components', COMPONENTS_PATH);
  return text === undefined
    ? undefined
    : { ...parseYaml(ComponentList, { file: text.path, text: text.text }), path: text.path };
}

/** Screenshots were written next to hostile code: only regular files that begin as PNG count. */
async function screenshotEvidence(
  folder: string,
  names: readonly string[],
  context: CollectContext,
): Promise<Evidence[]> {
  const evidence: Evidence[] = [];
  for (const name of names) {
    const bytes = await readRegularFile(join(folder, name), MAX_SCREENSHOT_BYTES);
    if (bytes?.subarray(0, PNG.length).equals(PNG) !== true)
      throw new FleetError('TOOL_UNAVAILABLE', `${name} is no PNG file`);
    evidence.push({
      kind: 'browser',
      summary: `screenshot of the page, ${bytes.length} bytes`,
      report: `${SCREENS}/${name}`,
      reportSha256: createHash('sha256').update(bytes).digest('hex'),
      tree: context.tree,
    });
  }
  return evidence;
}

function browserMount(browser: Chromium): { mounts: SandboxMount[]; move: (path: string) => string } {
  const { folder } = browser;
  if (folder === undefined) return { mounts: [], move: (path) => path };
  return {
    mounts: [{ host: folder, inside: BROWSER, writable: false }],
    move: (path) => path.replace(folder, BROWSER),
  };
}

async function openPage(
  context: CollectContext,
  components: ComponentFile | undefined,
  browser: Chromium,
): Promise<Opened> {
  const { mounts: browserMounts, move } = browserMount(browser);
  const screens = join(context.outDir, SCREENS);
  await mkdir(screens, { recursive: true });
  const opened = await withService(context, (service) => {
    const mounts: SandboxMount[] = [...browserMounts, { host: screens, inside: OUT, writable: true }, service.mount];
    const inside = (path: string): string => context.sandbox.pathOf(mounts, path);
    const input: PageInput = {
      socket: inside(service.socket),
      browser: { executablePath: inside(move(browser.executablePath)), args: [...browser.args] },
      out: inside(OUT),
      components: (components?.value.components ?? []).map(({ name, selector }) => ({ name, selector })),
    };
    return runProbe(context, {
      script: 'run-page',
      input,
      report: PageReport,
      mounts,
      env: {
        ...(browser.libraryPath === undefined ? {} : { LD_LIBRARY_PATH: move(browser.libraryPath) }),
        ...(browser.fontsPath === undefined ? {} : { FONTCONFIG_PATH: move(browser.fontsPath) }),
      },
      limits: { wallMs: 150_000, memoryBytes: 8 * 1024 ** 3, processes: 512 },
      signal: service.signal,
    });
  });
  const screenshots = await screenshotEvidence(screens, opened.report.screenshots, context);
  await keepReport(context, opened.report);
  const own: Evidence = { ...opened.evidence, tool: 'chromium', toolVersion: opened.report.browser };
  const evidence = [{ ...own, report: REPORT }, ...screenshots];
  return { components, report: opened.report, problem: undefined, evidence };
}

async function prepare(context: CollectContext, cache: string, executablePath: string | undefined): Promise<Opened> {
  // A machine without a browser is no fault of the author: it is thrown, and makes no finding.
  const browser = await findChromium({ cache, executablePath, logger: context.logger });
  const components = await readComponents(context);
  try {
    return await openPage(context, components, browser);
  } catch (err) {
    if (!(err instanceof FleetError) || err.code === 'SANDBOX_UNAVAILABLE') throw err;
    return { components, report: undefined, problem: reasonOf(err), evidence: [] };
  }
}

/** A measure that needs a page that answered with 2xx. */
const onPage =
  (measure: (report: PageReport, opened: Opened, metric: string, context: CollectContext) => Reading) =>
  (opened: Opened, context: CollectContext, metric: string): Reading => {
    const { report } = opened;
    if (report === undefined) {
      return notEvaluable(metric, 'page/not-opened', `the page could not be opened: ${opened.problem ?? 'no report'}`, {
        file: 'package.json',
      });
    }
    if (report.status < 200 || report.status > 299) {
      return notEvaluable(metric, 'page/status', `GET / answered ${report.status}: serve the page there`, {
        file: 'package.json',
      });
    }
    const reading = measure(report, opened, metric, context);
    // What the browser complained about concerns the page as a whole, so it is said once.
    const isFirst = Object.keys(context.metrics)[0] === metric;
    const complaints = isFirst
      ? report.problems.map((problem) => finding(metric, 'page/problem', problem, { severity: 'warning' }))
      : [];
    const findings = [...reading.findings, ...complaints];
    return { findings, value: { ...reading.value, evidence: [...(reading.value.evidence ?? []), ...opened.evidence] } };
  };

const componentMeasure = (count: (visible: number, total: number) => number) =>
  onPage((report, opened, metric, context) => {
    const { components } = opened;
    if (components === undefined || report.components.length === 0) {
      const [path = COMPONENTS_PATH] =
        components === undefined ? documentPaths(context, 'ui_components', COMPONENTS_PATH) : [components.path];
      return notEvaluable(
        metric,
        'page/no-components',
        `${path} names no component: write components: [{name, selector, description}]`,
        { file: path },
      );
    }
    const visible = report.components.filter((component) => component.visible).length;
    const findings = report.components.flatMap((component, index) =>
      component.visible
        ? []
        : [
            finding(metric, 'page/component', `${component.name} (${component.selector}) ${component.seen}`, {
              file: components.path,
              line: components.positionOf(['components', index]).line,
            }),
          ],
    );
    const total = report.components.length;
    return measured(count(visible, total), total, `${visible} of ${total} specified components are visible`, {
      kind: 'browser',
      findings,
    });
  });

/** How much a broken rule weighs against a rule that holds, by what it does to people. */
const IMPACT: Readonly<Record<string, number>> = { minor: 1, moderate: 2, serious: 3, critical: 5 };

/** `passes / (passes + weighted violations)`, over axe's rules. */
const accessibility = onPage((report, _, metric) => {
  const { axe } = report;
  const examined = axe.passes + axe.violations.length;
  if (examined === 0) return notEvaluable(metric, 'page/axe', 'axe found nothing on the page that it could check');
  const weight = axe.violations.reduce((sum, violation) => sum + (IMPACT[violation.impact] ?? 5), 0);
  return measured(
    axe.passes / (axe.passes + weight),
    examined,
    `axe: ${axe.passes} rules hold, ${axe.violations.length} are broken`,
    {
      kind: 'browser',
      evidence: { tool: 'axe-core', toolVersion: axe.version },
      findings: axe.violations.map((violation) =>
        finding(
          metric,
          `axe/${violation.id}`,
          `${violation.help} (${violation.impact}): ${violation.nodes.join(', ')}`,
        ),
      ),
    },
  );
});

const loadTime = onPage((report) =>
  measured(report.loadMs, 1, `GET / loaded in ${report.loadMs} ms`, {
    kind: 'browser',
  }),
);

/** Opens the page in headless Chromium inside the sandbox. */
export const createPageCollector = (options: { cache: string; executablePath?: string | undefined }): Collector =>
  defineCollector({
    id: 'page',
    version: '1',
    timeoutMs: 240_000,
    prepare: (context) => prepare(context, options.cache, options.executablePath),
    measures: {
      ui_component_coverage: componentMeasure((visible, total) => visible / total),
      components_count: componentMeasure((visible) => visible),
      accessibility_score: accessibility,
      page_load_time_ms: loadTime,
    },
  });
