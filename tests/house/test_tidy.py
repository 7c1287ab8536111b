"""The tree keeps the rules of the house. Every exception is listed here, with its reason.

An exception that nothing needs any more fails too, so the lists cannot rot.
"""

import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.house import rules
from tests.house.rules import Finding, Module

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "src" / "tallystick"
MODULES = tuple(
    Module.load(file, root=PACKAGE)
    for file in sorted(PACKAGE.rglob("*.py"))
    if "__pycache__" not in file.parts
)
TESTS = tuple(
    Module.load(file, root=REPOSITORY)
    for file in sorted((REPOSITORY / "tests").rglob("*.py"))
    if "__pycache__" not in file.parts and REPOSITORY / "tests/corpus/project" not in file.parents
)

Rule = Callable[[Module], Iterator[Finding]]

ENVIRONMENT = {
    "config.py": "the server's settings",
    "client/config.py": "the client's settings",
    "client/run.py": "the metrics file of the attempt that a job belongs to",
    "supervisor/__main__.py": "the delivery token of a supervisor that an engine started",
    "agents/surroundings.py": "the guard's own directory, and the session that an agent names",
    "testing/server.py": "the server of a test gets a clean environment",
}

CLOCK = {
    "clock.py": "the clock itself",
    "agents/surroundings.py": "the hook has no server; a decision and an exception carry a time",
    "client/run.py": "a job has no server; its rows carry a time",
    "supervisor/process.py": "a supervisor runs where there is no server; its records carry a time",
    "supervisor/relay.py": "jitter keeps a thousand supervisors from asking at once",
}

MONOTONIC = {
    "clock.py": "the clock itself",
    "client/": "how long to wait and when to ask again",
    "cli/": "how long to wait",
    "supervisor/": "deadlines of a process that has no server",
    "execution/ending.py": "when KILL follows TERM; the kernel does not wait for a manual clock",
    "execution/devices.py": "the age of what the driver said",
    "mcp/waiting.py": "how long an agent is kept waiting",
    "api/app.py": "the age of a cached token",
    "testing/": "deadlines of tests",
}

QUERIES = {
    "db/": "the door to the database",
    "ledger/": "entries, payloads, tiles, checkpoints",
    "projections/": "what questions are answered from",
    "testing/": "the suite that every database passes",
}

EVENT_LOOPS = {
    "api/": "the edge",
    "control/feed.py": "waiters hold no thread",
    "server.py": "hands the loop to the feed",
    "client/in_process.py": "a request of a worker thread is answered on the loop",
    "mcp/": "the protocol's SDK is asynchronous; what blocks is done on threads",
}

LAZY = {
    "__init__.py": "names of the SDK are resolved on first use (PEP 562)",
    "__main__.py": "an agent waits for the hook before each command; the command line is larger",
    "shell/": "a command pays only for what its words call for: a grammar, a reader of Python",
    "agents/": "the hook loads a parser only for a command with a trigger word in it",
    "cli/": "a command starts before the server's half is imported",
    "mcp/mounting.py": "a server that nobody asks over MCP never loads the protocol's SDK",
    "execution/nvml.py": "a host without a driver never pays for its binding",
    "store/choosing.py": "object storage is an extra, which need not be installed",
}

BROAD = {
    "client/run.py": (3, "logging never breaks training, whatever is logged"),
    "__main__.py": (1, "a hook that cannot even be imported refuses"),
    "agents/hook.py": (1, "the guard fails closed, whatever fails"),
    "control/service.py": (1, "a loop outlives a bug in one tick"),
    "control/commands.py": (1, "the writer outlives a bug in one command; its caller hears of it"),
    "api/app.py": (1, "the 500 handler"),
    "mcp/server.py": (1, "a bug in one tool call is an answer, and does not end the connection"),
    "db/postgres.py": (1, "a dead idle connection is replaced; all else is raised again"),
}


def breaches(rule: Rule, modules: Iterable[Module] = MODULES) -> list[Finding]:
    return [finding for module in modules for finding in rule(module)]


def excused(path: str, allowed: Mapping[str, str]) -> str | None:
    """The exception that covers a path, be it a file or a folder."""
    return next(
        (key for key in allowed if path == key or (key.endswith("/") and path.startswith(key))),
        None,
    )


@pytest.mark.parametrize(
    "rule",
    [
        rules.globals_declared,
        rules.empty_containers,
        rules.drawer_names,
        rules.file_size,
        rules.function_size,
        rules.positional_parameters,
        rules.class_size,
    ],
)
def test_the_package_has_none_of(rule: Rule) -> None:
    assert [str(finding) for finding in breaches(rule)] == []


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        (rules.environment_reads, ENVIRONMENT),
        (rules.clock_reads, CLOCK),
        (rules.monotonic_reads, MONOTONIC),
        (rules.queries, QUERIES),
        (rules.event_loops, EVENT_LOOPS),
        (rules.lazy_imports, LAZY),
    ],
)
def test_only_the_listed_places_have(rule: Rule, allowed: Mapping[str, str]) -> None:
    found = breaches(rule)
    assert [str(each) for each in found if excused(each.path, allowed) is None] == []
    used = {excused(each.path, allowed) for each in found}
    assert sorted(set(allowed) - used) == [], "exceptions that nothing needs any more"


def test_a_broad_except_is_one_of_those_named() -> None:
    counted = dict.fromkeys(BROAD, 0)
    for finding in breaches(rules.broad_excepts):
        counted[finding.path] = counted.get(finding.path, 0) + 1
    assert counted == {path: number for path, (number, _) in BROAD.items()}


def test_test_files_are_small_and_have_nouns() -> None:
    found = [*breaches(rules.file_size, TESTS), *breaches(rules.globals_declared, TESTS)]
    assert [str(finding) for finding in found] == []


def test_there_is_something_to_look_at() -> None:
    assert len(MODULES) > 100
    assert "domain/run.py" in {module.path for module in MODULES}


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "AGENTS.md"])
def test_paths_named_in_the_map_exist(document: str) -> None:
    named = rules.named_paths((REPOSITORY / document).read_text())
    assert len(named) > 10
    assert [path for path in named if not exists(path)] == []


def exists(path: str) -> bool:
    """Whether a path is one of the repository or of the package; `*` stands for any name."""
    places = (REPOSITORY, PACKAGE)
    return any(any(place.glob(path.rstrip("/"))) for place in places)


def test_the_notes_for_agents_are_short() -> None:
    assert len((REPOSITORY / "AGENTS.md").read_text().splitlines()) <= 150


def texts() -> Iterator[tuple[str, str]]:
    """Every text file that is or would be tracked."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    for name in sorted(set(listed.stdout.decode().split("\0")) - {""}):
        file = REPOSITORY / name
        if not file.is_file() or name in {"LICENSE", "requirements.lock"}:
            continue
        try:
            yield name, file.read_text()
        except UnicodeDecodeError:
            continue


def test_the_text_of_the_project_speaks_of_the_project_alone() -> None:
    found = [str(each) for name, text in texts() for each in rules.private_text(name, text)]
    assert found == []


def test_the_lock_file_has_hashes_and_no_addresses() -> None:
    text = (REPOSITORY / "requirements.lock").read_text()
    pins = re.findall(r"^[a-z0-9][\w.-]*==", text, re.MULTILINE)
    blocks = re.findall(r"^[a-z0-9][\w.-]*==.*\\\n\s+--hash=sha256:", text, re.MULTILINE)
    assert len(pins) > 30
    assert len(pins) == len(blocks), "a pin without a hash"
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE), "an option in the lock file"


def test_the_lock_file_covers_every_dependency() -> None:
    locked = set(re.findall(r"^([a-z0-9][\w.-]*)==", lock_text(), re.MULTILINE))
    asked = re.findall(r'^  "([A-Za-z0-9_.-]+)(?:\[[\w,]+\])?>=', project_text(), re.MULTILINE)
    asked += re.findall(r'[\[ ]"([A-Za-z0-9_.-]+)(?:\[[\w,]+\])?>=', project_text())
    names = {name.lower().replace("_", "-") for name in asked} - {"hatchling"}
    assert len(names) > 15
    assert sorted(names - locked) == []


def lock_text() -> str:
    return (REPOSITORY / "requirements.lock").read_text()


def project_text() -> str:
    return (REPOSITORY / "pyproject.toml").read_text()
