"""The runner of the suites counts what happened and lets nothing that did not run pass as green."""

import sys
from pathlib import Path

import pytest

from tests import run_suites
from tests.run_suites import Outcome, Program, Suite

ABSENT = Program(name="a-program-that-nobody-has", package="its-package")

RESULTS = """<?xml version="1.0"?><testsuites><testsuite name="pytest">
<testcase classname="unit.a" name="test_good"/>
<testcase classname="unit.a" name="test_bad"><failure message="no"/></testcase>
<testcase classname="unit.a" name="test_broken"><error message="no"/></testcase>
<testcase classname="unit.a" name="test_left_out"><skipped message="no server"/></testcase>
</testsuite></testsuites>"""


def test_every_test_is_counted_once() -> None:
    outcome = run_suites.count("unit", RESULTS)
    assert (outcome.passed, outcome.failed) == (1, 2)
    assert outcome.skipped == ("unit.a.test_left_out: no server",)


def test_no_results_are_a_failure() -> None:
    assert run_suites.count("unit", "").failed == 1


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(suite="unit", passed=3, failed=1),
        Outcome(suite="unit"),
        Outcome(suite="unit", skipped=("a: no server",)),
    ],
)
def test_a_suite_that_failed_or_ran_nothing_is_never_good(outcome: Outcome) -> None:
    assert not run_suites.is_good([outcome], missing=(), strict=False)


@pytest.mark.parametrize("strict", [False, True])
def test_what_did_not_run_fails_in_ci_alone(strict: bool) -> None:
    skipped = Outcome(suite="unit", passed=3, skipped=("a: no server",))
    complete = Outcome(suite="unit", passed=3)
    assert run_suites.is_good([skipped], missing=(), strict=strict) is not strict
    assert run_suites.is_good([complete], missing=(ABSENT,), strict=strict) is not strict
    assert run_suites.is_good([complete], missing=(), strict=strict)


def test_ci_is_told_by_the_environment() -> None:
    assert run_suites.is_strict({"CI": "true"})
    assert not run_suites.is_strict({"CI": "false"})
    assert not run_suites.is_strict({})


def test_the_report_names_what_did_not_run_and_ends_with_the_counts() -> None:
    outcomes = [
        Outcome(suite="unit", seconds=1.25, passed=2, failed=1, skipped=("a: no server",)),
        Outcome(suite="docs", passed=1),
    ]
    text = run_suites.report(outcomes, missing=(ABSENT,), strict=True)
    assert "!!! a: no server" in text
    assert "apt-get install its-package" in text
    assert text.splitlines()[-1] == "3 passed, 1 failed, 1 skipped"


def test_a_missing_program_is_seen() -> None:
    assert not run_suites.is_installed(ABSENT)


def test_a_folder_without_tests_fails(tmp_path: Path) -> None:
    assert run_suites.run(Suite(name="none", folder=str(tmp_path))).failed == 1


def test_a_command_counts_as_one_test() -> None:
    good = run_suites.run(Suite(name="good", command=(sys.executable, "-c", "")))
    bad = run_suites.run(Suite(name="bad", command=(sys.executable, "-c", "raise SystemExit(3)")))
    assert (good.passed, good.failed) == (1, 0)
    assert (bad.passed, bad.failed) == (0, 1)


def test_an_unknown_suite_is_refused() -> None:
    assert run_suites.main(["test", "no-such-suite"]) == 2
    assert run_suites.main([]) == 2
