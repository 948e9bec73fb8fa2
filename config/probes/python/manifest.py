"""Which packages a Python project declares and locks. Nothing of it is executed: setup.py is read as syntax."""

import ast
import configparser
import json
import os
import re
import sys
from importlib import metadata

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from probe_io import answer, read_bytes, read_input, site_packages  # noqa: E402

NAME = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
# One version and no other: `==1.2.3`, whatever extras, markers and hashes stand around it.
PINNED = re.compile(r"^\s*[\w.-]+\s*(?:\[[^\]]*\])?\s*\(?\s*={2,3}\s*([^\s,;*()]+)\s*\)?\s*(?:;.*|--hash.*|#.*)?$")
HASH = re.compile(r"--hash[=\s]sha256:([0-9a-f]{64})")


def names(requirements):
    """Requirements that name a package, as they are written."""
    return [requirement for requirement in requirements if NAME.match(requirement)]


def poetry_pin(name, wanted):
    version = wanted.get("version", "") if isinstance(wanted, dict) else wanted
    pin = re.fullmatch(r"(?:==)?(\d[\w.]*)", version) if isinstance(version, str) else None
    return name + "==" + pin.group(1) if pin else name


def name_of(requirement):
    return re.sub(r"[-_.]+", "-", NAME.match(requirement).group(1)).lower()


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
    run += [poetry_pin(*item) for item in poetry.get("dependencies", {}).items() if item[0] != "python"]
    other += [poetry_pin(*item) for item in poetry.get("dev-dependencies", {}).items()]
    for group in poetry.get("group", {}).values():
        other += [poetry_pin(*item) for item in group.get("dependencies", {}).items()]
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
        found.append(line)
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


def locked(file):
    """What a lock file holds: name, version and the hashes of all files of each package."""
    base = os.path.basename(file)
    text = read_bytes(file).decode("utf-8")
    if base == "Pipfile.lock":
        groups = [group for key, group in json.loads(text).items() if key != "_meta"]
        return [
            {"name": name, "version": entry.get("version", "").lstrip("="), "hashes": entry.get("hashes", [])}
            for group in groups
            for name, entry in group.items()
        ]
    import tomllib

    data = tomllib.loads(text)
    found = []
    for entry in data.get("packages" if base == "pylock.toml" else "package", []):
        source = entry.get("source", {})
        if source.get("virtual") or source.get("editable"):
            continue
        files = [*entry.get("files", []), *entry.get("wheels", []), entry.get("sdist") or {}]
        hashes = [each.get("hash") or "sha256:" + each.get("hashes", {}).get("sha256", "") for each in files]
        found.append({"name": entry["name"], "version": entry.get("version", ""), "hashes": hashes})
    return found


def licence(name, version):
    """What the package says of its licence where the project has it installed: an SPDX expression, or a name."""
    for found in metadata.distributions(name=name, path=site_packages()):
        if found.version != version:
            continue
        info = found.metadata
        classifiers = [each.split(" :: ")[-1] for each in info.get_all("Classifier") or [] if each.startswith("License :: OSI")]
        stated = [info.get("License-Expression"), *classifiers, info.get("License")]
        return next((each.strip() for each in stated if each and "\n" not in each.strip() and each != "UNKNOWN"), None)
    return None


def package(file, entry):
    name = name_of(entry["name"])
    digests = [each.split(":", 1)[1] for each in entry["hashes"] if re.fullmatch(r"sha256:[0-9a-f]{64}", each)]
    return {
        "file": file,
        "name": name,
        "version": entry["version"] or None,
        "hashes": sorted(set(digests)),
        "licence": licence(name, entry["version"]),
    }


def main():
    given = read_input()
    sys.path.extend(site_packages())
    report = {"python": sys.version.split()[0], "manifests": 0, "run": [], "other": [], "missing": [], "faults": []}
    report.update({"declared": [], "locked": []})
    for file in given.get("locks", []):
        try:
            report["locked"] += [package(file, entry) for entry in locked(file)]
        except Exception as error:  # Whatever is wrong with a lock file is its reader's to tell.
            report["faults"].append({"file": file, "message": str(error).split("\n")[0]})
    for file in given["files"]:
        try:
            run, other = read(file, given["files"])
        except Exception as error:  # Whatever is wrong with a manifest is its reader's to tell.
            report["faults"].append({"file": file, "message": str(error).split("\n")[0]})
            continue
        report["manifests"] += 1
        report["run"] += [name_of(each) for each in run]
        report["other"] += [name_of(each) for each in other]
        for requirement in [*run, *other]:
            pin = PINNED.match(requirement)
            entry = {"version": pin.group(1) if pin else "", "hashes": ["sha256:" + each for each in HASH.findall(requirement)]}
            report["declared"].append(package(file, {"name": NAME.match(requirement).group(1), **entry}))
    for key in ("run", "other"):
        report[key] = sorted(set(report[key]))
    report["missing"] = [name for name in sorted({*report["run"], *report["other"]}) if not is_installed(name)]
    answer(report)


main()
