"""`make mutants`: how many small faults the unit tests notice, by package; and the faults that they do not.

    python -m mutants.run [--sample N] [--seed N] [--part PART]... [--only TEXT] [--parallel N]

Coverage says first which tests reach which line. Then each mutant is written into a copy of the checkout and the tests
that reach it run there, in a process forked from one that has the large libraries loaded already. A mutant that no
test reaches is one that no test notices. Those of `equivalent.yaml` are no faults, each for the reason given there.

A report goes to build/mutants.json, the score of each package to standard output; the exit code is 1 where a package
that has an aim (AIMS) is below it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue

import coverage
import yaml

from mutants.mutator import Mutant, mutants_of_python, mutants_of_template

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "mcs_operator"
BUILD = ROOT / "build" / "mutants"
EQUIVALENT = Path(__file__).with_name("equivalent.yaml")

_CACHE = ("child", "index", "interning", "namespace", "store")
PARTS: Mapping[str, tuple[str, ...]] = {
    "domain": (
        "domain/**/*.py",
        "api/annotations.py",
        "api/conditions/*.py",
        "api/quantity.py",
        "api/usersfile.py",
    ),
    "contract": ("contract/*.py", "telemetry.py"),
    "admission": ("domain/admission/*.py",),
    "render": ("render/*.py",),
    "templates": ("render/templates/*.j2",),
    "pki": ("pki/*.py",),
    "agent": ("agent/*.py",),
    "kube": ("kube/diff.py", "kube/known.py", "kube/parse/*.py", *(f"kube/cache/{name}.py" for name in _CACHE)),
    "cli": ("cli/*.py",),
    "api": ("api/*.py",),
}
"""What is mutated. Of `kube` the pure parts: the rest is about a server, and is tried against one."""
AIM = 0.95
AIMS = ("domain", "contract", "admission", "render", "templates", "pki", "agent", "kube")
PATIENCE = 120.0
"""Seconds that the tests of one mutant may take; one that goes on for ever is noticed."""
MOST_TESTS = 400
MOST_FAILED = 3
"""Tests that may fail while it is learned which test reaches what: on a busy machine, not because of the code."""
_SOME_FAILED = 1
_NO_SUCH_TEST = 4
"""pytest's exit code where a test that it is given by its name is not there."""
HEAVY = ("pytest", "_pytest.assertion.rewrite", "hypothesis", "pytest_asyncio.plugin", "pytest_timeout", "kopf")
HEAVY_TOO = ("kubernetes.aio.client", "pydantic", "cryptography.x509", "aiohttp.web", "jinja2", "yaml", "click.testing")


@dataclass(frozen=True, slots=True)
class Case:
    """One mutant of one file, and the tests that may notice it."""

    part: str
    file: str
    mutant: Mutant
    tests: tuple[str, ...]
    source: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``noticed`` by a test, or not. ``why``: of one that is equivalent. ``hung``: noticed by its time alone."""

    case: Case
    noticed: bool
    why: str = ""
    hung: bool = False


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__.split("\n\n")[0])
    parser.add_argument("--sample", type=int, default=60, help="mutants of each part; 0: all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which of them (default: %(default)s)")
    parser.add_argument("--part", action="append", choices=PARTS, help="one package, or several (default: all)")
    parser.add_argument("--only", default="", help="files whose path contains this")
    parser.add_argument("--parallel", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    begun = time.monotonic()
    reached = tests_by_line()
    parts = chosen.part or tuple(PARTS)
    cases = list(sampled(all_cases(reached, parts, chosen.only), chosen.sample, chosen.seed))
    print(f"{len(cases)} mutants, tests known after {time.monotonic() - begun:.0f} s", flush=True)
    verdicts = tried(cases, chosen.parallel)
    return told(verdicts)


# ---- which tests reach which line


def tests_by_line() -> dict[str, dict[int, set[str]]]:
    """Names of tests by file (below PACKAGE) and line; one run of all unit tests, in one process.

    Kept by the content of what was run: a second run on the same tree, with another seed, begins at once.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    data = BUILD / f"coverage-{_content()}"
    if not data.exists():
        _measure(data)
    failed = set(data.with_suffix(".failed").read_text().split("\n"))
    measured = coverage.CoverageData(str(data))
    measured.read()
    found: dict[str, dict[int, set[str]]] = {}
    for file in measured.measured_files():
        lines = measured.contexts_by_lineno(file)
        found[str(Path(file).relative_to(PACKAGE))] = {
            line: {test for test in tests if test and test not in failed} for line, tests in lines.items()
        }
    return found


def _content() -> str:
    """A digest of the code, the tests and what they read: by these the lines are reached."""
    digest = hashlib.sha256()
    for name in _files_of_checkout():
        if name.startswith(("docs/", "tests/mutants/")):
            continue
        digest.update(name.encode() + b"\0" + hashlib.sha256((ROOT / name).read_bytes()).digest())
    return digest.hexdigest()[:16]


def _files_of_checkout() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [name for name in filter(None, listed.split("\0")) if (ROOT / name).is_file()]


def _measure(data: Path) -> None:
    for old in data.parent.glob("coverage-*"):
        old.unlink()
    environment = os.environ | {"COVERAGE_FILE": str(data), "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT / 'operator'}"}
    command = [sys.executable, "-m", "coverage", "run", f"--source={PACKAGE}", "-m", "pytest", "-p", "mutants.reach"]
    done = subprocess.run(
        [*command, "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/unit"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    failed = re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE)
    if done.returncode not in (0, _SOME_FAILED) or len(failed) > MOST_FAILED:
        data.unlink(missing_ok=True)
        sys.exit(f"the unit tests fail without any mutant:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    for test in failed:
        print(f"fails without any mutant, and is not asked: {test}", flush=True)
    data.with_suffix(".failed").write_text("\n".join(failed))


def _tests_for(reached: Mapping[str, Mapping[int, set[str]]], file: str, line: int) -> tuple[str, ...]:
    """Those that reach the line; for what runs at import, and for templates, those that reach the module at all, and
    all of the files that are named after it: what looks at a table of the module runs no line of it."""
    if file.endswith(".j2"):
        lines: Mapping[int, set[str]] = {0: set().union(*reached.get("render/openvpn.py", {}).values())}
        line = 0
    else:
        lines = reached.get(file, {})
    own = "openvpn" if file.endswith(".j2") else Path(file).stem
    tests = lines.get(line) or set().union(*lines.values(), _files_named_after(own))
    return tuple(sorted(tests, key=lambda test: (f"test_{own}" not in test, len(test), test))[:MOST_TESTS])


def _files_named_after(module: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "unit").rglob(f"test_{module}*.py")}


# ---- which mutants there are


def all_cases(reached: Mapping[str, Mapping[int, set[str]]], parts: Iterable[str], only: str) -> Iterator[Case]:
    """Every mutant of these parts, with its tests."""
    for part in parts:
        for path in sorted(path for pattern in PARTS[part] for path in PACKAGE.glob(pattern)):
            file = str(path.relative_to(PACKAGE))
            if only not in file:
                continue
            made = mutants_of_template if path.suffix == ".j2" else mutants_of_python
            for mutant in made(path.read_text()):
                yield Case(part, file, mutant, _tests_for(reached, file, mutant.line))


def sampled(cases: Iterable[Case], count: int, seed: int) -> Iterator[Case]:
    """So many of each part, the same ones for the same seed; 0: all."""
    parts: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        parts[case.part].append(case)
    for part, found in parts.items():
        chance = random.Random(f"{seed} {part}")  # noqa: S311 - a sample, no secret
        for case in found if not count or count >= len(found) else chance.sample(found, count):
            yield replace(case, source=case.mutant.source())


# ---- trying them


def tried(cases: list[Case], parallel: int) -> list[Verdict]:
    """What became of each, in some order. Each of the processes has a copy of the checkout."""
    for module in (*HEAVY, *HEAVY_TOO):
        importlib.import_module(module)
    reasons = equivalents()
    trees: SimpleQueue[Path] = SimpleQueue()
    for number in range(parallel):
        trees.put(_copy_of_checkout(BUILD / f"tree-{number}"))

    def judge(case: Case) -> Verdict:
        if why := reasons.get((case.file, case.mutant.before, case.mutant.after), ""):
            return Verdict(case, noticed=False, why=why)
        tree = trees.get()
        try:
            failed = bool(case.tests) and _fail_with(tree, case)
            return Verdict(case, noticed=failed is not False, hung=failed is None)
        finally:
            trees.put(tree)

    verdicts = []
    with ThreadPoolExecutor(parallel) as pool:
        for verdict in pool.map(judge, cases):
            verdicts.append(verdict)
            if not verdict.noticed and not verdict.why:
                print(_survivor(verdict), flush=True)  # at once: a whole run takes long, and may be stopped
            if len(verdicts) % 50 == 0:
                print(f"  {len(verdicts)} of {len(cases)} tried", flush=True)
    return verdicts


def _survivor(verdict: Verdict) -> str:
    case = verdict.case
    untested = "" if case.tests else " (no test)"
    return f"not noticed{untested}: {case.file}:{case.mutant.line}: {case.mutant.before}  ->  {case.mutant.after}"


def _copy_of_checkout(tree: Path) -> Path:
    shutil.rmtree(tree, ignore_errors=True)
    for name in _files_of_checkout():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    return tree


def _fail_with(tree: Path, case: Case) -> bool | None:
    file = tree / PACKAGE.relative_to(ROOT) / case.file
    original = file.read_text()
    file.write_text(case.source)
    try:
        code = _exit_code(tree, case.tests)
        if code == _NO_SUCH_TEST:  # the mutant is in the id of a test: such a test is another one, and none has failed
            code = _exit_code(tree, tuple(dict.fromkeys(test.partition("::")[0] for test in case.tests)))
        return None if code is None else code != 0
    finally:
        file.write_text(original)


def _exit_code(tree: Path, tests: tuple[str, ...]) -> int | None:
    """pytest's; None where the tests are not done in PATIENCE."""
    child = os.fork()
    if child == 0:
        _run_tests(tree, tests)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # what a test that failed has left
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _run_tests(tree: Path, tests: tuple[str, ...]) -> None:
    """In the child: never returns."""
    code = 99
    try:
        os.setsid()
        os.chdir(tree)
        quiet = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(quiet, descriptor)
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        os.environ["PYTHONPATH"] = str(tree / "operator")
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(tree / ".hypothesis")
        for name in [name for name in sys.modules if name.partition(".")[0] in ("mcs_operator", "support", "mutants")]:
            del sys.modules[name]
        sys.path[:] = [path for path in sys.path if not path.startswith(str(ROOT / "operator"))]
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=--import-mode=importlib"]
        code = int(pytest.main([*options, *tests]))
    finally:
        os._exit(code)


# ---- what came of it


def equivalents() -> dict[tuple[str, str, str], str]:
    """Mutants that are no faults: file, before, after, and why."""
    listed = yaml.safe_load(EQUIVALENT.read_text()) or []
    return {(one["file"], one["before"], one["after"]): one["why"] for one in listed}


def told(verdicts: list[Verdict]) -> int:
    """Print the scores; the exit code."""
    below = False
    for part in PARTS:
        counted = [v for v in verdicts if v.case.part == part and not v.why]
        if not counted:
            continue
        score = sum(v.noticed for v in counted) / len(counted)
        equal = sum(1 for v in verdicts if v.case.part == part and v.why)
        below |= part in AIMS and score < AIM
        hung = sum(v.hung for v in counted)
        print(f"{part:10} {score:6.1%} of {len(counted)} noticed ({hung} of them hung), {equal} equivalent")
    rows = [
        {"part": v.case.part, "file": v.case.file, "line": v.case.mutant.line, "before": v.case.mutant.before,
         "after": v.case.mutant.after, "noticed": v.noticed, "hung": v.hung, "equivalent": v.why}
        for v in verdicts
    ]  # fmt: skip
    (BUILD.parent / "mutants.json").write_text(json.dumps(rows, indent=1))
    return int(below)


if __name__ == "__main__":
    sys.exit(main())
