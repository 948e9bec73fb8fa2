import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { RunFile } from '../../src/producer/files-schemas.ts';
import { Fold } from '../ui/fold.tsx';

interface Folder {
  /** With all that stands before it. */
  path: string;
  name: string;
  folders: Map<string, Folder>;
  files: RunFile[];
  count: number;
}

const newFolder = (path: string, name: string): Folder => ({ path, name, folders: new Map(), files: [], count: 0 });

function foldersOf(files: readonly RunFile[]): Folder {
  const root = newFolder('', '');
  for (const file of files) {
    let at = root;
    at.count += 1;
    for (const name of file.path.split('/').slice(0, -1)) {
      const path = at.path === '' ? name : `${at.path}/${name}`;
      const next = at.folders.get(name) ?? newFolder(path, name);
      at.folders.set(name, next);
      at = next;
      at.count += 1;
    }
    at.files.push(file);
  }
  return root;
}

interface TreeProps {
  files: readonly RunFile[];
  current: string;
  folds: Map<string, boolean>;
  /** What was searched for is shown without opening anything. */
  isSearch: boolean;
  hrefOf: (path: string) => string;
}

/** Folders of up to this many files are open from the start. */
const SMALL = 30;

/** Files by their folders. */
export function FileTree(props: TreeProps): JSX.Element {
  const root = useMemo(() => foldersOf(props.files), [props.files]);
  return <Level {...props} folder={root} />;
}

function Level({ folder, ...props }: TreeProps & { folder: Folder }): JSX.Element {
  const byName = [...folder.folders.values()].toSorted((a, b) => a.name.localeCompare(b.name));
  return (
    <ul class="tree">
      {byName.map((each) => (
        <li key={each.path}>
          <Fold
            // What was found is open, whatever was closed before.
            folds={props.isSearch ? new Map<string, boolean>() : props.folds}
            id={`folder-${each.path}`}
            kind="folder"
            isOpen={props.isSearch || each.count <= SMALL || props.current.startsWith(`${each.path}/`)}
            summary={
              <>
                {each.name}/ <span class="muted">{each.count}</span>
              </>
            }
          >
            {() => <Level {...props} folder={each} />}
          </Fold>
        </li>
      ))}
      {folder.files.map(({ path }) => (
        <li key={path}>
          <a href={props.hrefOf(path)} aria-current={path === props.current ? 'page' : undefined}>
            {path.split('/').at(-1)}
          </a>
        </li>
      ))}
    </ul>
  );
}
