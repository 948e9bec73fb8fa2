"""One Python source file as text, tree, comments and lines of code."""

import ast
import io
import re
import tokenize

from probe_io import read_bytes

NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# Comments by which an author could switch off the very tool that measures the work.
DIRECTIVES = (
    ("tamper/type-ignore", re.compile(r"#\s*type:\s*ignore")),
    ("tamper/mypy-config", re.compile(r"#\s*mypy:")),
    ("tamper/nosec", re.compile(r"#\s*nosec\b", re.I)),
    ("tamper/noqa", re.compile(r"#\s*(?:flake8[:=]\s*|ruff:\s*)?noqa\b", re.I)),
    ("tamper/pylint-disable", re.compile(r"#\s*pylint:\s*(?:disable|skip-file)")),
    ("tamper/coverage-ignore", re.compile(r"#\s*pragma:\s*no\s*(?:cover|branch)", re.I)),
    ("tamper/jscpd-ignore", re.compile(r"jscpd:ignore")),
)


class SourceFile:
    """Raises SyntaxError (or ValueError, for a NUL byte) where the file is no Python."""

    def __init__(self, file):
        self.file = file
        data = read_bytes(file)
        self.tree = ast.parse(data, file)
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        self.text = io.TextIOWrapper(io.BytesIO(data), encoding, newline=None).read()
        tokens = list(tokenize.tokenize(io.BytesIO(data).readline))
        self.comments = [token for token in tokens if token.type == tokenize.COMMENT]
        lines = set()
        for token in tokens:
            if token.type not in NOT_CODE:
                lines.update(range(token.start[0], token.end[0] + 1))
        self.code_lines = len(lines - self._docstring_lines())

    def _docstring_lines(self):
        lines = set()
        for node in ast.walk(self.tree):
            if isinstance(node, FUNCTIONS + (ast.Module, ast.ClassDef)) and ast.get_docstring(node, False) is not None:
                lines.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
        return lines

    def directives(self):
        return [
            {"file": self.file, "line": token.start[0], "column": token.start[1] + 1, "rule": rule}
            for rule, token in self.directive_comments()
        ]

    def directive_comments(self):
        return [
            (rule, token) for token in self.comments for rule, pattern in DIRECTIVES if pattern.search(token.string)
        ]


def fault_of(file, error):
    """Where and why a file is no Python, in the shape of a report."""
    return {
        "file": file,
        "line": max(getattr(error, "lineno", 1) or 1, 1),
        "column": max(getattr(error, "offset", 1) or 1, 1),
        "message": getattr(error, "msg", None) or str(error),
    }
