import type { ComponentType } from 'preact';
import type { TabProps } from '../lib/live-run.ts';
import { ActivityTab } from './activity.tsx';
import { CostTab } from './cost.tsx';
import { GatesTab } from './gates.tsx';
import { OverviewTab } from './overview.tsx';
import { later } from '../ui/later.tsx';
import { TimelineTab } from './timeline.tsx';

interface Tab {
  /** Its part of the address. */
  id: string;
  name: string;
  view: ComponentType<TabProps>;
}

/** The tabs of a run, in their order. The first is shown when the address names none. */
export const TABS: readonly Tab[] = [
  { id: 'overview', name: 'Overview', view: OverviewTab },
  { id: 'timeline', name: 'Timeline', view: TimelineTab },
  { id: 'gates', name: 'Gates', view: GatesTab },
  { id: 'files', name: 'Files', view: later(async () => (await import('./files.tsx')).FilesTab) },
  { id: 'changes', name: 'Changes', view: later(async () => (await import('./changes.tsx')).ChangesTab) },
  { id: 'transcript', name: 'Transcript', view: later(async () => (await import('./transcript.tsx')).TranscriptTab) },
  { id: 'cost', name: 'Cost', view: CostTab },
  { id: 'activity', name: 'Activity', view: ActivityTab },
];
