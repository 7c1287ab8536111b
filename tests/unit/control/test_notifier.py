"""All targets together, over real threads and real sockets."""

import base64
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tallystick.config import NotifySettings, Secret
from tallystick.control.channels import Channel, digest
from tallystick.control.messages import NOTICE_TYPES
from tallystick.control.notifier import STOP_SECONDS, Notifier, build_notifier, types_of
from tallystick.errors import InvalidError
from tallystick.testing.server import eventually
from tests.unit.control.receiver import is_signed, receiving
from tests.unit.control.road import Road
from tests.unit.control.test_follower import alert
from tests.unit.control.test_webhooks import message

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
ORIGIN = "tally.local/0123456789abcdef"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def started(road: Road, stack: ExitStack, **settings: str) -> Notifier:
    known = {"webhook_secret": SECRET, **settings}
    notifier = build_notifier(
        NotifySettings(
            webhooks=Secret(known["webhooks"]) if "webhooks" in known else None,
            webhook_secret=Secret(known["webhook_secret"]),
            channels=Secret(known["channels"]) if "channels" in known else None,
            events=known.get("events"),
        ),
        road.database,
        clock=road.clock,
        origin=ORIGIN,
    )
    notifier.start()
    stack.callback(notifier.stop)
    return notifier


def test_every_receiver_is_told_and_each_can_verify_it(road: Road, stack: ExitStack) -> None:
    receivers = [stack.enter_context(receiving()) for _ in range(2)]
    notifier = started(road, stack, webhooks=" ".join(one.url for one in receivers))
    alert(road, road.run(road.sweep()))
    notifier.wake()
    for receiver in receivers:
        eventually(lambda receiver=receiver: receiver.received)  # type: ignore[misc]
        (got,) = receiver.received
        assert is_signed(got, SECRET)
        assert got.json["type"] == "alert.raised"


def test_a_receiver_that_never_answers_holds_up_neither_another_nor_the_end(
    road: Road, stack: ExitStack
) -> None:
    hanging, good = (stack.enter_context(receiving()) for _ in range(2))
    hanging.hold.clear()
    notifier = started(road, stack, webhooks=f"{hanging.url} {good.url}")
    run = road.run(road.sweep())
    for _ in range(3):
        alert(road, run)
        notifier.wake()
    eventually(lambda: len(good.received) == 3)
    eventually(lambda: hanging.received)
    before = time.monotonic()
    notifier.stop()
    notifier.stop()
    assert time.monotonic() - before < STOP_SECONDS + 2
    hanging.hold.set()


def test_a_receiver_that_fails_and_comes_back_on_its_port_gets_everything(
    road: Road, stack: ExitStack
) -> None:
    with receiving() as first:
        first.always = 503
        notifier = started(road, stack, webhooks=first.url)
        run = road.run(road.sweep())
        alert(road, run)
        notifier.wake()
        eventually(lambda: first.received)
    port = int(first.url.split(":")[2].split("/")[0])
    road.clock.advance(60_000)
    notifier.wake()  # nobody listens
    notifier.stop()
    alert(road, run)
    with receiving(port) as second:
        road.clock.advance(10 * 3_600_000)
        again = started(road, stack, webhooks=second.url)
        again.wake()
        eventually(lambda: len(set(second.taken)) == 2)
        assert set(first.taken) < set(second.taken), "the same id for the same notice"
        assert all(is_signed(one, SECRET) for one in second.received)
        again.stop()


def test_only_the_events_that_were_asked_for_are_told(road: Road, stack: ExitStack) -> None:
    receiver = stack.enter_context(receiving())
    notifier = started(road, stack, webhooks=receiver.url, events="run.failed, sweep.done")
    alert(road, road.run(road.sweep()))
    for follower in notifier.followers:
        follower.tick()
    assert receiver.received == []
    assert types_of("alert.raised", NOTICE_TYPES) == {"alert"}


def test_apprise_tells_a_channel_and_its_address_stands_in_no_log(
    road: Road,
    stack: ExitStack,
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver = stack.enter_context(receiving())
    url = receiver.url.replace("http://", "json://me:s3cr3t@")
    notifier = started(road, stack, channels=url)
    run = road.run(road.sweep())
    alert(road, run)
    notifier.wake()
    (got,) = eventually(lambda: list(receiver.received))
    assert got.json["title"].startswith("Tallystick: Alert (warning) about run")
    assert got.json["message"] == "look"
    receiver.always = 500
    alert(road, run)

    def failed() -> bool:
        road.clock.advance(60_000)
        notifier.wake()
        return "channel 1 (json): Apprise could not deliver it" in caplog.text

    eventually(failed)
    assert "s3cr3t" not in caplog.text


def test_an_address_that_apprise_does_not_know_is_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    verdict = Channel("nosuchscheme://s3cr3t", name="channel 1").deliver([message()])
    assert (verdict.delivered, verdict.gone) == (False, True)
    assert "s3cr3t" not in verdict.said


def test_many_messages_become_one_of_a_few_lines() -> None:
    title, body = digest([message()] * 50)
    assert title == "Tallystick: 50 messages"
    lines = body.splitlines()
    assert lines[0] == "Run n failed"
    assert (len(lines), lines[-1]) == (21, "and 30 more")


def test_the_program_and_the_server_agree_on_what_an_exit_status_means() -> None:
    from tallystick.control import channels, speaker

    assert (speaker.DELIVERED, speaker.NOT_UNDERSTOOD) == (
        channels.DELIVERED,
        channels.NOT_UNDERSTOOD,
    )
    assert speaker.FAILED not in {0, 1, 2, channels.NOT_UNDERSTOOD}, "a crash is no failure"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (NotifySettings(webhooks=Secret("http://x/s3cr3t")), "webhook_secret_missing"),
        (
            NotifySettings(webhooks=Secret("s3cr3t"), webhook_secret=Secret(SECRET)),
            "webhook_invalid",
        ),
        (NotifySettings(channels=Secret("s3cr3t")), "channel_invalid"),
        (NotifySettings(webhook_secret=Secret("s3cr3t")), "webhook_secret_invalid"),
        (NotifySettings(events="run.failed,everything"), "notify_invalid"),
        (
            NotifySettings(channels=Secret(" ".join(f"json://s3cr3t/{n}" for n in range(17)))),
            "notify_invalid",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start_without_repeating_them(
    road: Road, settings: NotifySettings, code: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        build_notifier(settings, road.database, clock=road.clock, origin=ORIGIN)
    assert caught.value.code == code
    assert "s3cr3t" not in f"{caught.value.detail} {caught.value.hint} {caught.value.facts}"


def test_without_targets_nothing_runs(road: Road) -> None:
    notifier = build_notifier(NotifySettings(), road.database, clock=road.clock, origin=ORIGIN)
    notifier.start()
    assert notifier.followers == []
    notifier.wake()
    notifier.stop()


def test_no_table_holds_an_address(road: Road, stack: ExitStack) -> None:
    receiver = stack.enter_context(receiving())
    receiver.always = 500
    secret = "s3cr3tpath"
    notifier = started(road, stack, webhooks=f"{receiver.url}/{secret}")
    alert(road, road.run(road.sweep()))
    notifier.wake()
    eventually(lambda: receiver.received)
    notifier.stop()
    content = b"".join(file.read_bytes() for file in road.directory.glob("tally.db*"))
    assert b"op_deliveries" in content
    assert secret.encode() not in content
