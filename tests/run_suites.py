"""Runs the suites one after another and says what each of them cost and what did not run.

    python tests/run_suites.py check|test|soak [SUITE...]

`make check`, `make test` and `make soak` call it. A suite is a command or a folder of pytest tests.
Programs that tests need are installed when root asks and apt-get is there; else the tests that need
them are skipped, and a loud list at the end says which. With CI=true whatever did not run is a
failure. The last line counts: `N passed, N failed, N skipped`; a command counts as one test.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree as ET

REPOSITORY = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PYTEST = (str(BIN / "python"), "-m", "pytest", "-q", "--no-header", "--tb=short")
LIMIT_SECONDS = 15 * 60
"""A suite that takes longer hangs; all of them together take a fraction of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One line of the report."""

    name: str
    command: tuple[str, ...] = ()
    """Empty for a folder of tests."""
    folder: str = ""
    workers: int = 0
    """Processes of pytest-xdist; 0 where tests share something that only one may have."""
    environment: tuple[tuple[str, str], ...] = ()
    limit_seconds: int = LIMIT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one suite."""

    suite: str
    seconds: float = 0.0
    passed: int = 0
    failed: int = 0
    skipped: tuple[str, ...] = ()
    """Tests that did not run, each with its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Something that tests start, and the Debian package that brings it."""

    name: str
    package: str


GO_SOURCES = Path("/usr/share/gocode/src")
"""Where Debian puts the sources of Go libraries."""

PROGRAMS = (
    Program(name="postgres", package="postgresql"),
    Program(name="git", package="git"),
    Program(name="openssl", package="openssl"),
    Program(name="curl", package="curl"),
    Program(name="cc", package="build-essential"),
    Program(name="go", package="golang-go"),
    Program(name="golang.org/x/mod", package="golang-golang-x-mod-dev"),
    Program(name="npm", package="npm"),
)

AGENTS = Path("build/agents")
"""Where the agents' own programs are installed; tests/agents holds their lock file."""

CLIENTS = Path("build/clients")
"""Where the clients of other trackers are installed, each in an environment of its own."""

CHECK = (
    Suite(name="format", command=(str(BIN / "ruff"), "format", "--check", "--quiet", ".")),
    Suite(name="lint", command=(str(BIN / "ruff"), "check", "--quiet", ".")),
    Suite(name="types", command=(str(BIN / "mypy"), "--no-error-summary")),
    Suite(name="unit", folder="tests/unit", workers=2),
    Suite(name="house", folder="tests/house"),
)
"""The two-minute part; the import contracts are among the house rules."""

REST = (
    Suite(name="property", folder="tests/property", workers=2),
    Suite(name="contract", folder="tests/contract"),
    Suite(name="e2e", folder="tests/e2e", workers=2),
    Suite(name="fault", folder="tests/fault", workers=2),
    Suite(name="foreign", folder="tests/foreign"),
    Suite(name="http", folder="tests/http", workers=2),
    Suite(name="docs", folder="tests/docs"),
    Suite(name="agents", folder="tests/agents"),
    Suite(name="clients", folder="tests/clients", workers=2),
)

SOAK_ROUNDS = 10

SOAK = (
    Suite(
        name="property",
        folder="tests/property",
        workers=2,
        environment=(("TALLY_SOAK", "1"),),
        limit_seconds=4 * 60 * 60,
    ),
    Suite(
        name="http",
        folder="tests/http",
        workers=2,
        environment=(("TALLY_SOAK", "1"),),
        limit_seconds=4 * 60 * 60,
    ),
    Suite(
        name="fault",
        folder="tests/fault",
        workers=2,
        environment=(("TALLY_SOAK", "1"),),
        limit_seconds=2 * 60 * 60,
    ),
    *(
        replace(suite, name=f"{suite.name}-{number}")
        for number in range(1, SOAK_ROUNDS + 1)
        for suite in REST
        if suite.name in {"fault", "e2e"}
    ),
)
"""Many more examples, every step of every fault, and races against the clock again and again."""

PLANS: Mapping[str, tuple[Suite, ...]] = {"check": CHECK, "test": CHECK + REST, "soak": SOAK}


def main(arguments: Sequence[str]) -> int:
    """Run a plan, or the suites of it that were named; returns the exit status."""
    plan = PLANS.get(arguments[0]) if arguments else None
    if plan is None:
        sys.stderr.write("usage: run_suites.py check|test|soak [SUITE...]\n")
        return 2
    wanted = set(arguments[1:]) or {suite.name for suite in plan}
    if unknown := wanted - {suite.name for suite in plan}:
        sys.stderr.write(f"no such suite: {', '.join(sorted(unknown))}\n")
        return 2
    os.chdir(REPOSITORY)
    missing = provide(PROGRAMS) if arguments[0] != "check" else ()
    if "agents" in wanted:
        install_agents()
    if "clients" in wanted:
        install_clients()
    outcomes = [run(suite) for suite in plan if suite.name in wanted]
    strict = is_strict(os.environ)
    print(report(outcomes, missing=missing, strict=strict), flush=True)
    return 0 if is_good(outcomes, missing=missing, strict=strict) else 1


def is_strict(environment: Mapping[str, str]) -> bool:
    """Whether what did not run counts as failed."""
    return environment.get("CI", "").lower() in {"1", "true", "yes"}


def is_good(outcomes: Sequence[Outcome], *, missing: Sequence[Program], strict: bool) -> bool:
    """The verdict: nothing failed, every suite ran something, and in CI everything ran."""
    if any(outcome.failed or not outcome.passed for outcome in outcomes):
        return False
    return not strict or not (missing or any(outcome.skipped for outcome in outcomes))


def run(suite: Suite) -> Outcome:
    """Run one suite, its output shown as it comes."""
    print(f"\n== {suite.name}", flush=True)
    started = time.monotonic()
    if suite.command:
        status = execute(suite.command, suite.environment, limit_seconds=suite.limit_seconds)
        outcome = Outcome(suite=suite.name, passed=int(status == 0), failed=int(status != 0))
    else:
        outcome = run_tests(suite)
    return replace(outcome, seconds=time.monotonic() - started)


def run_tests(suite: Suite) -> Outcome:
    """Run a folder of tests and count from the report that pytest writes."""
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) / "results.xml"
        spread = ("-n", str(suite.workers), "--dist", "loadfile") if suite.workers else ()
        command = (*PYTEST, *spread, "--junitxml", str(results), suite.folder)
        status = execute(command, suite.environment, limit_seconds=suite.limit_seconds)
        content = results.read_text() if results.exists() else ""
    outcome = count(suite.name, content)
    if status != 0 and outcome.failed == 0:  # interrupted, nothing collected, too slow
        return replace(outcome, failed=1)
    return outcome


def count(suite: str, content: str) -> Outcome:
    """The counts in a JUnit report; an empty one counts as a failure."""
    if not content:
        return Outcome(suite=suite, failed=1)
    passed, failed, skipped = 0, 0, []
    for case in ET.fromstring(content).iter("testcase"):
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif skip is not None:
            where = f"{case.get('classname', '')}.{case.get('name', '')}"
            skipped.append(f"{where}: {skip.get('message') or 'no reason given'}")
        else:
            passed += 1
    return Outcome(suite=suite, passed=passed, failed=failed, skipped=tuple(skipped))


def execute(
    command: Sequence[str],
    environment: Sequence[tuple[str, str]],
    *,
    limit_seconds: int = LIMIT_SECONDS,
) -> int:
    """Run a command in a process group of its own; all of it is ended when it takes too long."""
    variables = {**os.environ, **dict(environment)}
    with subprocess.Popen(command, env=variables, process_group=0) as process:
        try:
            return process.wait(limit_seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                print(f"ended after {limit_seconds} s: {' '.join(command)}", flush=True)
                return 124
            raise


def provide(programs: Sequence[Program]) -> tuple[Program, ...]:
    """Install what is missing, as far as this user may; returns what is missing still."""
    missing = [program for program in programs if not is_installed(program)]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = [program.package for program in missing]
        print(f"installing {', '.join(packages)}", flush=True)
        apt = ("apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=300")
        quiet = (("DEBIAN_FRONTEND", "noninteractive"),)
        execute((*apt, "update"), quiet)
        execute((*apt, "install", "--no-install-recommends", *packages), quiet)
    return tuple(program for program in programs if not is_installed(program))


def install_agents() -> None:
    """Bring the agents' programs from the registry, when their lock file is another than before.

    What cannot be had is not installed; the tests that need it say so.
    """
    locked, done = Path("tests/agents/package-lock.json"), AGENTS / "package-lock.json"
    if not shutil.which("npm") or (done.exists() and done.read_bytes() == locked.read_bytes()):
        return
    print("installing the agents that the guard is tested with", flush=True)
    with tempfile.TemporaryDirectory(dir=_made(AGENTS.parent)) as scratch:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(Path("tests/agents") / name, scratch)
        quiet = ("--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        # not `npm ci`: it wants the builds for every other platform to be there, too
        if execute(("npm", "install", "--prefix", scratch, *quiet), ()) == 0:
            shutil.rmtree(AGENTS, ignore_errors=True)
            shutil.move(scratch, AGENTS)
            _made(Path(scratch))


def install_clients() -> None:
    """Bring the clients of other trackers, one environment for each file of requirements.

    What cannot be had is not installed; the tests that need it say so.
    """
    for wanted in sorted(Path("tests/clients/requirements").glob("*.txt")):
        place = CLIENTS / wanted.stem
        done = place / wanted.name
        if done.exists() and done.read_bytes() == wanted.read_bytes():
            continue
        print(f"installing {wanted.stem} that the server is tested with", flush=True)
        shutil.rmtree(place, ignore_errors=True)
        execute((sys.executable, "-m", "venv", str(place)), ())
        pip = (str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check")
        if execute((*pip, "install", "--quiet", "--quiet", "--requirement", str(wanted)), ()) == 0:
            shutil.copy(wanted, done)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def is_installed(program: Program) -> bool:
    """Whether tests will find it; PostgreSQL and sources are looked for where Debian puts them."""
    if program.name == "postgres":
        return bool(shutil.which("initdb") or any(Path("/usr/lib/postgresql").glob("*/bin/initdb")))
    return shutil.which(program.name) is not None or (GO_SOURCES / program.name).is_dir()


def report(outcomes: Sequence[Outcome], *, missing: Sequence[Program], strict: bool) -> str:
    """Seconds and counts by suite, what did not run, and the closing line."""
    rows = [("suite", "seconds", "passed", "failed", "skipped")]
    rows += [_row(outcome) for outcome in outcomes]
    total = Outcome(
        suite="total",
        seconds=sum(outcome.seconds for outcome in outcomes),
        passed=sum(outcome.passed for outcome in outcomes),
        failed=sum(outcome.failed for outcome in outcomes),
        skipped=tuple(line for outcome in outcomes for line in outcome.skipped),
    )
    rows.append(_row(total))
    lines = ["", *(_line(row) for row in rows)]
    empty = [outcome.suite for outcome in outcomes if not outcome.passed and not outcome.failed]
    if missing or total.skipped or empty:
        lines += ["", "!!! DID NOT RUN" + (", and in CI that is a failure" if strict else "")]
        lines += [f"!!! suite {name}: not one test passed" for name in empty]
        lines += [f"!!! {line}" for line in total.skipped]
        lines += [
            f"!!! missing: {program.name} (on Debian and Ubuntu: apt-get install {program.package})"
            for program in missing
        ]
    closing = f"{total.passed} passed, {total.failed} failed, {len(total.skipped)} skipped"
    return "\n".join([*lines, "", closing])


def _row(outcome: Outcome) -> tuple[str, str, str, str, str]:
    return (
        outcome.suite,
        f"{outcome.seconds:.1f}",
        str(outcome.passed),
        str(outcome.failed),
        str(len(outcome.skipped)),
    )


def _line(row: tuple[str, ...]) -> str:
    return f"{row[0]:<10}" + "".join(f"{cell:>9}" for cell in row[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
