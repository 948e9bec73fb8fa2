import type { RunId } from '../shared/names.ts';
import type { PlannedPhase } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';
import type { Source } from '../shared/workspace.ts';

/**
 * The commits of the phases that a phase needs: what its work begins with. A skipped phase hands on what it was given,
 * so that its own needs stand in its place.
 */
export async function neededSources(store: RunStore, runId: RunId, phase: PlannedPhase): Promise<Source[]> {
  const sources: Source[] = [];
  const seen = new Set<string>();
  const open = [...phase.needs];
  for (let name = open.shift(); name !== undefined; name = open.shift()) {
    if (seen.has(name)) continue;
    seen.add(name);
    const { status, bundle, commit } = await store.getPhase(runId, name);
    if (status === 'skipped' && commit === null) {
      const { phases } = await store.getPlan(runId);
      open.unshift(...(phases.find((planned) => planned.name === name)?.needs ?? []));
    } else if (bundle !== null && commit !== null) sources.push({ label: name, bundle, commit });
  }
  // What the run was handed in stands where no phase came before.
  const { files } = await store.getPlan(runId);
  if (sources.length === 0 && files !== undefined) sources.push({ label: 'the files handed in', ...files });
  return sources;
}
