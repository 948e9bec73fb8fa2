"""Runs the test files given with pytest, under the fleet's own settings, and tells of every test on a stream of its own.

Tests run in this very process, as they do under pytest. What remains open: a test can pass without checking anything,
and one that knows this file can send records of its own. What such code would commonly do is seen and told: hooks in
conftest.py that judge tests, tests left out, tests that end the process.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from probe_io import PROJECT, read_input, site_packages  # noqa: E402

sys.path.remove(HERE)
import coverage  # noqa: E402
import pytest  # noqa: E402

GIVEN = read_input()

# A project may prepare its tests, choose their parameters, and mark them; judging them is the runner's alone.
ALLOWED_HOOKS = {
    "pytest_addoption",
    "pytest_assertrepr_compare",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_make_parametrize_id",
    "pytest_report_header",
    "pytest_sessionfinish",
    "pytest_sessionstart",
    "pytest_unconfigure",
}


class Teller:
    """Sends records; every line begins with a word that only this process and its starter know."""

    def __init__(self, word):
        self._word = word
        self._stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._number = 0
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)

    def tell(self, kind, **facts):
        record = {"seq": self._number, "type": kind, **facts}
        self._number += 1
        self._stream.write("%s %s\n" % (self._word, json.dumps(record)))
        self._stream.flush()


def message_of(report):
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return crash.message[:600]
    said = [line for line in str(report.longrepr or "").splitlines() if line.strip()]
    errors = [line[1:].strip() for line in said if line.startswith("E ")]
    return " ".join(errors or said[-1:])[:600]


class Watcher:
    def __init__(self, teller):
        self._teller = teller
        self._items = {}
        self._parts = {}
        self._faults = []
        self._pytest = parts_of_pytest()
        self._changed = set()

    def fault(self, kind, file, message):
        self._faults.append({"kind": kind, "file": file, "message": message[:600]})

    def pytest_collectreport(self, report):
        file = report.nodeid.split("::")[0]
        if report.failed:
            self.fault("crashed", file, message_of(report))
        elif report.skipped:
            self._teller.tell("test", name=file, title=file, file=file, line=1, outcome="skipped", durationMs=0, message="")

    def pytest_itemcollected(self, item):
        self._items[item.nodeid] = item

    def pytest_runtest_logreport(self, report):
        self._parts.setdefault(report.nodeid, []).append(report)
        self._look_at_pytest(report.nodeid.split("::")[0])
        if report.when == "teardown":
            self._tell_test(report.nodeid)

    def _look_at_pytest(self, file):
        for (owner, key), value in self._pytest.items():
            if vars(owner).get(key) is not value and (owner, key) not in self._changed:
                self._changed.add((owner, key))
                self.fault("hook", file, "changes %s.%s" % (owner.__name__, key))

    def _tell_test(self, nodeid):
        reports = self._parts[nodeid]
        failed = next((report for report in reports if report.failed), None)
        expected = any(hasattr(report, "wasxfail") for report in reports)
        skipped = any(report.skipped for report in reports)
        ran = any(report.when == "call" for report in reports)
        if failed is not None:
            outcome = "failed"
        elif expected:
            # Expected to fail, whether it did or not: nothing that counts as passed.
            outcome = "todo"
        elif skipped or not ran:
            outcome = "skipped"
        else:
            outcome = "passed"
        item = self._items.get(nodeid)
        file, line, _ = reports[0].location
        doc = (getattr(getattr(item, "obj", None), "__doc__", None) or "").strip().split("\n")[0]
        self._teller.tell(
            "test",
            name=nodeid.split("::", 1)[-1],
            title=("%s %s" % (nodeid.split("::", 1)[-1], doc)).strip()[:600],
            file=file,
            line=max((line or 0) + 1, 1),
            outcome=outcome,
            durationMs=round(sum(report.duration for report in reports) * 1000, 3),
            message="" if failed is None else message_of(failed),
        )

    def end(self, config, code, lines):
        for nodeid in self._items:
            if not any(report.when == "teardown" for report in self._parts.get(nodeid, [])):
                self.fault("left-out", nodeid.split("::")[0], "%s was collected and never ran" % nodeid)
        manager = config.pluginmanager if config is not None else None
        for plugin in manager.get_plugins() if manager else ():
            name = getattr(plugin, "__name__", type(plugin).__module__)
            if plugin is self or str(name).split(".")[0] in ("_pytest", "pytest"):
                continue
            hooks = {caller.name for caller in manager.get_hookcallers(plugin) or ()} - ALLOWED_HOOKS
            if hooks:
                path = getattr(plugin, "__file__", None) or str(name)
                self.fault("hook", os.path.relpath(path, PROJECT), "defines %s" % ", ".join(sorted(hooks)))
        self._teller.tell("end", exitCode=int(code), faults=self._faults, lines=lines)


def parts_of_pytest():
    """The functions by which pytest judges a test, where they stand."""
    parts = {}
    for name in ("_pytest.runner", "_pytest.reports", "_pytest.python", "pluggy._hooks", "pluggy._callers"):
        module = sys.modules.get(name)
        if module is None:
            continue
        own = [part for part in vars(module).values() if isinstance(part, type) and part.__module__ == name]
        for owner in [module, *own]:
            for key, value in vars(owner).items():
                if callable(value) or isinstance(value, (classmethod, staticmethod, property)):
                    parts[(owner, key)] = value
    return parts


class Keeper:
    """Holds on to pytest's configuration, which is gone when the run has ended."""

    config = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config):
        Keeper.config = config


def executed(cover):
    data = cover.get_data()
    lines = {}
    for path in data.measured_files():
        file = os.path.relpath(path, PROJECT)
        if file in GIVEN["sources"]:
            lines[file] = sorted(data.lines(path) or [])
    return lines


def hide_coverage():
    """Tests that ask for the coverage that is running are told that there is none, so that they cannot add to it."""
    coverage.Coverage._instances.clear()


def main():
    teller = Teller(GIVEN.pop("word"))
    for root in reversed(GIVEN["roots"]):
        sys.path.insert(0, os.path.normpath(os.path.join(PROJECT, root)))
    sys.path.extend(site_packages())
    os.chdir(PROJECT)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    teller.tell(
        "start", cwd=os.getcwd(), python=sys.version.split()[0], pytest=pytest.__version__, coverage=coverage.__version__
    )
    watcher = Watcher(teller)
    cover = coverage.Coverage(data_file=None, config_file=False, source=[PROJECT])
    if GIVEN["coverage"]:
        cover.start()
        hide_coverage()
    config_file = os.path.join(HERE, "pytest.ini")
    settings = ["-c", config_file, "--rootdir", PROJECT, "--confcutdir", PROJECT, "-p", "no:cacheprovider", "-q", "--tb=short"]
    code = pytest.main([*settings, *GIVEN["files"]], plugins=[watcher, Keeper()])
    if GIVEN["coverage"]:
        coverage.Coverage._instances.append(cover)
        cover.stop()
    watcher.end(Keeper.config, code, executed(cover) if GIVEN["coverage"] else {})


main()
