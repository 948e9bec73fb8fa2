import { cpSync } from 'node:fs';
import { packagePath } from '../../../src/shared/package-root.ts';
import { Project } from './documents-support.ts';

export const SERVER = 'src/backend/server.js';
export const ALERTS = 'monitoring/alerts/links.yml';
export const DASHBOARD = 'monitoring/dashboards/links.json';

/** A service that keeps its data in DATA_DIR, with alerts and a dashboard. */
export function operatedProject(): Project {
  const project = new Project();
  cpSync(packagePath('tests', 'fixtures', 'ops-links'), project.root, { recursive: true });
  return project;
}
