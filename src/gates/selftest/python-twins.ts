import type { Edits } from './self-test.ts';

/** A rule-breaking key id, in pieces, so that no scan of this package takes it for a real one. */
const KEY_ID = ['AKIA', 'ZZZZQQQQRRRRTTTT'].join('');

const branches = Array.from(
  { length: 12 },
  (_, index) => `    if kind == ${index}:\n        return ${index} * 2\n`,
).join('');
const mistakes = Array.from({ length: 8 }, (_, index) => `    print(unknown_${index})\n`).join('');
const copied = Array.from({ length: 14 }, (_, index) => `    total = total + kind * ${index} - count\n`).join('');

/** Code that is wrong in every way that a scan can see: secret, eval, stubs, copies, branches, no docstring, no test. */
const BAD_CODE = `KEY_ID = "${KEY_ID}"


def run(text):
    return eval(text)


def later():
    raise NotImplementedError


def empty():
    pass


def careless():
${mistakes}

def branchy(kind):
${branches}    return 0


def first(kind, count):
    total = 0
${copied}    return total


def second(kind, count):
    total = 0
${copied}    return total
`;

const FEW_TESTS = `import pytest

from links import is_address


def test_passes():
    assert is_address("https://example.com")


def test_fails():
    assert not is_address("https://example.com")


@pytest.mark.skip(reason="later")
def test_is_skipped():
    assert True


@pytest.mark.xfail
def test_is_expected_to_fail():
    assert False
`;

/** One project for every scan of code. */
export const ROTTEN_PYTHON: Edits = {
  'src/links/bad.py': BAD_CODE,
  'tests/unit/test_store.py': FEW_TESTS,
  'tests/acceptance/test_links.py': null,
  'tests/regression/test_bug_1.py': null,
  'tests/security/test_schemes.py': `import pytest


@pytest.mark.skip
def test_nothing_is_checked():
    assert True


def test_what_is_checked_fails():
    assert False
`,
};

/** A declared package of which nothing is known, because no network is asked. */
export const DEPENDENT_PYTHON: Edits = {
  'pyproject.toml': [['dependencies = []', 'dependencies = ["left-pad>=1.3"]']],
};

/** Wrong types alone: everything compiles. */
export const MISTYPED_PYTHON: Edits = {
  'src/links/store.py': [['self._made += 1', 'self._made = "one"']],
};

export const UNPARSABLE_PYTHON: Edits = { 'src/links/store.py': 'def = \n' };

export const CUT_OFF_PYTHON: Edits = {
  'tests/unit/test_store.py': `import os\n\n\ndef test_ends_everything():\n    os._exit(0)\n`,
};

export const JUDGED_PYTHON: Edits = {
  'tests/conftest.py': `import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    result = yield
    result.get_result().outcome = "passed"
`,
};

export const UNGUARDED_PYTHON: Edits = {
  'tests/regression/test_bug_1.py': [['def test_bug_1', 'import pytest\n\n\n@pytest.mark.skip\ndef test_bug_1']],
  'tests/acceptance/test_links.py': [['== "3e9"', '== "another code"']],
};
