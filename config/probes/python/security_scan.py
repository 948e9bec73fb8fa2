"""Static security scan with bandit; proves first that bandit sees planted defects under this interpreter."""

import logging
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from probe_io import PROJECT, answer, read_input  # noqa: E402
import bandit  # noqa: E402
from bandit.core import config, manager, node_visitor  # noqa: E402

PLANTED = '''
import pickle, subprocess, yaml
password = "correct horse battery"
def run(text, cursor):
    eval(text)
    exec(text)
    subprocess.call(text, shell=True)
    pickle.loads(text)
    yaml.load(text)
    cursor.execute("select * from users where name = '%s'" % text)
    eval(text)  # nosec
'''
EXPECTED = {"B105", "B102", "B301", "B307", "B506", "B602", "B608"}
PASSWORDS = ("B105", "B106", "B107")


def visit_constant(self, node):
    """Interpreters from 3.8 on give one node for every constant, which older versions of bandit pass over."""
    if isinstance(node.value, str):
        self.visit_Str(node)
    elif isinstance(node.value, bytes):
        self.visit_Bytes(node)


if not hasattr(node_visitor.BanditNodeVisitor, "visit_Constant"):
    node_visitor.BanditNodeVisitor.visit_Constant = visit_constant


def scan(paths):
    run = manager.BanditManager(config.BanditConfig(), "file", ignore_nosec=True)
    run.discover_files(paths, False, "")
    run.run_tests()
    skipped = [{"file": file, "message": reason} for file, reason in run.get_skipped()]
    return sorted(run.files_list), skipped, run.results


def prove():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "planted.py")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(PLANTED)
        _, skipped, results = scan([path])
        seen = {issue.test_id for issue in results}
        evals = sum(1 for issue in results if issue.test_id == "B307")
        missing = sorted(EXPECTED - seen) + ([] if evals == 2 else ["nosec"])
        return missing if not skipped else sorted(EXPECTED)


def main():
    logging.disable(logging.CRITICAL)
    files = read_input()["files"]
    missing = prove()
    scanned, skipped, results = scan([os.path.join(PROJECT, file) for file in files])
    def local(path):
        return os.path.relpath(path, PROJECT)
    answer({
        "python": sys.version.split()[0],
        "bandit": bandit.__version__,
        "blindTo": missing,
        "filesScanned": len(scanned),
        "skipped": [{"file": local(each["file"]), "message": each["message"]} for each in skipped],
        "messages": [
            {
                "file": local(issue.fname),
                "line": max(issue.lineno, 1),
                "rule": issue.test_id,
                "message": issue.text,
                # Low severity is advice (an assert, an import); written-down passwords are not.
                "severity": "error"
                if issue.test_id in PASSWORDS or (issue.severity in ("MEDIUM", "HIGH") and issue.confidence != "LOW")
                else "warning",
            }
            for issue in results
        ],
    })


main()
