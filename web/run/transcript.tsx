import { structuredPatch } from 'diff';
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { BlobRef } from '../../src/shared/run-record.ts';
import { count, millis, paid, tokensOf } from '../lib/format.ts';
import { href } from '../lib/route.ts';
import { type CallOfTalk, type Talk, type TalkBlock, type TalkTurn, resultText, turnsOf } from '../lib/talk.ts';
import { useAsked } from '../lib/use-asked.ts';
import { useCommands } from '../lib/use-commands.ts';
import { Banner, Empty, Loading, OriginMarks, Text } from '../ui/basic.tsx';
import { Code } from '../ui/code.tsx';
import { HunkLines } from '../ui/diff.tsx';
import { Fold } from '../ui/fold.tsx';
import type { TabProps } from '../lib/live-run.ts';
import { CommandsUnderWay } from './commands.tsx';

interface Conversation {
  phase: string;
  /** `PERSONA.work.r0`, as the phase's record names it. */
  name: string;
  label: string;
  ref: BlobRef;
}

const labelOf = (name: string): string => {
  const [, persona = name, kind = 'work', round = '0'] = /^(.+)\.(work|review)\.r(\d+)$/.exec(name) ?? [];
  return `${persona}, ${kind === 'review' ? 'review' : 'work'}, round ${Number(round) + 1}`;
};

/** What personas are running, and what they said and did. */
export function TranscriptTab(props: TabProps): JSX.Element {
  const { id, detail } = props.run;
  const commands = useCommands(id, detail.run.finishedAt !== null);
  return (
    <>
      {commands.length > 0 && <CommandsUnderWay commands={commands} />}
      <Conversations {...props} />
    </>
  );
}

function Conversations({ run, rest }: TabProps): JSX.Element {
  const conversations = run.detail.phases.flatMap(({ phase, transcripts }) =>
    Object.entries(transcripts).map(([name, ref]): Conversation => ({ phase, name, label: labelOf(name), ref })),
  );
  const [phase, name] = rest;
  const current = conversations.find((each) => each.phase === phase && each.name === name) ?? conversations[0];
  if (current === undefined)
    return (
      <Empty title="No conversation has ended yet.">
        <p>
          A conversation is kept here when its persona hands over, and a command is shown while it runs. What else is
          under way is told under Activity.
        </p>
      </Empty>
    );
  return (
    <div class="files">
      <nav class="file-list" aria-label="Conversations">
        <p class="muted">{count(conversations.length, 'conversation')}</p>
        <ul class="tree">
          {conversations.map((each) => (
            <li key={`${each.phase}/${each.name}`}>
              <a
                href={href('runs', run.id, 'transcript', each.phase, each.name)}
                aria-current={each === current ? 'page' : undefined}
              >
                <strong>{each.phase}</strong> {each.label}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <div class="file-content">
        <Shown key={current.ref} run={run} conversation={current} />
      </div>
    </div>
  );
}

function Shown({ run, conversation }: { run: TabProps['run']; conversation: Conversation }): JSX.Element {
  const path = `/api/runs/${run.id}/blobs/${conversation.ref}`;
  const { value, fault } = useAsked<Talk>(path);
  if (fault !== undefined) return <Banner kind="bad">The conversation cannot be read: {fault}</Banner>;
  if (value === undefined) return <Loading what="the conversation" />;
  const { calls } = value;
  const models = [...new Set(calls.flatMap(({ modelAnswered }) => modelAnswered ?? []))].join(', ');
  const hosts = [...new Set(calls.map(({ host }) => host))].join(', ');
  const failed = calls.filter(({ outcome }) => outcome === 'failed');
  // A conversation falls back once, and stays with the other model.
  const fell = calls.find(({ fallbackFrom }) => fallbackFrom !== undefined);
  const used = calls.reduce((sum, { usage }) => sum + tokensOf(usage), 0);
  return (
    <>
      <h2>
        {conversation.phase}: {conversation.label}{' '}
        <OriginMarks
          of={{ simulated: calls.some((call) => call.simulated), replayed: calls.some((call) => call.replayed) }}
        />
      </h2>
      <p class="muted">
        {count(calls.length, 'call')} to {models || 'no model'} at {hosts || 'no host'}, {used.toLocaleString()} tokens.{' '}
        <a href={path} download={`${conversation.phase}-${conversation.name}.json`}>
          Download as JSON
        </a>
      </p>
      {fell?.fallbackFrom !== undefined && (
        <Banner>
          Asked {fell.fallbackFrom}, which was overloaded: answered by {fell.modelAnswered ?? fell.modelAsked} as
          fallback from turn {fell.turn} on.
        </Banner>
      )}
      {failed.length > 0 && (
        <Banner kind="bad">
          {failed.map(({ error }, index) => (
            <div key={index}>A call failed: {error ?? 'no reason was recorded'}</div>
          ))}
        </Banner>
      )}
      {value.refusedCalls.length > 0 && (
        <Banner kind="bad">Asked for and not given: {value.refusedCalls.map(({ tool }) => tool).join(', ')}</Banner>
      )}
      <Turns talk={value} folds={run.look.folds} id={conversation.ref} />
    </>
  );
}

function Turns({ talk, folds, id }: { talk: Talk; folds: Map<string, boolean>; id: string }): JSX.Element {
  const { task, turns } = useMemo(() => turnsOf(talk), [talk]);
  return (
    <>
      <Fold folds={folds} id={`${id}-task`} kind="turn task" summary={<strong>What it was told</strong>}>
        {() => <Text>{task}</Text>}
      </Fold>
      {turns.map((turn, index) => (
        <article key={index} class="turn" aria-label={`Turn ${index + 1}`}>
          <TurnHead number={index + 1} call={turn.call} />
          <Blocks turn={turn} folds={folds} id={`${id}-${index}`} />
        </article>
      ))}
    </>
  );
}

function answeredBy({ modelAsked, modelAnswered, fallbackFrom }: CallOfTalk): string {
  if (fallbackFrom !== undefined)
    return `, asked ${fallbackFrom}, answered by ${modelAnswered ?? modelAsked} as fallback`;
  return modelAnswered === null || modelAnswered === modelAsked ? '' : `, answered by ${modelAnswered}`;
}

const TurnHead = ({ number, call }: { number: number; call: CallOfTalk | undefined }): JSX.Element => (
  <div class="turn-head">
    <h3>Turn {number}</h3>
    {call !== undefined && (
      <span class="muted num">
        {millis(call.latencyMs)}, {tokensOf(call.usage).toLocaleString()} tokens, {paid(call)}
        {answeredBy(call)}
      </span>
    )}
  </div>
);

interface BlocksProps {
  turn: TalkTurn;
  folds: Map<string, boolean>;
  id: string;
}

function Blocks({ turn, folds, id }: BlocksProps): JSX.Element {
  return (
    <>
      {turn.blocks.map((block, index) => {
        if (block.type === 'text')
          return (
            <p key={index} class="said text">
              {block.text}
            </p>
          );
        if (block.type === 'thinking')
          return (
            <Fold key={index} folds={folds} id={`${id}-thought-${index}`} kind="thought" summary="Thought">
              {() => <Text>{block.thinking}</Text>}
            </Fold>
          );
        if (block.type !== 'tool_use')
          return (
            <p key={index} class="muted">
              [{block.type}]
            </p>
          );
        return <Call key={block.id} block={block} turn={turn} folds={folds} id={`${id}-${block.id}`} />;
      })}
      {turn.told.map((text, index) => (
        <p key={index} class="told text">
          {text}
        </p>
      ))}
    </>
  );
}

type Use = Extract<TalkBlock, { type: 'tool_use' }>;

/** One call of a tool: what was asked and what came of it. */
function Call({ block, turn, folds, id }: BlocksProps & { block: Use }): JSX.Element {
  const result = turn.results.get(block.id);
  const isBad = result?.is_error === true;
  const text = result === undefined ? '' : resultText(result);
  return (
    <Fold
      folds={folds}
      id={id}
      kind={`call ${isBad ? 'bad' : ''}`}
      isOpen={isBad}
      summary={
        <>
          <strong>{block.name}</strong> <code>{gistOf(block)}</code>
          {isBad && <span class="pill refused">refused or failed</span>}
        </>
      }
    >
      {() => (
        <>
          <Input block={block} />
          <div class="call-result" tabIndex={0} role="region" aria-label={`Result of ${block.name}`}>
            <pre>{result === undefined ? '(no result was recorded)' : text}</pre>
          </div>
        </>
      )}
    </Fold>
  );
}

/** What a call is about, in a few words. */
function gistOf({ input }: Use): string {
  for (const key of ['path', 'command', 'pattern', 'question', 'summary']) {
    const value = input[key];
    if (typeof value === 'string') return value.split('\n')[0]?.slice(0, 160) ?? '';
  }
  return '';
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value, null, 2));

function Input({ block: { input } }: { block: Use }): JSX.Element {
  const { path, content, old_text: before, new_text: after, ...rest } = input;
  const name = typeof path === 'string' ? path : 'input';
  return (
    <>
      {Object.entries(rest).map(([key, value]) => (
        <div key={key} class="call-field">
          <span class="muted">{key}</span>
          <pre>{textOf(value)}</pre>
        </div>
      ))}
      {content !== undefined && <Code text={textOf(content)} path={name} />}
      {before !== undefined && <Edit before={textOf(before)} after={textOf(after ?? '')} path={name} />}
    </>
  );
}

function Edit({ before, after, path }: { before: string; after: string; path: string }): JSX.Element {
  const { hunks } = useMemo(() => structuredPatch(path, path, `${before}\n`, `${after}\n`), [before, after]);
  return (
    <div class="diff" tabIndex={0} role="region" aria-label={`Edit of ${path}`}>
      {hunks.map((hunk) => (
        <HunkLines key={hunk.oldStart} hunk={hunk} />
      ))}
    </div>
  );
}
