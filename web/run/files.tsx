import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import type { RunFile, RunFiles } from '../../src/producer/files-schemas.ts';
import { count } from '../lib/format.ts';
import { href, useRoute } from '../lib/route.ts';
import { useAsked, useText } from '../lib/use-asked.ts';
import { Banner, Empty, Loading } from '../ui/basic.tsx';
import { Code } from '../ui/code.tsx';
import { notify } from '../ui/notice.tsx';
import { FileTree } from './file-tree.tsx';
import type { TabProps } from '../lib/live-run.ts';

/** Larger files are downloaded; a page of them helps nobody. */
const MOST_SHOWN_BYTES = 2 * 1024 ** 2;

/** The files that a run, or one of its phases, has handed on. */
export function FilesTab({ run, rest }: TabProps): JSX.Element {
  const { query } = useRoute();
  const phase = query.get('phase') ?? '';
  const [text, setText] = useState('');
  const at = `/api/runs/${run.id}`;
  const asked = phase === '' ? '' : `?phase=${encodeURIComponent(phase)}`;
  // A phase that ended may have changed what there is.
  const version = run.detail.phases.map((each) => `${each.status}${each.commit}${each.rounds.length}`).join();
  const { value, fault } = useAsked<RunFiles>(`${at}/files${asked}`, version);
  const path = rest.join('/');
  const choose = (name: string): void => {
    location.hash = `${href('runs', run.id, 'files', ...rest)}${name === '' ? '' : `?phase=${encodeURIComponent(name)}`}`;
  };
  return (
    <>
      <div class="toolbar">
        <label>
          Work of
          <select value={phase} onChange={({ currentTarget }) => choose(currentTarget.value)}>
            <option value="">the whole run</option>
            {run.detail.phases.map(({ phase: name }) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        <label>
          Find a file
          <input type="search" value={text} onInput={({ currentTarget }) => setText(currentTarget.value)} />
        </label>
        {value !== undefined && value.commit !== null && <TakeHome run={run} at={at} asked={asked} />}
      </div>
      {fault !== undefined && <Banner kind="bad">The files cannot be listed: {fault}</Banner>}
      {value === undefined && fault === undefined && <Loading what="the files" />}
      {value !== undefined && <Listed files={value} run={run} path={path} asked={asked} text={text} />}
    </>
  );
}

interface TabHome {
  run: TabProps['run'];
  at: string;
  asked: string;
}

/** The ways to have the files without this page. */
function TakeHome({ run, at, asked }: TabHome): JSX.Element {
  const clone = `git clone ${location.origin}${at}/repo.git`;
  const copy = (): void =>
    void navigator.clipboard.writeText(clone).then(
      () => notify(`Copied: ${clone}`),
      () => notify(clone),
    );
  return (
    <div class="buttons">
      <a class="button" href={`${at}/files.zip${asked}`} download>
        Zip
      </a>
      <a class="button" href={`${at}/files.bundle${asked}`} download>
        Git bundle
      </a>
      {run.detail.run.finishedAt !== null && (
        <a
          class="button"
          href={`${at}/evidence.jsonl`}
          download
          title="For `maestro verify FILE`, with all it rests on"
        >
          Signed evidence
        </a>
      )}
      <button onClick={copy} title={clone}>
        Copy git clone
      </button>
    </div>
  );
}

interface ListedProps {
  files: RunFiles;
  run: TabProps['run'];
  path: string;
  asked: string;
  text: string;
}

function Listed({ files, run, path, asked, text }: ListedProps): JSX.Element {
  const wanted = text.trim().toLowerCase();
  const found = useMemo(() => files.files.filter((file) => file.path.toLowerCase().includes(wanted)), [files, wanted]);
  if (files.commit === null)
    return (
      <Empty title="No files yet.">
        <p>
          They are here as soon as a phase has passed its gates. Work that is blocked can be chosen above by its phase.
        </p>
      </Empty>
    );
  const file = files.files.find((each) => each.path === path);
  return (
    <>
      {files.conflicts.length > 0 && (
        <Banner kind="blocked">
          The work of {files.leftOut.join(', ')} does not fit with the rest and is not in these files:{' '}
          {files.conflicts.map(({ file: name, labels }) => `${name} (${labels.join(' and ')})`).join(', ')}
        </Banner>
      )}
      <div class="files">
        <nav class="file-list" aria-label="Files">
          <p class="muted">
            {count(found.length, 'file')}
            {files.truncated && ', more than are listed'}, commit <code>{files.commit.slice(0, 12)}</code>
          </p>
          <FileTree
            files={found}
            current={path}
            folds={run.look.folds}
            isSearch={wanted !== ''}
            hrefOf={(name) => `${href('runs', run.id, 'files', ...name.split('/'))}${asked}`}
          />
        </nav>
        <div class="file-content">
          {path === '' && <Empty title="Choose a file." />}
          {path !== '' && file === undefined && <Empty title="There is no such file here." />}
          {file !== undefined && <FileContent key={`${files.commit}/${path}`} run={run} file={file} asked={asked} />}
        </div>
      </div>
    </>
  );
}

function FileContent({ run, file, asked }: { run: TabProps['run']; file: RunFile; asked: string }): JSX.Element {
  const address = `/api/runs/${run.id}/files/${file.path.split('/').map(encodeURIComponent).join('/')}${asked}`;
  const isLarge = file.size > MOST_SHOWN_BYTES;
  const { value, fault } = useText(isLarge ? undefined : address);
  const line = Number(useRoute().query.get('line') ?? '0');
  return (
    <>
      <div class="file-head">
        <h2>
          <code>{file.path}</code>
        </h2>
        <span class="muted">
          {file.size.toLocaleString()} bytes{file.kind === 'file' ? '' : `, a ${file.kind}`}
          {file.persona === null ? '' : `, last changed by ${file.persona}`}
        </span>
        <a class="button" href={address} download={file.path.split('/').at(-1)}>
          Download
        </a>
      </div>
      {fault !== undefined && <Banner kind="bad">The file cannot be read: {fault}</Banner>}
      {isLarge && <Empty title="The file is too large to be shown." />}
      {!isLarge && value === undefined && fault === undefined && <Loading what="the file" />}
      {!isLarge && value === null && <Empty title="The file is not text." />}
      {typeof value === 'string' && <Code text={value} path={file.path} line={line === 0 ? undefined : line} />}
    </>
  );
}
