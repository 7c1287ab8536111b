"""What PostgreSQL reports, in our words."""

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from tallystick.db.postgres import _explain
from tallystick.errors import CorruptLedgerError, TallystickError, UnavailableError

URL = make_url("postgresql+psycopg://tally:hunter2@db.example/x")


class OperationalError(Exception):
    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("what the server said\n")
        self.sqlstate = sqlstate


def explain(
    sqlstate: str | None, *, writing: bool = True, lost: bool = False
) -> TallystickError | None:
    error = DBAPIError(None, None, OperationalError(sqlstate), connection_invalidated=lost)
    return _explain(error, url=URL, writing=writing)


@pytest.mark.parametrize(
    ("sqlstate", "code"),
    [
        (None, "database_unreachable"),
        ("08006", "database_unreachable"),
        ("28P01", "database_unreachable"),
        ("57P03", "database_unreachable"),
        ("53300", "database_unreachable"),
        ("25006", "database_unreachable"),
        ("40001", "database_busy"),
        ("40P01", "database_busy"),
        ("55P03", "database_busy"),
        ("57014", "database_busy"),
        ("53100", "storage_full"),
        ("58030", "storage_failed"),
    ],
)
def test_what_passes_is_unavailable_and_says_what_to_do(sqlstate: str | None, code: str) -> None:
    explained = explain(sqlstate)
    assert isinstance(explained, UnavailableError)
    assert explained.code == code
    assert explained.hint
    assert explained.facts["cause"] == "what the server said"
    assert "hunter2" not in f"{explained.detail} {explained.facts}"


def test_a_lost_connection_is_unreachable_whatever_else_was_reported() -> None:
    explained = explain("42P01", lost=True)
    assert explained is not None
    assert explained.code == "database_unreachable"


@pytest.mark.parametrize("sqlstate", ["XX001", "XX002"])
def test_damage_is_a_corrupt_ledger(sqlstate: str) -> None:
    assert isinstance(explain(sqlstate), CorruptLedgerError)


@pytest.mark.parametrize("sqlstate", ["23505", "42P01", "22001"])
def test_a_bug_is_left_as_it_is(sqlstate: str) -> None:
    assert explain(sqlstate) is None


def test_a_change_in_a_read_block_is_a_bug() -> None:
    assert explain("25006", writing=False) is None
