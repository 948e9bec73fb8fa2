import type { ComponentType } from 'preact';
import { FleetPage } from './pages/fleet.tsx';
import { RunsPage } from './pages/runs.tsx';
import type { PageProps } from './lib/route.ts';

interface Page {
  /** The first part of its address: `runs` is `#/runs`. */
  path: string;
  /** What the navigation calls it. */
  name: string;
  view: ComponentType<PageProps>;
}

/** The pages, in the order of the navigation. The first is shown when the address names none. */
export const PAGES: readonly Page[] = [
  { path: 'runs', name: 'Runs', view: RunsPage },
  { path: 'fleet', name: 'Fleet', view: FleetPage },
];
