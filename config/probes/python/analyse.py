"""Reads the syntax of every file given; executes none of them."""

import ast
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from probe_io import answer, read_input  # noqa: E402  (the folder of the probes must be known first)
from source_file import FUNCTIONS, SourceFile, fault_of  # noqa: E402
from stub_rules import functions_of, stub_of  # noqa: E402
import radon  # noqa: E402
from pyflakes import __version__ as pyflakes_version  # noqa: E402
from pyflakes.checker import Checker  # noqa: E402
from radon.complexity import cc_visit_ast  # noqa: E402
from radon.visitors import ComplexityVisitor, Function  # noqa: E402

# Everything else that pyflakes says is a mistake.
ONLY_WARNINGS = {
    "UnusedImport",
    "UnusedVariable",
    "UnusedAnnotation",
    "RedefinedWhileUnused",
    "ImportShadowedByLoopVar",
    "ImportStarUsed",
    "ImportStarUsage",
    "FStringMissingPlaceholders",
}

plain_visit = ComplexityVisitor.generic_visit


def count_cases(self, node):
    """This radon is older than `match`, and would count none of its cases."""
    if isinstance(node, getattr(ast, "Match", ())):
        self.complexity += sum(1 for case in node.cases if not is_wildcard(case))
    plain_visit(self, node)


def is_wildcard(case):
    return isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None


ComplexityVisitor.generic_visit = count_cases


def lint(source):
    messages = Checker(source.tree, filename=source.file).messages
    for message in sorted(messages, key=lambda each: (each.lineno, each.col)):
        rule = type(message).__name__
        # What a package's front file imports, it hands on.
        if rule == "UnusedImport" and os.path.basename(source.file) == "__init__.py":
            continue
        yield {
            "file": source.file,
            "line": message.lineno,
            "column": message.col + 1,
            "rule": rule,
            "message": message.message % message.message_args,
            "severity": "warning" if rule in ONLY_WARNINGS else "error",
        }


def complexities(source):
    blocks = cc_visit_ast(source.tree)
    # Methods are listed beside their class as well.
    return [
        {"file": source.file, "line": block.lineno, "what": block.fullname, "complexity": block.complexity}
        for block in blocks
        if isinstance(block, Function)
    ]


def exports(source):
    return [
        {
            "file": source.file,
            "line": node.lineno,
            "column": node.col_offset + 1,
            "name": node.name,
            "documented": bool((ast.get_docstring(node) or "").strip()),
        }
        for node in source.tree.body
        if isinstance(node, FUNCTIONS + (ast.ClassDef,)) and not node.name.startswith("_")
    ]


def main():
    report = {
        "python": sys.version.split()[0],
        "radon": radon.__version__,
        "pyflakes": pyflakes_version,
        "files": 0,
        "codeLines": 0,
        "functions": 0,
        "stubs": [],
        "exports": [],
        "messages": [],
        "complexities": [],
        "directives": [],
        "unparsable": [],
    }
    for file in read_input()["files"]:
        try:
            source = SourceFile(file)
        except (SyntaxError, ValueError) as error:
            report["unparsable"].append(fault_of(file, error))
            continue
        functions = functions_of(source.tree)
        report["files"] += 1
        report["codeLines"] += source.code_lines
        report["functions"] += len(functions)
        for function in functions:
            stub = stub_of(function, source)
            if stub is not None:
                place = {"file": file, "line": function.lineno, "column": function.col_offset + 1}
                report["stubs"].append({**place, "rule": stub[0], "message": stub[1]})
        report["exports"] += exports(source)
        report["messages"] += lint(source)
        report["complexities"] += complexities(source)
        report["directives"] += source.directives()
    answer(report)


main()
