import hljs from 'highlight.js/lib/common';
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';

/** Longer texts are shown without colours: colouring them would hold the page up. */
const MOST_COLOURED = 200_000;
const MOST_LINES = 20_000;
/** Of a line of code, in pixels; the style sheet says the same. */
const LINE_PX = 20;

const BY_NAME: Readonly<Record<string, string>> = { dockerfile: 'bash', makefile: 'makefile' };
const BY_ENDING: Readonly<Record<string, string>> = {
  mjs: 'javascript',
  cjs: 'javascript',
  js: 'javascript',
  ts: 'typescript',
  tsx: 'typescript',
  html: 'xml',
  svg: 'xml',
  yml: 'yaml',
  md: 'markdown',
  py: 'python',
  sh: 'bash',
  toml: 'ini',
};

function languageOf(path: string): string | undefined {
  const name = path.split('/').at(-1)?.toLowerCase() ?? '';
  const ending = name.includes('.') ? (name.split('.').at(-1) ?? '') : '';
  const language = BY_NAME[name] ?? BY_ENDING[ending] ?? ending;
  return hljs.getLanguage(language) === undefined ? undefined : language;
}

/** The text as markup: everything in it is escaped, and the only elements are those of its colours. */
export function coloured(text: string, path: string): { __html: string } | undefined {
  const language = languageOf(path);
  if (language === undefined || text.length > MOST_COLOURED) return undefined;
  return { __html: hljs.highlight(text, { language, ignoreIllegals: true }).value };
}

/** A file with the numbers of its lines, and one of them marked when it was asked for. */
export function Code({ text, path, line }: { text: string; path: string; line?: number | undefined }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const lines = useMemo(() => text.replace(/\n$/, '').split('\n'), [text]);
  const shown = lines.length > MOST_LINES ? lines.slice(0, MOST_LINES).join('\n') : text;
  const html = useMemo(() => coloured(shown, path), [shown, path]);
  const isThere = line !== undefined && line >= 1 && line <= lines.length;
  useEffect(() => {
    if (isThere) box.current?.querySelector('.code-line')?.scrollIntoView({ block: 'center' });
  }, [text, path, line]);
  const numbers = lines.slice(0, MOST_LINES).map((_line, index) => index + 1);
  return (
    <div class="code" tabIndex={0} role="region" aria-label={`Content of ${path}`} ref={box}>
      {isThere && <div class="code-line" style={{ top: `${(line - 1) * LINE_PX}px` }} />}
      <pre class="code-numbers" aria-hidden="true">
        {numbers.join('\n')}
      </pre>
      {html === undefined ? <pre>{shown}</pre> : <pre dangerouslySetInnerHTML={html} />}
      {lines.length > MOST_LINES && (
        <p class="muted">The first {MOST_LINES.toLocaleString()} lines are shown. Download the file for the rest.</p>
      )}
    </div>
  );
}
