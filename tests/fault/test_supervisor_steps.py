"""Every step of a supervisor fails, fails after it was done, or is the moment of its death.

One run for each step and form, all of them on one server; the steps are counted, not listed, so a
new one is covered when it is written. Whatever happens: executed at most once, never running for
ever, the true exit code or nobody's, and the ledger holds.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tallystick.execution.local import LocalBackend
from tallystick.testing.server import ServerProcess, eventually
from tallystick.testing.steps import CHILD_STEPS, Form
from tests.fault.house import check_ledger, house
from tests.fault.stepping import stand_in

CODE = 7
COMMAND = "echo $$ >> '{trace}'; echo '{{\"loss\": 1}}' >> $TALLY_METRICS; exit 7"
MARGIN = 6
"""Beyond what one run counted: its deliveries may have come in fewer requests."""
FEWEST = 0.8
"""Of what one run counted: a busy machine lets others deliver in fewer requests, too."""


NEVER, ONCE, LOST = (0, "lost", None), (1, "failed", CODE), (1, "lost", None)
REFUSED = (0, "failed", None)
ALLOWED: dict[str, set[tuple[int, str, int | None]]] = {
    "": {NEVER},
    "supervisor_started": {NEVER, ONCE, LOST},
    "command_started": {ONCE, LOST},
    "described": {ONCE, LOST},
    "output_sealed": {ONCE, LOST},
    "command_exited": {ONCE},
    "ended": {ONCE, REFUSED},
}
"""Executions, outcome and exit code, by the last record in the journal."""
TABLE = Path(__file__).resolve().parents[2] / "docs/spec/fault-table.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run, and what was to go wrong."""

    run: str
    form: Form
    number: int
    note: Path
    trace: Path

    @property
    def step(self) -> str:
        """The step that went wrong; empty when it never came to that."""
        return self.note.read_text() if self.note.exists() else ""

    @property
    def executions(self) -> int:
        return len(self.trace.read_text().splitlines()) if self.trace.exists() else 0


@contextmanager
def stepping(directory: Path) -> Iterator[ServerProcess]:
    backend = LocalBackend(python=stand_in(directory))
    with house(directory, backend=backend, max_concurrent=6) as server:
        yield server


def submit(server: ServerProcess, sweep: str, form: Form, number: int) -> Case:
    place = server.data_dir.parent / f"{form.value}-{number}"
    trace, note = place.with_suffix(".trace"), place.with_suffix(".note")
    run = server.run(
        sweep, COMMAND.format(trace=trace), env={"FAULT": f"{form.value}:{number}:{note}"}
    )
    return Case(run=run["id"], form=form, number=number, note=note, trace=trace)


def count_steps(server: ServerProcess, sweep: str) -> list[str]:
    case = submit(server, sweep, Form.NONE, 0)
    assert server.ended(case.run)["exit_code"] == CODE
    names = eventually(lambda: case.step).split("\n")
    assert names.pop() == "the end"
    return names


@pytest.fixture(params=[Form.NOT_APPLIED, Form.APPLIED, Form.KILLED], ids=lambda form: form.value)
def seen(request: pytest.FixtureRequest, tmp_path: Path) -> list[tuple[Case, dict[str, Any]]]:
    """Every case with the run as it ended; the ledger was verified after."""
    with stepping(tmp_path) as server:
        sweep = server.sweep()
        names = count_steps(server, sweep)
        assert {"write journal.jsonl", "fsync journal.jsonl", "flock lock"} <= set(names)
        numbers = [*range(1, len(names) + 1 + MARGIN), CHILD_STEPS + 1]
        cases = [submit(server, sweep, request.param, number) for number in numbers]
        ended = [(case, server.ended(case.run)) for case in cases]
        hit = [case for case, _ in ended if case.step]
        assert len(hit) >= FEWEST * len(names)
    check_ledger(tmp_path / "data")
    return ended


def last_record(server_dir: Path, run: str) -> str:
    """The kind of the last record that the run's journal holds; empty when it holds none."""
    for path in server_dir.glob(f"runs/{run}/att_*/journal.jsonl"):
        lines = path.read_text().splitlines()
        return str(json.loads(lines[-1])["record"]["kind"]) if lines else ""
    return ""


def test_no_step_that_goes_wrong_makes_a_run_wrong(
    seen: list[tuple[Case, Any]], tmp_path: Path
) -> None:
    found: Counter[str] = Counter()
    for case, run in seen:
        record = last_record(tmp_path / "data", run["id"])
        told = (case.executions, run["outcome"], run["exit_code"])
        assert told in ALLOWED[record], (case.form.value, case.number, case.step, record, run)
        found[f"{record or 'nothing'}: executed {told[0]}, {told[1]} {told[2]}"] += 1
    print(*(f"{count:4} {what}" for what, count in sorted(found.items())), sep="\n")


def test_the_table_in_the_documentation_has_every_record() -> None:
    table = TABLE.read_text().partition("| Journal holds |")[2].partition("\n\n")[0]
    first = [row.split("|")[1] for row in table.splitlines() if row.count("|") == 4]
    named = {word for cell in first for word in re.findall("`([a-z_]+)`", cell)}
    assert named == set(ALLOWED) - {""}
