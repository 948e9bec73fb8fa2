import { stacksOf } from '../collectors/code/stack.ts';
import type { PythonShapes } from '../collectors/code/python/reports.ts';
import type { Finding } from '../../shared/verdict.ts';
import { type IntegrityInput, contextOn } from './integrity-context.ts';
import { isTestCode } from './test-files.ts';
import { isPython, readPythonShapes } from './test-shapes.ts';

/** Where pytest looks for its options, at the top of a project. */
const SETTINGS = new Set(['pyproject.toml', 'pytest.ini', '.pytest.ini', 'tox.ini', 'setup.cfg']);

type FileShape = PythonShapes['files'][number];

/**
 * What was added to Python code and settings by which tests are chosen or judged, or tools are told to look away.
 * The fleet's own runs are hardly moved by it, but whoever reads on trusts these files.
 */
export async function pythonTampering({ context, baseRoot, changed }: IntegrityInput): Promise<Finding[]> {
  const wanted = changed.filter(({ file }) => isPython(file) || SETTINGS.has(file));
  const { python } = await stacksOf(context.root);
  if (!python || wanted.length === 0) return [];
  const read = (root: string, absent: 'added' | 'deleted'): Promise<PythonShapes> => {
    const files = wanted.filter(({ status }) => status !== absent && status !== 'type-changed').map(({ file }) => file);
    return readPythonShapes(contextOn(context, root), {
      files: files.filter(isPython),
      settings: files.filter((file) => SETTINGS.has(file)),
    });
  };
  const [before, now] = [await read(baseRoot, 'added'), await read(context.root, 'deleted')];
  return [...hookFindings(before, now), ...directiveFindings(before, now), ...settingFindings(before, now)];
}

function hookFindings(before: PythonShapes, now: PythonShapes): Finding[] {
  const had = new Set(before.files.flatMap(({ file, hooks }) => hooks.map(({ name }) => `${file}\0${name}`)));
  return now.files
    .filter(({ file }) => isTestCode(file))
    .flatMap(({ file, hooks }) =>
      hooks
        .filter(({ name }) => !had.has(`${file}\0${name}`))
        .map(({ name, line }): Finding => ({
          rule: 'tamper/test-hook',
          message: `\`${name}\` was added, which can choose the tests that run or decide what became of them: remove it`,
          severity: 'error',
          file,
          line,
        })),
    );
}

const key = ({ rule, text }: FileShape['directives'][number]): string => `${rule}\0${text}`;

/** A line that moved with its comment is no addition, wherever it went. */
function directiveFindings(before: PythonShapes, now: PythonShapes): Finding[] {
  const known = new Map<string, number>();
  for (const each of before.files.flatMap(({ directives }) => directives))
    known.set(key(each), (known.get(key(each)) ?? 0) + 1);
  return now.files.flatMap(({ file, directives }) =>
    directives.flatMap((each): Finding[] => {
      const left = known.get(key(each)) ?? 0;
      known.set(key(each), left - 1);
      if (left > 0) return [];
      const message = 'a comment that switches a measuring tool off was added: remove it and mend what it hides';
      return [{ rule: each.rule, message, severity: 'error', file, line: each.line }];
    }),
  );
}

function settingFindings(before: PythonShapes, now: PythonShapes): Finding[] {
  const had = new Set(before.settings.flatMap(({ file, options }) => options.map((option) => `${file}\0${option}`)));
  return now.settings.flatMap(({ file, options, fault }): Finding[] => {
    const finding = (message: string): Finding => ({ rule: 'tamper/test-settings', message, severity: 'error', file });
    if (fault !== '') return [finding(`it cannot be read, so nothing says that it leaves no test out: ${fault}`)];
    return options
      .filter((option) => !had.has(`${file}\0${option}`))
      .map((option) => finding(`\`${option.trim()}\` was added, by which tests are left out or replaced: remove it`));
  });
}
