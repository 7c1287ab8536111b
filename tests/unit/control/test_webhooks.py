"""Webhooks after the Standard Webhooks specification, to a real receiver."""

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tallystick.control import webhooks
from tallystick.control.messages import Message
from tallystick.control.webhooks import Webhook, body_of, read_secrets, sign
from tallystick.domain.ids import RunId, SessionId
from tallystick.domain.notice import Notice
from tallystick.errors import InvalidError
from tallystick.testing.clock import ManualClock
from tests.unit.control.receiver import Receiver, is_signed, receiving

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()
ORIGIN = "tally.local/0123456789abcdef"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


def hook(url: str, *, secrets: str = SECRET) -> Webhook:
    return Webhook(
        url,
        name="webhook 1",
        keys=read_secrets(secrets),
        origin=ORIGIN,
        clock=ManualClock(1_700_000_000_999),
    )


def message(**data: Any) -> Message:
    notice = Notice(
        id="41",
        seq=41,
        ts=1_699_999_999_123,
        type="run_complete",
        session=SessionId("chat-1"),
        subject="run_000000000001",
        run=RunId("run_000000000001"),
    )
    return Message(notice=notice, type="run.failed", title="Run n failed", data=data)


def test_the_published_example_of_the_specification_is_signed_as_published() -> None:
    (key,) = read_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(
        key,
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1_614_265_330,
        body=b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_can_tell_who_sent_it_and_when(receiver: Receiver) -> None:
    assert hook(receiver.url).deliver([message(reason="exit code 1")]).delivered
    (got,) = receiver.received
    assert is_signed(got, SECRET)
    assert not is_signed(got, OLD)
    assert got.headers["webhook-timestamp"] == "1700000000"
    assert got.headers["content-type"] == "application/json"
    assert got.json == {
        "type": "run.failed",
        "timestamp": "2023-11-14T22:13:19.123Z",
        "data": {"title": "Run n failed", "reason": "exit code 1"},
    }


def test_the_id_names_the_notice_and_its_ledger_and_holds_no_dot(receiver: Receiver) -> None:
    for _ in range(2):
        hook(receiver.url).deliver([message()])
    assert receiver.taken == ["tally_0123456789abcdef_41"] * 2


def test_while_a_secret_is_changed_both_the_old_and_the_new_one_verify(receiver: Receiver) -> None:
    hook(receiver.url, secrets=f"{SECRET} {OLD}").deliver([message()])
    (got,) = receiver.received
    assert is_signed(got, SECRET)
    assert is_signed(got, OLD)


def test_a_changed_body_does_not_verify() -> None:
    (key,) = read_secrets(SECRET)
    body = body_of(message())
    signed = sign(key, message_id="m", timestamp=1, body=body)
    assert signed != sign(key, message_id="m", timestamp=1, body=body + b" ")
    assert signed != sign(key, message_id="m", timestamp=2, body=body)
    assert signed != sign(key, message_id="n", timestamp=1, body=body)


@pytest.mark.parametrize("status", [301, 302, 400, 404, 429, 500, 503])
def test_only_a_2xx_is_the_word_that_it_has_arrived(receiver: Receiver, status: int) -> None:
    receiver.answers = [status]
    receiver.answer_headers = {"location": "/elsewhere"}
    verdict = hook(receiver.url).deliver([message()])
    assert (verdict.delivered, verdict.gone) == (False, False)
    assert str(status) in verdict.said
    assert len(receiver.received) == 1, "a redirect is not followed"


def test_410_says_that_nothing_more_is_wanted(receiver: Receiver) -> None:
    receiver.answers = [410]
    assert hook(receiver.url).deliver([message()]).gone


@pytest.mark.parametrize(
    ("header", "pause"),
    [
        ("120", 120_000),
        ("Tue, 14 Nov 2023 22:14:00 GMT", 39_001),
        ("Tue, 14 Nov 2000 22:14:00 GMT", 0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_a_receiver_can_say_when_to_come_back(
    receiver: Receiver, header: str, pause: int | None
) -> None:
    receiver.answers, receiver.answer_headers = [503], {"retry-after": header}
    assert hook(receiver.url).deliver([message()]).again_after_ms == pause


def test_nobody_there_is_a_failure_and_no_error() -> None:
    with receiving() as receiver:
        url = receiver.url
    verdict = hook(url).deliver([message()])
    assert (verdict.delivered, verdict.said) == (False, "no answer (ConnectionRefusedError)")


def test_what_went_wrong_is_told_without_the_address() -> None:
    secret = "s3cr3tpath"
    for url in (
        f"http://127.0.0.1:9/{secret}",
        f"http://{secret}.invalid/",
        f"http://u:{secret}@[::1]:9/",
    ):
        verdict = hook(url).deliver([message()])
        assert not verdict.delivered
        assert secret not in verdict.said


def test_name_and_password_of_an_address_are_sent_in_a_header(receiver: Receiver) -> None:
    url = receiver.url.replace("http://", "http://me:p%40ss@") + "?a=1"
    assert hook(url).deliver([message()]).delivered
    (got,) = receiver.received
    assert got.path == "/hook?a=1"
    assert got.headers["authorization"] == f"Basic {base64.b64encode(b'me:p@ss').decode()}"


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://s3cr3t/", "http:///s3cr3t", "//x/s3cr3t", "s3cr3t", "http://x:s3cr3t/"),
        *("http://x:0/s3cr3t", "http://x/s3cr3t\N{SNOWMAN}"),
    ],
)
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidError) as caught:
        hook(url)
    assert "s3cr3t" not in str(vars(caught.value))
    assert caught.value.code == "webhook_invalid"


@pytest.mark.parametrize(
    "secret",
    ["whsec_", "whsec_c2hvcnQ=", "whsec_???", "nothing", base64.b64encode(b"k" * 32).decode(),
     "whsec_" + base64.b64encode(b"k" * 65).decode()],
)  # fmt: skip
def test_a_secret_that_is_none_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(InvalidError) as caught:
        read_secrets(secret)
    assert caught.value.code == "webhook_secret_invalid"
    assert secret.removeprefix("whsec_") not in caught.value.detail or not secret[6:]


@contextmanager
def saying(answer: bytes) -> Iterator[str]:
    """The address of a receiver that says `answer` once, and leaves the line open."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as opened:

        def answer_once() -> None:
            line = opened.enter_context(listener.accept()[0])
            while b"\r\n\r\n" not in line.recv(65_536):
                pass
            line.sendall(answer)

        thread = threading.Thread(target=answer_once)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n",
        b"HTTP/1.1 202 Accepted\r\n\r\n",
    ],
    ids=["stalled", "empty", "broken", "endless"],
)
def test_a_2xx_is_the_word_whatever_becomes_of_the_text_after_it(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "TIMEOUT_SECONDS", 2.0)
    with saying(answer) as url:
        assert hook(url).deliver([message()]).delivered


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "a" * 64 + ".example"])
def test_a_host_that_is_no_name_is_a_failure_and_no_error(host: str) -> None:
    verdict = hook(f"http://{host}/s3cr3t").deliver([message()])
    assert (verdict.delivered, verdict.gone) == (False, False)
    assert verdict.said.startswith("no answer (")
    assert host not in verdict.said
