/** Commands that run another command and end as it ends; some take so many words of their own before it. */
const WRAPPERS: Readonly<Record<string, number>> = {
  npx: 0,
  bunx: 0,
  env: 0,
  time: 0,
  c8: 0,
  nyc: 0,
  'cross-env': 0,
  timeout: 1,
};
const PACKAGE_MANAGERS = ['npm', 'pnpm', 'yarn', 'bun'];
/** Flags of package managers whose value is the next word. */
const WITH_VALUE = ['--prefix', '-C', '--dir', '--cwd', '-w', '--workspace', '--filter', '-F'];
const RUNNERS = ['vitest', 'jest', 'mocha', 'ava', 'tap', 'pytest', 'py.test'];
/** Runners that have to be told to test. */
const TOLD: Readonly<Record<string, readonly string[]>> = {
  go: ['test'],
  cargo: ['test', 'nextest'],
  deno: ['test'],
  playwright: ['test'],
};
/** With these, a runner ends well although it runs no test. */
const RUNS_NOTHING =
  /^(?:-h|-V|--help|--version|--co|--collect-only|--list|--listTests|--no-run|--dry-run|--if-present|--pass-?with-?no-?tests(?:=.*)?)$/i;
const ASSIGNMENT = /^\w+=/;

/** Whether the exit code 0 of a command says that tests ran and passed: it ran them, and no other command can hide how. */
export function endsAsItsTests(command: string): boolean {
  return command === 'run_gates' || (chainOf(command) ?? []).some(runsTests);
}

/**
 * The words of the commands of a `&&` chain, which only ends well when each of them does. Undefined for all that may end
 * otherwise, and for all that a shell would have to be asked about.
 */
function chainOf(command: string): string[][] | undefined {
  const chain: string[][] = [[]];
  const token =
    /\s*(?:(?<and>&&)|(?<redirect>\d*(?:>>?|<)&?\d*|&>>?)|(?<comment>#[^\n]*)|(?<word>(?:'[^']*'|"(?:[^"\\$`]|\\.)*"|\\.|[^\s'"\\;|&<>()`$#]|(?<=\S)#|\$(?!\())+))[^\S\n]*/suy;
  const text = command.trim().replaceAll(/\\\n/g, ' ');
  let isTarget = false;
  while (token.lastIndex < text.length) {
    if (text[token.lastIndex] === '\n') return undefined;
    const found = token.exec(text)?.groups;
    if (found === undefined) return undefined;
    if (found['and'] !== undefined) chain.push([]);
    // A file that is read or written is no word of the command.
    if (found['word'] !== undefined && !isTarget) chain.at(-1)?.push(found['word'].replaceAll(/['"]/g, ''));
    isTarget = found['redirect'] !== undefined && !/&\d+$/.test(found['redirect']);
  }
  return chain;
}

const isFlag = (word: string): boolean => word.startsWith('-');

function runsTests(words: readonly string[]): boolean {
  const from = words.findIndex((word) => !ASSIGNMENT.test(word));
  const [path = '', ...rest] = from < 0 ? [] : words.slice(from);
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (rest.some((word) => RUNS_NOTHING.test(word))) return false;
  if (RUNNERS.includes(name)) return true;
  if (Object.hasOwn(TOLD, name)) return TOLD[name]?.includes(rest.find((word) => !isFlag(word)) ?? '') === true;
  if (name === 'node') return rest.includes('--test');
  if (/^python[\d.]*$/.test(name) || (name === 'coverage' && rest[0] === 'run')) {
    const module = rest[rest.indexOf('-m') + 1] ?? '';
    if (module === 'coverage') return runsTests(rest.slice(rest.indexOf('-m') + 1));
    return rest.includes('-m') && ['pytest', 'unittest'].includes(module);
  }
  if (PACKAGE_MANAGERS.includes(name)) return managerRunsTests(rest);
  if (!Object.hasOwn(WRAPPERS, name)) return false;
  const inner = rest.slice(rest.findIndex((word) => !isFlag(word)));
  return inner.length > 0 && inner.length <= rest.length && runsTests(inner.slice(WRAPPERS[name]));
}

function managerRunsTests(words: readonly string[]): boolean {
  const [first = '', ...rest] = words;
  if (WITH_VALUE.includes(first)) return managerRunsTests(rest.slice(1));
  if (isFlag(first) || first === 'run') return managerRunsTests(rest);
  if (/^(?:test|t|tst)(?:[:_-].*)?$/.test(first)) return true;
  return ['exec', 'x', 'dlx'].includes(first) ? runsTests(rest.filter((word) => word !== '--')) : runsTests(words);
}
