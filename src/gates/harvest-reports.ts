import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { sha256Of } from '../shared/sha256-of.ts';
import type { Finding } from '../shared/verdict.ts';
import { MAX_REPORT_BYTES, MAX_REPORT_FILES, listFiles, readRegularFile } from './hostile-files.ts';

/** A report of a collector, kept as evidence. */
export interface Report {
  /** `collector/file` */
  name: string;
  /** The fleet's own copy, out of reach of whatever wrote the original. */
  path: string;
  sha256: string;
  bytes: number;
}

/** Copies what a collector left in its folder. Links, FIFOs, devices and oversized files are refused, each with a finding. */
export async function harvestReports(
  collector: string,
  outDir: string,
  reportsDir: string,
): Promise<{ reports: Report[]; findings: Finding[] }> {
  const files = await listFiles(outDir, new Set(['node_modules', '.git']));
  const reports: Report[] = [];
  const findings: Finding[] = [];
  const refuse = (path: string, why: string): void => {
    findings.push({ rule: 'evidence/refused-output', message: `${collector}/${path}: ${why}`, severity: 'warning' });
  };
  let total = 0;
  for (const { path, stats } of files) {
    const bytes = stats.isFile() ? await readRegularFile(join(outDir, path), MAX_REPORT_BYTES - total) : undefined;
    if (!stats.isFile()) refuse(path, 'not a regular file');
    else if (reports.length >= MAX_REPORT_FILES) {
      refuse(path, `more than ${MAX_REPORT_FILES} files; this one and those after it are not kept`);
      return { reports, findings };
    } else if (!bytes) refuse(path, `unreadable, or beyond ${MAX_REPORT_BYTES} bytes for all reports of a collector`);
    else {
      total += bytes.length;
      const target = join(reportsDir, collector, path);
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, bytes);
      const sha256 = await sha256Of(bytes);
      reports.push({ name: `${collector}/${path}`, path: target, sha256, bytes: bytes.length });
    }
  }
  return { reports, findings };
}
