import type { PlannedPhase } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';
import type { RunId } from '../shared/names.ts';
import type { Source } from '../shared/workspace.ts';

/** The commits of the phases that a phase needs: what its work begins with. */
export async function neededSources(store: RunStore, runId: RunId, phase: PlannedPhase): Promise<Source[]> {
  const needed = await Promise.all(phase.needs.map((need) => store.getPhase(runId, need)));
  return needed.flatMap((need) =>
    need.bundle === null || need.commit === null
      ? []
      : [{ label: need.phase, bundle: need.bundle, commit: need.commit }],
  );
}
