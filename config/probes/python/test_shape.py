"""Counts by syntax what test files hold, and finds what could keep tests from being run or believed: hooks, comments
that switch tools off, and options in settings. Nothing of the project is executed.
"""

import ast
import configparser
import os
import shlex
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from probe_io import answer, read_bytes, read_input  # noqa: E402
from source_file import FUNCTIONS, SourceFile  # noqa: E402

OFF = {"skip", "skipif", "skipIf", "skipUnless", "xfail", "importorskip", "skipTest", "expectedFailure", "SkipTest"}
RUNNERS = {"pytest", "unittest"}
CHECKS = {"raises", "warns", "deprecated_call", "fail"}
# Hooks that neither choose tests nor say what became of them.
HARMLESS = {
    "pytest_addoption",
    "pytest_assertrepr_compare",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_make_parametrize_id",
    "pytest_report_header",
    "pytest_sessionstart",
    "pytest_unconfigure",
}
NAMES = {"collect_ignore", "collect_ignore_glob", "pytest_plugins"}
# Options by which tests are left out, or other code decides over them.
CHOOSING = ("--deselect", "--ignore", "--ignore-glob", "-k", "-m", "-p", "-o", "--override-ini", "-c", "--confcutdir")
ALONE = ("--co", "--collect-only", "--lf", "--last-failed", "--sw", "--stepwise", "--noconftest", "--fixtures", "--version")
SECTIONS = {"pytest.ini": "pytest", ".pytest.ini": "pytest", "tox.ini": "pytest", "setup.cfg": "tool:pytest"}


def root_of(node):
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def borrowed(tree):
    """What each name of the runners is called in this file."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in RUNNERS:
            for alias in node.names:
                names[alias.asname or alias.name] = alias.name
    return names


def titles_of(body, before=""):
    for node in body:
        if isinstance(node, FUNCTIONS) and node.name.startswith("test"):
            yield before + node.name
        elif isinstance(node, ast.ClassDef):
            yield from titles_of(node.body, "%s%s::" % (before, node.name))


def assertions_of(tree, names):
    count = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            count += 1
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            count += name.startswith("assert") or (name in CHECKS and root_of(node.func) in RUNNERS | {"self"})
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            count += names.get(node.func.id) in CHECKS
    return count


def switched_off(tree, names):
    trusted = RUNNERS | {"self", "cls"} | set(names)
    count = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in OFF:
            count += root_of(node) in trusted
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            count += names.get(node.id) in OFF
    return count


def hook_names(node):
    if isinstance(node, FUNCTIONS):
        yield node.name
    elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name):
                yield target.id
    elif isinstance(node, ast.ImportFrom):
        if (node.module or "").split(".")[0] == "_pytest":
            yield "_pytest"
        for alias in node.names:
            yield alias.asname or alias.name
    elif isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] == "_pytest":
                yield "_pytest"
    elif isinstance(node, ast.Attribute) and node.attr == "register" and "pluginmanager" in ast.dump(node.value):
        yield "pluginmanager.register"


def hooks_of(tree):
    found = []
    for node in ast.walk(tree):
        for name in hook_names(node):
            is_hook = name.startswith("pytest_") and name not in HARMLESS
            if is_hook or name in NAMES or name in ("_pytest", "pluginmanager.register"):
                found.append({"name": name, "line": node.lineno})
    return found


def shape_of(file):
    shape = {"file": file, "assertions": 0, "switchedOff": 0, "titles": [], "hooks": [], "directives": []}
    try:
        source = SourceFile(file)
    except (SyntaxError, ValueError):
        return {**shape, "isPython": False}
    names = borrowed(source.tree)
    lines = source.text.split("\n")
    return {
        "file": file,
        "isPython": True,
        "assertions": assertions_of(source.tree, names),
        "switchedOff": switched_off(source.tree, names),
        "titles": list(titles_of(source.tree.body)),
        "hooks": hooks_of(source.tree),
        "directives": [
            {"rule": rule, "line": token.start[0], "text": lines[token.start[0] - 1].strip()}
            for rule, token in source.directive_comments()
        ],
    }


def section_of(file):
    text = read_bytes(file).decode("utf-8", "replace")
    if file == "pyproject.toml":
        import tomllib

        return tomllib.loads(text).get("tool", {}).get("pytest", {}).get("ini_options", {})
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    section = SECTIONS[file]
    return dict(parser[section]) if parser.has_section(section) else {}


def words_of(value):
    return [str(each) for each in value] if isinstance(value, list) else shlex.split(str(value), comments=True)


def options_of(file):
    section = section_of(file)
    words = words_of(section.get("addopts", ""))
    found = []
    for index, word in enumerate(words):
        following = words[index + 1] if index + 1 < len(words) else ""
        name = word.split("=", 1)[0]
        if word in CHOOSING:
            found.append("%s %s" % (word, following))
        elif (name in CHOOSING and name != word) or word in ALONE:
            found.append(word)
        elif word[:2] in CHOOSING and not word.startswith("--"):
            found.append(word)
    return found + ["%s = %s" % (key, section[key]) for key in ("norecursedirs", "required_plugins") if key in section]


def settings_of(file):
    try:
        return {"file": file, "options": options_of(file), "fault": ""}
    except (ValueError, configparser.Error) as error:
        return {"file": file, "options": [], "fault": str(error)[:300]}


def main():
    given = read_input()
    answer(
        {
            "files": [shape_of(file) for file in given["files"]],
            "settings": [settings_of(file) for file in given["settings"]],
        }
    )


main()
