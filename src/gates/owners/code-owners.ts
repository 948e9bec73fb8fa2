import type { OwnerOf } from './address-findings.ts';

interface Rule {
  path: readonly string[];
  /** Everything below a matching folder, too. */
  isDeep: boolean;
  /** Only what is below a matching folder. */
  isFolder: boolean;
  owners: string;
}

/** Who owns a path by the text of a CODEOWNERS file: the last line that matches counts, and may name nobody. */
export function codeOwners(text: string): OwnerOf {
  const rules = text.split(/\r?\n/).flatMap(readRule).toReversed();
  return (file) => {
    const path = file.split('/');
    const owners = rules.find((rule) => matches(rule, path))?.owners;
    return owners === '' ? undefined : owners;
  };
}

function readRule(line: string): Rule[] {
  // Sections of GitLab begin with `[Name]` or `^[Name]`.
  if (/^\s*(?:#|\^?\[|!|$)/.test(line)) return [];
  const [pattern = '', ...owners] = line
    .replace(/\s#.*$/, '')
    .trim()
    .split(/(?<!\\)\s+/);
  const path = pattern
    .split('/')
    .filter((part) => part !== '')
    .map((part) => part.replaceAll(/\\(.)/g, '$1'));
  const isAnchored = pattern.slice(0, -1).includes('/');
  const isFolder = pattern.endsWith('/');
  return [
    {
      path: isAnchored ? path : ['**', ...path],
      isDeep: !(isAnchored && path.at(-1) === '*'),
      isFolder,
      owners: owners.join(' '),
    },
  ];
}

const matches = ({ path, isDeep, isFolder }: Rule, file: readonly string[]): boolean =>
  (!isFolder && fits(path, file, fitsPart, isMany)) || (isDeep && fits([...path, '*', '**'], file, fitsPart, isMany));

const isMany = (part: string): boolean => part === '**';
const fitsPart = (part: string, name: string): boolean =>
  fits(
    part.split(''),
    name.split(''),
    (glyph, letter) => glyph === '?' || glyph === letter,
    (glyph) => glyph === '*',
  );

/**
 * Whether a pattern fits, where some of its elements stand for any number of elements. It goes back to the last such
 * element alone, so no pattern, however it is meant, takes longer than its length times that of what it is held against.
 */
function fits(
  pattern: readonly string[],
  value: readonly string[],
  fitsOne: (element: string, one: string) => boolean,
  isAny: (element: string) => boolean,
): boolean {
  let [at, next] = [0, 0];
  let resume: { at: number; next: number } | undefined;
  while (next < value.length) {
    const [element, one] = [pattern[at], value[next] ?? ''];
    if (element !== undefined && isAny(element)) {
      at += 1;
      resume = { at, next };
    } else if (element !== undefined && fitsOne(element, one)) {
      at += 1;
      next += 1;
    } else if (resume) {
      resume.next += 1;
      [at, next] = [resume.at, resume.next];
    } else return false;
  }
  return pattern.slice(at).every(isAny);
}
