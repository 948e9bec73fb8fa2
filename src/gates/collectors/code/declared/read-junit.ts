import { type XmlElement, descendants, readXml } from './read-xml.ts';
import { refuse } from './refusal.ts';

export interface JUnitCase {
  name: string;
  file: string | undefined;
  outcome: 'passed' | 'failed' | 'skipped';
  message: string;
}

/** Every test case of a report. What the report counts by itself must agree with what it lists. */
export function readJUnit(text: string): JUnitCase[] {
  const root = readXml(text);
  if (root.name !== 'testsuites' && root.name !== 'testsuite')
    refuse(`a JUnit report holds <testsuites>, not <${root.name}>`);
  for (const suite of [root, ...descendants(root, 'testsuite')]) checkCount(suite);
  const cases = descendants(root, 'testcase').map(toCase);
  if (cases.length === 0) refuse('the JUnit report holds no test');
  if (cases.every(({ outcome }) => outcome === 'skipped')) refuse('every test is skipped, so nothing ran');
  return cases;
}

function checkCount(suite: XmlElement): void {
  const said = suite.attributes['tests'];
  const listed = descendants(suite, 'testcase').length;
  if (said !== undefined && Number(said) !== listed) refuse(`the JUnit report says ${said} tests and lists ${listed}`);
  // Faults of a suite outside any test, as when its set-up broke.
  const failures = Number(suite.attributes['failures'] ?? 0) + Number(suite.attributes['errors'] ?? 0);
  const failed = descendants(suite, 'testcase').filter((each) => toCase(each).outcome === 'failed').length;
  if (failures > 0 && failed === 0) refuse(`the JUnit report says ${failures} failures and lists none`);
}

function toCase(each: XmlElement): JUnitCase {
  const { name = '', classname = '', file } = each.attributes;
  const fault = each.children.find((child) => child.name === 'failure' || child.name === 'error');
  const isSkipped = each.children.some((child) => child.name === 'skipped');
  return {
    name: classname === '' ? name : `${classname} ${name}`,
    file,
    outcome: fault ? 'failed' : isSkipped ? 'skipped' : 'passed',
    message: (fault?.attributes['message'] ?? fault?.attributes['type'] ?? '').slice(0, 600),
  };
}
