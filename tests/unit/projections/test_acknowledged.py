"""What a session has heard is kept behind one cursor, and does not grow with history."""

import random

import pytest

from tallystick.db.database import Transaction
from tallystick.domain.ids import SessionId
from tallystick.domain.notice import Notice
from tallystick.projections import acknowledged, notices, tables
from tallystick.projections.operations import acknowledged as table
from tallystick.testing.spine import Spine


def happened(tx: Transaction, session: str, *numbers: int, suffix: str = "") -> list[str]:
    """Notices of a session, as the ledger's entries would have made them."""
    rows = [
        tables.notices.dump(
            Notice(
                id=f"{number}{suffix}",
                seq=number,
                ts=number,
                type="run_complete",
                session=SessionId(session),
                subject="run_000000000001",
            )
        )
        for number in numbers
    ]
    tx.insert(tables.notices.table, rows)
    return [row["id"] for row in rows]


def left(tx: Transaction, session: str) -> list[str]:
    return [one.id for one in notices.unacknowledged(tx, session, limit=10_000)]


def rows(tx: Transaction) -> int:
    return len(tx.fetch(table.select()))


@pytest.mark.parametrize("seed", range(10))
def test_in_whatever_order_things_are_heard_exactly_the_others_are_left(
    fresh: Spine, seed: int
) -> None:
    chance = random.Random(seed)
    with fresh.database.write() as tx:
        ids = happened(tx, "a", *range(0, 60, 2)) + happened(tx, "a", *range(0, 60, 6), suffix="s")
        theirs = happened(tx, "b", *range(1, 60, 2))
        ids.sort(key=lambda one: (int(one.rstrip("s")), one))
        heard: set[str] = set()
        while len(heard) < len(ids):
            some = [*chance.choices(ids, k=5), *chance.choices(theirs, k=2), "nonsense"]
            fresh_ones = {one for one in some if one in ids} - heard
            assert acknowledged.acknowledge(tx, "a", some) == len(fresh_ones)
            heard |= fresh_ones
            assert left(tx, "a") == [one for one in ids if one not in heard]
        assert rows(tx) == 1
        assert left(tx, "b") == theirs


def test_of_two_notices_of_one_entry_each_is_heard_by_itself(fresh: Spine) -> None:
    with fresh.database.write() as tx:
        happened(tx, "a", 7)
        happened(tx, "a", 7, suffix="s")
        assert acknowledged.acknowledge(tx, "a", ["7"]) == 1
        assert left(tx, "a") == ["7s"]
        assert acknowledged.acknowledge(tx, "a", ["7", "7s"]) == 1
        assert (left(tx, "a"), rows(tx)) == ([], 1)


def test_whoever_hears_a_thousand_later_ones_has_let_go_of_the_first(fresh: Spine) -> None:
    with fresh.database.write() as tx:
        ids = happened(tx, "a", *range(3_000))
        acknowledged.acknowledge(tx, "a", ids[1:2_500])
        assert rows(tx) <= acknowledged.MOST_BEYOND + 1
        assert left(tx, "a") == ids[2_500:]
        acknowledged.acknowledge(tx, "a", ids[2_501:])
        assert left(tx, "a") == ids[2_500:2_501]


def test_what_comes_later_is_not_heard_before_it_happened(fresh: Spine) -> None:
    with fresh.database.write() as tx:
        happened(tx, "a", 1)
        assert acknowledged.acknowledge(tx, "a", ["1", "2"]) == 1
        happened(tx, "a", 2)
        assert left(tx, "a") == ["2"]
