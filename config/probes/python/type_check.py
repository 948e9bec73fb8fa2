"""Compiles every file, and checks the types of the sources with mypy. Executes none of them."""

import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from probe_io import answer, read_bytes, read_input, site_packages  # noqa: E402
from source_file import SourceFile, fault_of  # noqa: E402
import mypy.api  # noqa: E402
from mypy.version import __version__ as mypy_version  # noqa: E402

LINE = re.compile(r"^(?P<file>.+?):(?P<line>\d+)(?::(?P<column>\d+))?: error: (?P<message>.*?)(?:  \[(?P<code>[\w-]+)\])?$")
SWITCHES = ("tamper/type-ignore", "tamper/mypy-config")


def compile_all(files):
    faults = []
    for file in files:
        try:
            compile(read_bytes(file), file, "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            faults.append(fault_of(file, error))
    return faults


def plant(file, folder):
    """A copy in which comments that would switch mypy off have no effect, at equal length."""
    source = SourceFile(file)
    switched = {place["line"] for place in source.directives() if place["rule"] in SWITCHES}
    lines = source.text.split("\n")
    for token in source.comments:
        row, column = token.start
        if row in switched:
            line = lines[row - 1]
            lines[row - 1] = line[:column] + token.string.replace(":", "_") + line[column + len(token.string) :]
    path = os.path.join(folder, file)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as handle:
        handle.write(re.sub(r"coding[:=]", "coding_", lines[0]) + "\n" + "\n".join(lines[1:]))


def check_types(given):
    folder = os.path.realpath(tempfile.mkdtemp())
    for file in given["sources"]:
        plant(file, folder)
    os.chdir(folder)
    os.environ["MYPYPATH"] = os.pathsep.join(os.path.join(folder, root) for root in given["roots"])
    # mypy looks for installed packages where this interpreter does.
    sys.path.extend(site_packages())
    sys.argv = ["mypy"]
    config = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mypy.ini")
    arguments = ["--config-file", config, "--cache-dir", os.devnull, "--no-incremental"]
    out, err, code = mypy.api.run([*arguments, "--", *given["sources"]])
    problems, other = [], []
    for line in out.splitlines():
        match = LINE.match(line)
        if match:
            problems.append(
                {
                    "file": os.path.relpath(os.path.join(folder, match["file"]), folder),
                    "line": max(int(match["line"]), 1),
                    "column": max(int(match["column"] or 1), 1),
                    "code": match["code"] or "misc",
                    "message": match["message"],
                }
            )
        elif ": note: " not in line:
            other.append(line)
    return {"exitCode": code, "problems": problems, "other": "\n".join([*other, err.strip()])[-600:]}


def main():
    given = read_input()
    syntax = compile_all(given["compile"])
    broken = {fault["file"] for fault in syntax}
    types = None if broken & set(given["sources"]) else check_types(given)
    answer({
        "python": sys.version.split()[0],
        "mypy": mypy_version,
        "compiled": len(given["compile"]),
        "checked": 0 if types is None else len(given["sources"]),
        "syntax": syntax,
        "types": types,
    })


main()
