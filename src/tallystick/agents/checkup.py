"""`tally doctor`: every piece that keeps agents to the protocol, proven one by one.

Reads, asks and starts what is installed; changes nothing. A check that cannot look says so, and
holds up no other.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tallystick.agents import canary, codex_checks, found, place_checks, program_checks
from tallystick.agents.manifest import load
from tallystick.agents.pieces import Program
from tallystick.agents.surroundings import tally_home
from tallystick.agents.visit import Visit
from tallystick.clock import Clock
from tallystick.doctor.finding import Finding, fail, warn
from tallystick.errors import TallystickError

Check = Callable[[Visit], Finding]
AgentCheck = Callable[[Visit, str], Finding]

_OF_AN_AGENT: Final[tuple[AgentCheck, ...]] = (
    program_checks.version,
    program_checks.files,
    canary.answers,
    program_checks.duplicates,
)
_OF_CODEX: Final[tuple[AgentCheck, ...]] = (codex_checks.trust, codex_checks.sandbox)
_OF_THE_PROJECT: Final[tuple[Check, ...]] = (
    program_checks.skills,
    program_checks.notes,
    program_checks.tracked,
    place_checks.policy,
    place_checks.mcp,
)
_OF_THE_MACHINE: Final[tuple[Check, ...]] = (
    place_checks.server,
    place_checks.clock,
    place_checks.spool,
    place_checks.disk,
)


def visit_of(
    root: Path, program: Program, *, environment: Mapping[str, str], clock: Clock
) -> Visit:
    """What there is to look at in a project; raises `InvalidError` for a spoiled record."""
    home = found.home_of(environment)
    there = found.look(root, home=home, path=environment.get("PATH"))
    names = {*(one.agent.name for one in there), *load(root).agents}
    return Visit(
        root=root,
        agents=tuple(name for name in found.NAMES if name in names),
        program=program,
        environment=environment,
        home=home,
        tally_home=Path(tally_home(environment)),
        clock=clock,
    )


def examine(visit: Visit) -> list[Finding]:
    """Every finding about a project's agents; takes some seconds, most of them other programs'."""
    if not (visit.root / ".tally").is_dir():
        missing = fail("project", f"{visit.root} is not set up: the guard looks away", "tally init")
        return [missing, *(_looked(check, visit) for check in _OF_THE_MACHINE)]
    findings = list[Finding]()
    if not visit.agents:
        findings.append(
            warn("agents", "none found here, at home or on PATH", "tally init --agent NAME")
        )
    for name in visit.agents:
        checks = (*_OF_AN_AGENT, *(_OF_CODEX if name == "codex" else ()))
        findings += [_looked_at(check, visit, name) for check in checks]
    return findings + [_looked(check, visit) for check in (*_OF_THE_PROJECT, *_OF_THE_MACHINE)]


def _looked_at(check: AgentCheck, visit: Visit, agent: str) -> Finding:
    try:
        return check(visit, agent)
    except (OSError, TallystickError) as error:
        return _unlooked(f"{agent} {check.__name__}", error)


def _looked(check: Check, visit: Visit) -> Finding:
    try:
        return check(visit)
    except (OSError, TallystickError) as error:
        return _unlooked(check.__name__, error)


def _unlooked(name: str, error: OSError | TallystickError) -> Finding:
    """Why a check could not look."""
    if isinstance(error, TallystickError):
        return fail(name, error.detail, error.hint or "tally init, then tally doctor again")
    return fail(name, f"cannot be looked at: {error}", "run this as the project's own user")
