"""Every step of the server fails, fails after it was done, or is the moment of its death.

Commits, files and sockets, those of its client among them; the steps are counted, not listed. After
each the next server starts on what is left: everything acknowledged is there with its receipt,
nothing was created or executed twice, no end was guessed, and the ledger holds.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tallystick.testing.steps import Form

SOAK = os.environ.get("TALLY_SOAK") == "1"
STRIDE = 1 if SOAK else 27
"""All steps by hand; a few, others for each form, in CI: a case takes about two seconds."""
FIRST = {Form.NOT_APPLIED: 21, Form.APPLIED: 12, Form.KILLED: 3}
SERVED = 43
"""Fewer steps than it takes to answer for the first time: any before may keep it from starting."""


def stepping(*arguments: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.fault.stepping_server", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.timeout(3600 if SOAK else 300)
@pytest.mark.parametrize("form", FIRST, ids=lambda form: form.value)
def test_no_step_that_goes_wrong_makes_the_record_wrong(tmp_path: Path, form: Form) -> None:
    (counted,) = stepping(str(tmp_path), "none")
    assert (counted["served"], counted["recovered"]) == (0, 0), counted
    steps = counted["steps"]
    assert {"commit", "fsync posted.jsonl", "pwrite posted.keys", "recv_into server"} <= set(steps)
    numbers = (str(1 if SOAK else FIRST[form]), str(len(steps) + 1), str(STRIDE))
    cases = stepping(str(tmp_path), form.value, *numbers)
    assert len(cases) > len(steps) // STRIDE - 2
    for case in cases:
        assert case["recovered"] == 0, case
        if case["served"] == 0:
            assert case["acknowledged"] == counted["acknowledged"], case
        elif form is Form.KILLED:
            assert case["served"] == -9, case
        else:
            assert case["served"] == 1, case  # it told why it could not start
            assert case["number"] < SERVED, case
            assert case["acknowledged"] == 0, case
