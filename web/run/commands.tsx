import type { JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { LiveCommand } from '../../src/shared/live-commands.ts';
import { Elapsed, OriginMarks } from '../ui/basic.tsx';

/** What personas are running right now, with the end of what it prints. */
export const CommandsUnderWay = ({ commands }: { commands: LiveCommand[] }): JSX.Element => (
  <section aria-label="Commands under way">
    <h2>Running now</h2>
    {commands.map((command) => (
      <Command key={`${command.phase}/${command.persona}/${command.toolUseId}`} command={command} />
    ))}
  </section>
);

function Command({ command }: { command: LiveCommand }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  // Whoever has scrolled up reads on where they are.
  useLayoutEffect(() => {
    if (box.current !== null && isAtEnd.current) box.current.scrollTop = box.current.scrollHeight;
  }, [command.end]);
  const note = (): void => {
    const { scrollTop = 0, clientHeight = 0, scrollHeight = 0 } = box.current ?? {};
    isAtEnd.current = scrollTop + clientHeight >= scrollHeight - 4;
  };
  const isCut = command.end > command.text.length;
  return (
    <article class="turn" aria-label={`${command.phase}: ${command.tool} under way`}>
      <div class="turn-head">
        <h3>
          {command.phase}: {command.persona} runs <OriginMarks of={command} />
        </h3>
        <span class="muted num">
          for <Elapsed from={command.startedAt} to={null} />, {command.bytes.toLocaleString()} bytes
          {isCut && ', of which the end is shown'}
        </span>
      </div>
      <p>
        <strong>{command.tool}</strong> <code>{command.command}</code>
      </p>
      {command.text === '' ? (
        <p class="muted">Nothing has been printed.</p>
      ) : (
        <div ref={box} onScroll={note} class="call-result" tabIndex={0} role="region" aria-label="What it has printed">
          <pre>{command.text}</pre>
        </div>
      )}
    </article>
  );
}
