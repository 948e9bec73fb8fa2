"""Which packages a Python project declares. Nothing of the project is executed: setup.py is read as syntax."""

import ast
import configparser
import os
import re
import sys
from importlib import metadata

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from probe_io import answer, read_bytes, read_input, site_packages  # noqa: E402

NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def names(requirements):
    return [match.group(1) for match in map(NAME.match, requirements) if match]


def from_pyproject(text):
    import tomllib

    data = tomllib.loads(text)
    project = data.get("project", {})
    if "dependencies" in project.get("dynamic", []):
        raise ValueError("its dependencies are dynamic, so they cannot be read without running the project's build")
    run = names(project.get("dependencies", []))
    other = [name for group in project.get("optional-dependencies", {}).values() for name in names(group)]
    other += [
        name
        for group in data.get("dependency-groups", {}).values()
        for name in names(entry for entry in group if isinstance(entry, str))
    ]
    poetry = data.get("tool", {}).get("poetry", {})
    run += [name for name in poetry.get("dependencies", {}) if name != "python"]
    other += list(poetry.get("dev-dependencies", {}))
    for group in poetry.get("group", {}).values():
        other += list(group.get("dependencies", {}))
    return run, other


def from_requirements(text, folder, given):
    joined = re.sub(r"\\\r?\n", " ", text)
    found = []
    for line in joined.splitlines():
        line = re.sub(r"(^|\s)#.*$", "", line).strip()
        if not line:
            continue
        if line.startswith("-"):
            other = re.match(r"(?:-r|--requirement|-c|--constraint)[\s=]*(.+)$", line)
            if other and os.path.normpath(os.path.join(folder, other.group(1))) in given:
                continue
            if re.match(r"(?:-e|--editable)\s+\.(?:\[[^]]*\])?$|--(?:hash|index-url|extra-index-url)", line):
                continue
            raise ValueError("%r cannot be read as a requirement" % line)
        match = NAME.match(line)
        if match is None:
            raise ValueError("%r cannot be read as a requirement" % line)
        found.append(match.group(1))
    return found


def from_setup_py(text):
    run, other = [], []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.keyword) or node.arg not in ("install_requires", "extras_require", "tests_require"):
            continue
        try:
            value = ast.literal_eval(node.value)
        except ValueError:
            raise ValueError("%s is computed, so it cannot be read without running setup.py" % node.arg) from None
        groups = value.values() if isinstance(value, dict) else [value]
        for group in groups:
            (run if node.arg == "install_requires" else other).extend(
                names(group.splitlines() if isinstance(group, str) else group)
            )
    return run, other


def from_setup_cfg(text):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    run = names(parser.get("options", "install_requires", fallback="").splitlines())
    extras = parser.items("options.extras_require") if parser.has_section("options.extras_require") else []
    return run, [name for _, value in extras for name in names(value.splitlines())]


def is_installed(name):
    try:
        metadata.distribution(name)
        return True
    except metadata.PackageNotFoundError:
        return False


def read(file, given):
    text = read_bytes(file).decode("utf-8")
    base = os.path.basename(file)
    if base == "pyproject.toml":
        return from_pyproject(text)
    if base == "setup.py":
        return from_setup_py(text)
    if base == "setup.cfg":
        return from_setup_cfg(text)
    is_for_running = base == "requirements.txt"
    found = from_requirements(text, os.path.dirname(file), given)
    return (found, []) if is_for_running else ([], found)


def main():
    given = read_input()
    sys.path.extend(site_packages())
    report = {"python": sys.version.split()[0], "manifests": 0, "run": [], "other": [], "missing": [], "faults": []}
    for file in given["files"]:
        try:
            run, other = read(file, given["files"])
        except Exception as error:  # Whatever is wrong with a manifest is its reader's to tell.
            report["faults"].append({"file": file, "message": str(error).split("\n")[0]})
            continue
        report["manifests"] += 1
        report["run"] += run
        report["other"] += other
    for key in ("run", "other"):
        report[key] = sorted({name.lower().replace("_", "-") for name in report[key]})
    report["missing"] = [name for name in sorted({*report["run"], *report["other"]}) if not is_installed(name)]
    answer(report)


main()
