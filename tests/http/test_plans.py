"""Whether a plan keeps to the protocol, and what to add to it: asked of the server (P7.1)."""

import pytest

from tallystick.client.client import Client
from tests.http.door import Door

PLAN = """# Plan

1. Look at the data.
2. Train:

```bash
python train.py --lr 0.1
```
"""


def test_a_plan_that_trains_beside_the_record_is_told_where_and_what_to_add(door: Door) -> None:
    size = door.get("/health")["ledger_size"]
    found = door.post("/plans/check", {"text": PLAN, "name": "PLAN.md"})
    assert (found["needs_experiments"], found["compliant"]) == (True, False)
    place = next(one for one in found["findings"] if "train.py" in one["text"])
    assert place["line"] == PLAN.splitlines().index("python train.py --lr 0.1") + 1
    assert place["code"].startswith("P")
    assert place["name"]
    assert {one["method"] for one in place["calls"]} == {"POST"}
    assert place["cli"]
    assert door.get("/health")["ledger_size"] == size


def test_a_plan_without_experiments_is_compliant(door: Door) -> None:
    found = door.post("/plans/check", {"text": "# Read the paper\n", "kind": "markdown"})
    assert (found["needs_experiments"], found["compliant"], found["findings"]) == (False, True, [])


@pytest.mark.parametrize("body", [{}, {"text": "a\0b"}, {"text": "x", "kind": "poem"}])
def test_what_is_no_plan_is_refused(door: Door, body: dict[str, str]) -> None:
    assert door.call("POST", "/plans/check", json=body).status_code == 422


def test_whoever_may_only_read_may_ask(door: Door) -> None:
    auditor = door.post("/tokens", {"role": "auditor"}, token="admin")["token"]
    with Client(door.url, auditor, session="conversation-1") as client:
        found = client.check_plan("python train.py\n", kind="shell")
    assert not found.compliant
    assert found.findings[0].line == 1
