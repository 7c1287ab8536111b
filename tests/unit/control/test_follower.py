"""One target is told everything, at least once, at its own pace; a bad one harms nobody."""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from tallystick.control import follower as following
from tallystick.control.follower import LONGEST_PAUSE_MS, MOST_TRIES, Follower
from tallystick.control.messages import NOTICE_TYPES, Message
from tallystick.control.notifier import types_of
from tallystick.control.webhooks import Verdict
from tallystick.domain import commands as cm
from tallystick.domain.ids import AlertId, RunId
from tallystick.projections import deliveries, notices
from tallystick.projections.deliveries import Standing
from tests.unit.control.road import Road

OK = Verdict(delivered=True)
DOWN = Verdict(delivered=False, said="HTTP status 503")
GONE = Verdict(delivered=False, gone=True, said="HTTP status 410")


@dataclass
class Told:
    """A target that answers as it is told."""

    name: str = "webhook 1"
    key: str = "k" * 64
    at_once: int = 1
    rest_ms: int = 0
    verdict: Verdict = OK
    refuses: set[str] = field(default_factory=set)
    """Notices that it never takes."""
    tries: list[list[str]] = field(default_factory=list)
    """Ids of every delivery that was tried."""
    got: list[str] = field(default_factory=list)

    def deliver(self, messages: Sequence[Message]) -> Verdict:
        ids = [message.notice.id for message in messages]
        self.tries.append(ids)
        if self.refuses & set(ids):
            return Verdict(delivered=False, said="HTTP status 400")
        if self.verdict.delivered:
            self.got += ids
        return self.verdict


class Desk:
    """A follower, its target, and runs about which alerts are raised."""

    def __init__(self, road: Road, *, at_once: int = 1) -> None:
        self.road = road
        self.run = road.run(road.sweep())
        self.target = Told(at_once=at_once)
        self.follower = self.another()
        self.follower.begin()

    def another(self) -> Follower:
        """The follower of the next start."""
        types = types_of(None, NOTICE_TYPES)
        return Follower(self.road.database, self.target, clock=self.road.clock, types=types)

    def happen(self, count: int = 1) -> list[str]:
        """Something happens; the ids of the notices."""
        return [alert(self.road, self.run) for _ in range(count)]

    def later(self, milliseconds: int = LONGEST_PAUSE_MS * 2) -> None:
        self.road.clock.advance(milliseconds)
        self.follower.tick()

    def standing(self) -> Standing:
        with self.road.database.read() as tx:
            found = deliveries.standing(tx, self.target.key)
        assert found is not None
        return found

    def rows(self) -> int:
        """Retries that wait, due or not."""
        with self.road.database.read() as tx:
            return len(deliveries.due(tx, self.target.key, now=2**62, limit=100_000))


def alert(road: Road, run: RunId) -> str:
    texts = road.texts()
    command = cm.RaiseAlert(
        alert=AlertId(road.clock.new_id("alr")),
        run=run,
        severity="warning",
        message=texts.add("look"),
        choices=texts.add('[{"label":"stop","action":"stop"}]'),
        source="client",
    )
    road.handle(command, texts=texts)
    with road.database.read() as tx:
        return str(notices.newest_seq(tx))


@pytest.fixture
def desk(road: Road) -> Desk:
    return Desk(road)


def test_everything_is_told_once_and_in_order(desk: Desk) -> None:
    first = desk.happen(3)
    desk.follower.tick()
    second = desk.happen(2)
    desk.follower.tick()
    desk.follower.tick()
    assert desk.target.got == first + second
    assert desk.rows() == 0


def test_a_new_target_hears_nothing_of_what_was_before(road: Road) -> None:
    alert(road, road.run(road.sweep()))
    desk = Desk(road)
    desk.follower.tick()
    assert desk.target.tries == []
    ids = desk.happen()
    desk.follower.tick()
    assert desk.target.got == ids


def test_what_could_not_be_told_is_told_when_it_can_be(desk: Desk) -> None:
    desk.target.verdict = DOWN
    ids = desk.happen(2)
    desk.follower.tick()
    assert desk.target.got == []
    desk.target.verdict = OK
    desk.follower.tick()
    assert desk.target.got == [], "not before the pause is over"
    desk.later()
    assert sorted(desk.target.got) == sorted(ids)
    assert desk.rows() == 0


def test_a_restart_forgets_neither_the_position_nor_a_retry(desk: Desk) -> None:
    (told,) = desk.happen()
    desk.follower.tick()
    desk.target.verdict = DOWN
    (refused,) = desk.happen()
    desk.follower.tick()
    (waiting,) = desk.happen()
    desk.target.verdict = OK
    desk.follower = desk.another()
    desk.follower.begin()
    desk.later()
    assert desk.target.got == [told, refused, waiting]


def test_a_dead_target_is_left_in_peace_and_its_pauses_grow_to_an_hour(desk: Desk) -> None:
    desk.target.verdict = DOWN
    desk.happen(500)
    began, at = desk.road.clock.now(), []
    while desk.road.clock.now() - began < 5 * LONGEST_PAUSE_MS:
        before = len(desk.target.tries)
        desk.follower.tick()
        at += [desk.road.clock.now() - began] * (len(desk.target.tries) - before)
        desk.road.clock.advance(20_000 if len(at) > 6 else 1_000)
    assert at[:3] == [0, 0, 0], "three in a row, then no more"
    pauses = [later - earlier for earlier, later in itertools.pairwise(at[2:])]
    assert pauses == sorted(pauses)
    assert 5_000 <= pauses[0] <= 7_000
    assert LONGEST_PAUSE_MS <= pauses[-1] <= 1.11 * LONGEST_PAUSE_MS + 20_000
    assert len(at) < 15
    assert desk.rows() <= 4, "what waits is a position, not a row for each notice"


def test_a_target_that_comes_back_is_told_all_of_it(desk: Desk) -> None:
    desk.target.verdict = DOWN
    ids = desk.happen(200)
    desk.follower.tick()
    desk.target.verdict = OK
    desk.later()
    assert sorted(desk.target.got, key=int) == ids


def test_one_message_that_is_refused_holds_up_no_other(desk: Desk) -> None:
    bad, *others = desk.happen(5)
    desk.target.refuses = {bad}
    desk.follower.tick()
    assert desk.target.got == others
    assert desk.rows() == 1


def test_a_message_is_given_up_after_about_a_day(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.target.refuses = set(desk.happen())
    began = desk.road.clock.now()
    while desk.rows() or not desk.target.tries:
        desk.later(600_000)
        assert desk.road.clock.now() - began < 72 * 3_600_000
    assert len(desk.target.tries) == MOST_TRIES
    assert desk.road.clock.now() - began > 20 * 3_600_000
    assert "1 notices are given up" in caplog.text


def test_a_target_that_wants_nothing_more_is_left_alone_until_the_next_start(desk: Desk) -> None:
    desk.target.verdict = GONE
    ids = desk.happen(3)
    desk.follower.tick()
    desk.target.verdict = OK
    desk.later()
    assert desk.follower.gone
    assert desk.target.got == []
    desk.follower = desk.another()
    desk.later()
    assert sorted(desk.target.got) == sorted(ids)


def test_a_receiver_that_says_when_to_come_back_is_believed_up_to_an_hour(desk: Desk) -> None:
    desk.target.verdict = Verdict(delivered=False, again_after_ms=1_800_000, said="HTTP status 429")
    desk.happen(2)
    desk.follower.tick()
    assert len(desk.target.tries) == 1
    desk.later(1_799_000)
    assert len(desk.target.tries) == 1
    desk.target.verdict = Verdict(delivered=False, again_after_ms=10**9, said="HTTP status 503")
    desk.later(2_000)
    desk.target.verdict = OK
    desk.later(LONGEST_PAUSE_MS + LONGEST_PAUSE_MS // 9)
    assert len(desk.target.got) == 2


def test_people_are_told_of_many_things_at_once(road: Road) -> None:
    desk = Desk(road, at_once=1_000)
    ids = desk.happen(40)
    desk.follower.tick()
    assert desk.target.tries == [ids]


def test_people_are_told_the_first_thing_at_once_and_then_in_peace(road: Road) -> None:
    desk = Desk(road, at_once=1_000)
    desk.target.rest_ms = 10_000
    first = desk.happen()
    desk.follower.tick()
    assert desk.target.tries == [first]
    second = desk.happen(7)
    desk.later(9_000)
    assert desk.target.tries == [first]
    desk.later(1_000)
    assert desk.target.tries == [first, second]


def test_what_waits_is_bounded_and_what_is_left_out_is_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(following, "MOST_WAITING", 10)
    desk.target.verdict = DOWN
    desk.happen(3)
    desk.follower.tick()
    ids = desk.happen(30)
    desk.target.verdict = OK
    desk.later()
    assert [one for one in desk.target.got if one in ids] == ids[-10:]
    assert "the oldest was left out" in caplog.text


def test_refused_messages_are_bounded_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST_RETRIES", 5)
    for _ in range(10):
        (bad, _) = desk.happen(2)
        desk.target.refuses.add(bad)
    desk.follower.tick()
    assert desk.rows() == 5


def test_a_crash_between_telling_and_remembering_tells_twice_and_loses_nothing(desk: Desk) -> None:
    ids = desk.happen(2)

    class CrashError(BaseException):
        pass

    class Crashing(Told):
        def deliver(self, messages: Sequence[Message]) -> Verdict:
            desk.target.deliver(messages)
            raise CrashError

    dying = Follower(
        desk.road.database,
        Crashing(),
        clock=desk.road.clock,
        types=types_of(None, NOTICE_TYPES),
    )
    with pytest.raises(CrashError):
        dying.tick()
    desk.follower.tick()
    assert desk.target.got == [ids[0], *ids]


def test_a_target_that_is_no_longer_set_begins_anew_when_it_comes_back(desk: Desk) -> None:
    desk.target.verdict = DOWN
    desk.happen()
    desk.follower.tick()
    with desk.road.database.write() as tx:
        deliveries.forget_others(tx, ["another"])
    desk.follower = desk.another()
    desk.follower.begin()
    desk.target.verdict = OK
    desk.later()
    assert desk.target.got == []


def test_an_end_that_comes_in_the_middle_begins_no_further_delivery(desk: Desk) -> None:
    desk.happen(3)
    desk.follower.end()
    desk.follower.tick()
    assert desk.target.tries == []


def test_the_log_says_what_failed_and_what_follows(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    desk.target.verdict = DOWN
    desk.happen()
    desk.follower.tick()
    (said,) = caplog.messages
    assert said.startswith("webhook 1: HTTP status 503; trying again in 5 s")


def test_what_nobody_is_told_of_is_not_read_again_at_every_tick(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MOST_SKIPPED", 3)
    desk = Desk(road)
    desk.follower = Follower(
        road.database, desk.target, clock=road.clock, types=types_of("run.failed", NOTICE_TYPES)
    )
    first = desk.happen(4)
    desk.follower.tick()
    assert desk.standing().seq == int(first[-1])
    second = desk.happen(3)
    desk.follower.tick()
    assert desk.standing().seq == int(first[-1]), "a few are read sooner than a position is written"
    second += desk.happen(1)
    desk.follower.tick()
    assert (desk.standing().seq, desk.target.tries) == (int(second[-1]), [])
    desk.follower = desk.another()
    late = desk.happen(1)
    desk.follower.tick()
    assert desk.target.got == late
