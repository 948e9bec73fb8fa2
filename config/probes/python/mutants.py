"""Proposes small faults in given lines: a condition turned round, a comparison or a connective swapped, a result
replaced, a statement removed. Which of them are tried is drawn by a hash of the seed: the same files give the same.
"""

import ast
import hashlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from probe_io import answer, read_bytes, read_input  # noqa: E402
from source_file import FUNCTIONS  # noqa: E402

SWAPPED = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", ">="),
    ast.LtE: ("<=", ">"),
    ast.Gt: (">", "<="),
    ast.GtE: (">=", "<"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
# What nobody tests.
IDLE = ("print", "log", "logger", "logging", "warnings", "super")
BOM = b"\xef\xbb\xbf"


class Text:
    """A file's text, with places as the host counts them: in UTF-16 units."""

    def __init__(self, data):
        self._start = len(BOM) if data.startswith(BOM) else 0
        self._data = data
        self._lines = [self._start]
        for index in range(self._start, len(data)):
            if data[index : index + 1] == b"\n":
                self._lines.append(index + 1)

    def bytes_of(self, node):
        return (
            self._lines[node.lineno - 1] + node.col_offset,
            self._lines[node.end_lineno - 1] + node.end_col_offset,
        )

    def of(self, node):
        begin, end = self.bytes_of(node)
        return self._data[begin:end].decode("utf-8")

    def units(self, offset):
        return len(self._data[:offset].decode("utf-8").encode("utf-16-le")) // 2

    def compiles_with(self, node, replacement):
        begin, end = self.bytes_of(node)
        try:
            compile(self._data[self._start : begin] + replacement.encode("utf-8") + self._data[end:], "mutant", "exec")
        except (SyntaxError, ValueError):
            return False
        return True


def is_nothing(node):
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def root_name(node):
    while isinstance(node, (ast.Attribute, ast.Call, ast.Await, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def is_effect(node):
    """A statement whose loss changes what a program does."""
    if isinstance(node, ast.Expr):
        value = node.value.value if isinstance(node.value, ast.Await) else node.value
        return isinstance(value, ast.Call) and root_name(value) not in IDLE
    if isinstance(node, ast.Assign):
        return any(isinstance(target, (ast.Attribute, ast.Subscript)) for target in node.targets)
    return isinstance(node, (ast.AugAssign, ast.Delete, ast.Raise))


def proposals(node, text, in_function):
    if isinstance(node, (ast.If, ast.IfExp)):
        yield node.test, "condition negated", "(not (%s))" % text.of(node.test)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        old, new = SWAPPED[type(node.ops[0])]
        yield node, "%s became %s" % (old, new), "((%s) %s (%s))" % (text.of(node.left), new, text.of(node.comparators[0]))
    elif isinstance(node, ast.BoolOp):
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        parts = (" %s " % new).join("(%s)" % text.of(value) for value in node.values)
        yield node, "%s became %s" % (old, new), "(%s)" % parts
    elif isinstance(node, ast.Return) and not is_nothing(node.value):
        yield node.value, "result became None", "None"
    elif isinstance(node, ast.Lambda) and not is_nothing(node.body):
        yield node.body, "result became None", "None"
    elif in_function and is_effect(node):
        yield node, "statement removed", "pass"


def visit(node, text, in_function, found):
    # What is inside a formatted text has no place of its own in older versions of Python.
    if isinstance(node, ast.JoinedStr):
        return
    if isinstance(node, ast.stmt) or isinstance(node, ast.expr):
        found.extend(proposals(node, text, in_function))
    inside = in_function or isinstance(node, FUNCTIONS)
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                visit(child, text, inside, found)


def mutants_of(file, wanted):
    data = read_bytes(file)
    try:
        data.decode("utf-8")
        tree = ast.parse(data, file)
    except (SyntaxError, ValueError):
        return
    # Lines that end in another way cannot be counted like this.
    if b"\r" in data.replace(b"\r\n", b""):
        return
    text = Text(data)
    found = []
    visit(tree, text, False, found)
    for node, what, replacement in found:
        if node.lineno not in wanted or not text.compiles_with(node, replacement):
            continue
        begin, end = text.bytes_of(node)
        yield {
            "file": file,
            "line": node.lineno,
            "start": text.units(begin),
            "end": text.units(end),
            "replacement": replacement,
            "what": what,
        }


def main():
    given = read_input()
    every = [mutant for each in given["files"] for mutant in mutants_of(each["file"], set(each["lines"]))]

    def rank(mutant):
        key = "\0".join([given["seed"], mutant["file"], str(mutant["start"]), mutant["what"]])
        return hashlib.sha256(key.encode("utf-8")).hexdigest()

    places = set()
    drawn = []
    for mutant in sorted(every, key=rank):
        place = (mutant["file"], mutant["line"])
        if len(drawn) < given["limit"] and place not in places:
            drawn.append(mutant)
        places.add(place)
    answer({"version": sys.version.split()[0], "possible": len(every), "mutants": drawn})


main()
