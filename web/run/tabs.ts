import type { ComponentType } from 'preact';
import type { TabProps } from '../lib/live-run.ts';
import { ActivityTab } from './activity.tsx';
import { GatesTab } from './gates.tsx';
import { OverviewTab } from './overview.tsx';

interface Tab {
  /** Its part of the address. */
  id: string;
  name: string;
  view: ComponentType<TabProps>;
}

/** The tabs of a run, in their order. The first is shown when the address names none. */
export const TABS: readonly Tab[] = [
  { id: 'overview', name: 'Overview', view: OverviewTab },
  { id: 'gates', name: 'Gates', view: GatesTab },
  { id: 'activity', name: 'Activity', view: ActivityTab },
];
