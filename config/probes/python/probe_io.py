"""What every Python probe needs: its input, its answer, and the folders it was given."""

import json
import os
import sys

PROJECT = sys.argv[1]
TOOLS = sys.argv[2] if len(sys.argv) > 2 else ""

# The fleet's own packages come first, so that nothing in the project can stand in for a tool.
if TOOLS:
    sys.path.insert(0, TOOLS)
sys.dont_write_bytecode = True
# Compiled files that lie about in the project are never read.
sys.pycache_prefix = os.path.join(os.environ.get("TMPDIR", "/tmp"), "pycache")


def read_input():
    return json.loads(sys.stdin.read())


def answer(report):
    sys.stdout.write(json.dumps(report))
    sys.stdout.flush()


def read_bytes(file):
    with open(os.path.join(PROJECT, file), "rb") as handle:
        return handle.read()


def site_packages():
    """Packages that the project brings with it, as a virtual environment at its top."""
    name = "python%d.%d" % sys.version_info[:2]
    found = [os.path.join(PROJECT, venv, "lib", name, "site-packages") for venv in (".venv", "venv")]
    return [path for path in found if os.path.isdir(path)]
