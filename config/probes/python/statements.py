"""Sets the lines that ran against the lines that can run, for every file, whether a test loaded it or not."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from probe_io import answer, read_bytes, read_input  # noqa: E402
import coverage  # noqa: E402
from coverage.parser import PythonParser  # noqa: E402
from source_file import SourceFile  # noqa: E402


def main():
    given = read_input()
    summary, unparsable = {}, []
    for file in given["sources"]:
        try:
            text = SourceFile(file).text
        except (SyntaxError, ValueError) as error:
            unparsable.append({"file": file, "message": str(error)})
            continue
        # No line is excluded: comments of the author's have no say.
        parser = PythonParser(text=text, filename=file, exclude=None)
        parser.parse_source()
        ran = parser.translate_lines(given["ran"].get(file, []))
        missed = sorted(parser.statements - ran)
        lines = len(parser.statements)
        summary[file] = {"lines": lines, "covered": lines - len(missed), "uncovered": missed, "statements": sorted(parser.statements)}
    answer({"coverage": coverage.__version__, "summary": summary, "unparsable": unparsable})


main()
