import { useEffect, useState } from 'preact/hooks';
import type { LiveCommand } from '../../src/shared/live-commands.ts';

const keyOf = ({ phase, persona, kind, round, toolUseId, startedAt }: LiveCommand): string =>
  [phase, persona, kind, round, toolUseId, startedAt].join('/');

/** What personas of a run are running, as it goes on; nothing once the run has ended. */
export function useCommands(runId: string, hasEnded: boolean): LiveCommand[] {
  const [commands, setCommands] = useState<ReadonlyMap<string, LiveCommand>>(new Map());
  useEffect(() => {
    setCommands(new Map());
    if (hasEnded) return;
    const source = new EventSource(`/api/runs/${encodeURIComponent(runId)}/commands`);
    // After a lost connection everything that runs is told again.
    source.addEventListener('open', () => setCommands(new Map()));
    source.addEventListener('command.output', ({ data }) => {
      const command = commandOf(data);
      setCommands((known) => new Map(known).set(keyOf(command), command));
    });
    source.addEventListener('command.ended', ({ data }) => {
      const key = keyOf(commandOf(data));
      setCommands((known) => new Map([...known].filter(([each]) => each !== key)));
    });
    return () => source.close();
  }, [runId, hasEnded]);
  return [...commands.values()];
}

function commandOf(text: string): LiveCommand {
  // oxlint-disable-next-line typescript/no-unsafe-return -- what the server sends is typed where it is made
  return JSON.parse(text);
}
