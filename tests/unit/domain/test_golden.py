"""One golden entry per (type, v) ever released: it must decode and fold as on the day it was new.

`tests/vectors/events.json` is a small history in which every entry type occurs. A released entry
is never changed there; a new type or version is added at the end, with the states it leads to.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tallystick.domain.codec import EVENT_TYPES, decode, encode
from tallystick.domain.events import Record
from tallystick.domain.ids import Role, SessionId, TokenId
from tallystick.ledger.canonical import canonical
from tallystick.projections import tables
from tallystick.projections.rows import Shape
from tallystick.projections.world import World

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "events.json").read_text()
)
ENTRIES: list[dict[str, Any]] = GOLDEN["entries"]
NAMES = [f"{entry['seq']}:{entry['type']}" for entry in ENTRIES]

SHAPES: dict[str, Shape[Any]] = {
    "runs": tables.runs,
    "attempts": tables.attempts,
    "sweeps": tables.sweeps,
    "sessions": tables.sessions,
    "tokens": tables.tokens,
    "policy": tables.policy,
    "totals": tables.totals,
    "requests": tables.requests,
    "publications": tables.publications,
    "budgets": tables.budgets,
    "alerts": tables.alerts,
    "cluster": tables.cluster,
    "notices": tables.notices,
    "guard_decisions": tables.decisions,
    "guard_exceptions": tables.exceptions,
    "project_policies": tables.projects,
}


def record_of(entry: dict[str, Any]) -> Record:
    return Record(
        seq=entry["seq"],
        ts=entry["ts"],
        stream=entry["stream"],
        session=None if entry["session"] is None else SessionId(entry["session"]),
        actor=TokenId(entry["actor"]["token"]),
        role=Role(entry["actor"]["role"]),
        event=decode(entry["type"], entry["data"]),
    )


def state_in(world: World, table: str, key: str) -> Any:
    found = {
        "runs": world.run,
        "attempts": world.attempt,
        "sweeps": world.sweep,
        "sessions": world.session,
        "tokens": world.token,
        "policy": lambda _: world.policy(),
        "totals": lambda _: world.totals(),
        "requests": world.request,
        "publications": world.publication,
        "budgets": world.budget,
        "alerts": world.alert,
        "cluster": lambda _: world.cluster(),
        "notices": world.notice,
        "guard_decisions": world.decision,
        "guard_exceptions": world.exception,
        "project_policies": world.project,
    }
    return found[table](key)


def test_every_type_that_was_ever_released_has_a_golden_entry_of_its_version() -> None:
    golden = {(entry["type"], entry["v"]) for entry in ENTRIES}
    assert golden == {(name, 1) for name in EVENT_TYPES}


def test_the_golden_entries_are_a_history_without_gaps_in_canonical_form() -> None:
    assert [entry["seq"] for entry in ENTRIES] == list(range(len(ENTRIES)))
    for entry in ENTRIES:
        envelope = {key: value for key, value in entry.items() if key != "decodes"}
        assert list(envelope) == ["v", "seq", "ts", "type", "stream", "actor", "session", "data"]
        assert canonical(envelope)


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_a_golden_entry_decodes_to_the_same_fields_and_back(entry: dict[str, Any]) -> None:
    event = decode(entry["type"], entry["data"])
    assert type(event) is EVENT_TYPES[entry["type"]]
    assert json.loads(json.dumps(dataclasses.asdict(event))) == entry["decodes"]
    assert encode(event) == entry["data"]


def test_the_golden_history_folds_to_the_same_states() -> None:
    world = World()
    for entry in ENTRIES:
        world.apply(record_of(entry))
    assert set(GOLDEN["states"]) == {shape.table.name for shape in SHAPES.values()}
    for table, rows in GOLDEN["states"].items():
        for key, row in rows.items():
            state = state_in(world, table, key)
            assert state is not None, (table, key)
            assert SHAPES[table].dump(state) == row, (table, key)
