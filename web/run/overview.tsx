import type { JSX } from 'preact';
import type { TabProps } from '../lib/live-run.ts';
import { Graph } from './graph.tsx';
import { PhasePanel } from './phase-panel.tsx';
import { PhaseTable } from './phase-table.tsx';

/** How the run stands: its phases as a graph and as a table, and what is known of the one that was chosen. */
export function OverviewTab({ run, rest }: TabProps): JSX.Element {
  const [chosen] = rest;
  const node = chosen === undefined ? undefined : run.tree.nodes.get(chosen);
  return (
    <>
      <Graph run={run} chosen={chosen} />
      {node !== undefined && node.kind !== 'part' && <PhasePanel key={node.id} run={run} node={node} />}
      <PhaseTable run={run} />
    </>
  );
}
