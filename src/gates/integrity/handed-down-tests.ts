import type { Finding } from '../../shared/verdict.ts';
import type { ChangedFile } from '../../shared/workspace.ts';
import { type Checked, type IntegrityInput, contextOn } from './integrity-context.ts';
import { isTestCode } from './test-files.ts';
import { type TestShape, readTestShapes } from './test-shapes.ts';

const RULE = 'tamper/handed-down-test';
/** How many changed tests a message names. */
const NAMED = 5;

/**
 * Tests handed down by another persona are locked: whoever must pass a test may not change it. A change that the
 * tests need is the business of the persona who wrote them.
 */
export async function checkHandedDownTests(input: IntegrityInput): Promise<Checked> {
  const { owners, personas, changed } = input;
  const isForeign = (file: string): boolean => {
    const owner = owners.get(file) ?? '';
    return !personas.includes(owner);
  };
  const locked = [...owners.keys()].filter((file) => isTestCode(file) && isForeign(file));
  const touched = changed.filter(({ file, status }) => status !== 'added' && isTestCode(file) && isForeign(file));
  const shapes = await shapesOf(input, touched);
  const findings = touched.map((change): Finding => {
    const owner = owners.get(change.file) || 'an earlier phase';
    return {
      rule: RULE,
      severity: 'error',
      file: change.file,
      message: `this test was handed down by ${owner} and is locked, but it was ${whatHappened(change, shapes)}. Put it back as it was; add tests of your own beside it`,
    };
  });
  const held = findings.length === 0;
  const summary = held
    ? `${locked.length} test files are as they were handed down`
    : `${findings.length} of ${locked.length} test files that were handed down were changed: ${named(touched, shapes)}`;
  return {
    check: {
      check: 'handed_down_tests',
      outcome: held ? (locked.length === 0 ? 'not_applicable' : 'held') : 'violated',
      examined: locked.length,
      message: locked.length === 0 ? 'no test was handed down by another persona' : summary,
      evidence: [{ kind: 'record', summary, tree: input.context.tree }],
    },
    findings,
  };
}

type Shapes = ReadonlyMap<string, { before: TestShape; after: TestShape }>;

async function shapesOf(input: IntegrityInput, touched: readonly ChangedFile[]): Promise<Shapes> {
  const files = touched.filter(({ status }) => status === 'modified').map(({ file }) => file);
  const before = await readTestShapes(contextOn(input.context, input.baseRoot), files);
  const after = await readTestShapes(input.context, files);
  const pairs = new Map<string, { before: TestShape; after: TestShape }>();
  for (const [file, was] of before) {
    const is = after.get(file);
    if (is !== undefined) pairs.set(file, { before: was, after: is });
  }
  return pairs;
}

/** The first of them by name; the findings name them all. */
function named(touched: readonly ChangedFile[], shapes: Shapes): string {
  const first = touched.slice(0, NAMED).map((change) => `${change.file} (${whatHappened(change, shapes)})`);
  return [...first, ...(touched.length > NAMED ? [`and ${touched.length - NAMED} more`] : [])].join(', ');
}

/** What became of a test, in words: the gravest things first. */
function whatHappened(change: ChangedFile, shapes: Shapes): string {
  if (change.status === 'deleted') return 'deleted';
  if (change.status === 'type-changed') return 'replaced by a link or a special file';
  const shape = shapes.get(change.file);
  if (shape === undefined) return 'changed';
  const { before, after } = shape;
  const gone = before.titles.filter((title) => !after.titles.includes(title));
  const said = [
    ...(gone.length > 0 ? [`${gone.length} tests removed or renamed`] : []),
    ...(after.switchedOff > before.switchedOff ? [`${after.switchedOff - before.switchedOff} tests switched off`] : []),
    ...(after.assertions < before.assertions
      ? [`${before.assertions - after.assertions} of ${before.assertions} assertions removed`]
      : []),
  ];
  return said.length === 0 ? 'changed' : `weakened: ${said.join(', ')}`;
}
