import { expect, test } from 'vitest';
import { measure, project } from './code-support.ts';
import { pythonProject } from './python-support.ts';

const PYTHON = {
  'pyproject.toml': '[project]\nname = "both"\nversion = "1.0.0"\ndependencies = []\n',
  'src/both.py':
    'def double(n: int) -> int:\n    """Twice n."""\n    return 2 * n\n\n\ndef bare(n: int) -> int:\n    return n\n',
  'tests/test_both.py': 'from both import double\n\n\ndef test_double():\n    assert double(2) == 4\n',
};

test('a project of two stacks is measured by both: counts are added up, the worse ratio counts', async () => {
  const javascript = await project();
  const both = await project(PYTHON);
  const [first, joined] = [await measure('tests', javascript), await measure('tests', both)];
  expect(joined.read('test_count')).toBe(Number(first.read('test_count')) + 1);
  expect(joined.read('test_pass_rate')).toBe(1);
  expect(joined.read('test_coverage')).toBe(Math.min(Number(first.read('test_coverage')), 0.75));
  expect(joined.evidence.map(({ report }) => report)).toEqual(
    expect.arrayContaining(['javascript/junit.xml', 'python/junit.xml', 'python/lcov.info']),
  );
  const docs = await measure('docs-coverage', both);
  expect(docs.read('documentation_coverage')).toBe(0.5);
  expect(docs.of('documentation_coverage').evidence?.[0]?.summary).toContain('the worse of the two counts');
});

test('what one stack cannot establish, the project has not', async () => {
  const measured = await measure('tests', await project({ ...PYTHON, 'tests/test_both.py': null }));
  expect(measured.read('test_pass_rate')).toMatch(/^Python: There is no test file/);
});

test('Python without a manifest in a JavaScript project is refused, not passed over', async () => {
  const measured = await measure('tests', await project({ ...PYTHON, 'pyproject.toml': null }));
  expect(measured.read('test_pass_rate')).toMatch(/src\/both\.py is in a language/);
});

test('JavaScript without a manifest in a Python project is refused, not passed over', async () => {
  const measured = await measure('tests', await pythonProject({ 'src/page.js': 'export const x = 1;\n' }));
  expect(measured.read('test_pass_rate')).toMatch(/src\/page\.js is no Python source/);
});

test('a package that stands at the top, with its tests inside, is measured', async () => {
  const root = await pythonProject({
    src: null,
    tests: null,
    'pack/__init__.py': '',
    'pack/one.py': 'def one() -> int:\n    return 1\n',
    'pack/tests/test_one.py': 'from pack.one import one\n\n\ndef test_one():\n    assert one() == 1\n',
    'scripts/tool.py': 'print(1)\n',
  });
  const measured = await measure('tests', root);
  expect(measured.of('test_coverage')).toEqual({ value: 1, examined: 2 });
  expect((await measure('security', root)).of('security_vulnerabilities')).toMatchObject({ value: 0 });
});
