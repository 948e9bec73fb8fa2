import { type StructuredPatch, parsePatch } from 'diff';
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { count } from '../lib/format.ts';
import { Fold } from './fold.tsx';

/** A diff of more lines is folded, and opened file by file. */
const MOST_OPEN_LINES = 1_500;

const nameOf = (name: string): string => name.replace(/^[ab]\//, '');
const linesOf = (patch: StructuredPatch): number => patch.hunks.reduce((sum, { lines }) => sum + lines.length, 0);

const pathOf = ({ oldFileName, newFileName }: StructuredPatch): string =>
  nameOf(newFileName === undefined || newFileName === '/dev/null' ? (oldFileName ?? '') : newFileName);

const HOW = { isCreate: 'new', isDelete: 'deleted' } as const;
const howOf = (patch: StructuredPatch): string =>
  (patch.isCreate === true && HOW.isCreate) || (patch.isDelete === true && HOW.isDelete) || '';

/** A unified diff, file by file. */
export function Diff({ text, folds, id }: { text: string; folds: Map<string, boolean>; id: string }): JSX.Element {
  const patches = useMemo(() => parsePatch(text), [text]);
  const isShort = patches.reduce((sum, patch) => sum + linesOf(patch), 0) <= MOST_OPEN_LINES;
  return (
    <>
      {patches.map((patch) => {
        const path = pathOf(patch);
        return (
          <Fold
            key={path}
            folds={folds}
            id={`${id}-${path}`}
            kind="diff-file"
            isOpen={isShort}
            summary={
              <>
                <code>{path}</code> <span class="muted">{howOf(patch)}</span> <Counts patch={patch} />
              </>
            }
          >
            {() => <Hunks patch={patch} path={path} />}
          </Fold>
        );
      })}
    </>
  );
}

function Counts({ patch }: { patch: StructuredPatch }): JSX.Element {
  const lines = patch.hunks.flatMap((hunk) => hunk.lines);
  const added = lines.filter((line) => line.startsWith('+')).length;
  const deleted = lines.filter((line) => line.startsWith('-')).length;
  return <LineCounts lines={patch.isBinary === true ? null : { added, deleted }} />;
}

/** How many lines came and went, told in words to whoever does not see the colours. */
export const LineCounts = ({ lines }: { lines: { added: number; deleted: number } | null }): JSX.Element =>
  lines === null ? (
    <span class="muted nowrap">not text</span>
  ) : (
    <span class="nowrap num" aria-label={`${count(lines.added, 'line')} added, ${lines.deleted} deleted`}>
      <span class="added">+{lines.added.toLocaleString()}</span>{' '}
      <span class="deleted">−{lines.deleted.toLocaleString()}</span>
    </span>
  );

const KIND: Readonly<Record<string, string>> = { '+': 'added', '-': 'deleted', '\\': 'note' };

function Hunks({ patch, path }: { patch: StructuredPatch; path: string }): JSX.Element {
  if (patch.hunks.length === 0)
    return <p class="muted">{patch.isBinary === true ? 'The file is not text.' : 'Its content is as it was.'}</p>;
  return (
    <div class="diff" tabIndex={0} role="region" aria-label={`Changes of ${path}`}>
      {patch.hunks.map((hunk) => (
        <HunkLines key={`${hunk.oldStart}-${hunk.newStart}`} hunk={hunk} />
      ))}
    </div>
  );
}

const range = (start: number, lines: number): string => (lines === 1 ? `${start}` : `${start}–${start + lines - 1}`);
function placeOf({ oldStart, oldLines, newStart, newLines }: StructuredPatch['hunks'][number]): string {
  if (oldLines === 0) return `lines ${range(newStart, newLines)} are new`;
  if (newLines === 0) return `lines ${range(oldStart, oldLines)} are gone`;
  return `lines ${range(oldStart, oldLines)} became ${range(newStart, newLines)}`;
}

export function HunkLines({ hunk }: { hunk: StructuredPatch['hunks'][number] }): JSX.Element {
  let [before, after] = [hunk.oldStart, hunk.newStart];
  return (
    <table class="hunk">
      <tbody>
        <tr class="place">
          <td colSpan={3}>{placeOf(hunk)}</td>
        </tr>
        {hunk.lines.map((line, index) => {
          const sign = line[0] ?? ' ';
          const numbers = [sign === '+' || sign === '\\' ? '' : before, sign === '-' || sign === '\\' ? '' : after];
          if (sign !== '+' && sign !== '\\') before += 1;
          if (sign !== '-' && sign !== '\\') after += 1;
          return (
            <tr key={index} class={KIND[sign] ?? ''}>
              <td class="line-number">{numbers[0]}</td>
              <td class="line-number">{numbers[1]}</td>
              <td>
                <code>{line}</code>
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
