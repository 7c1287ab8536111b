"""Retries slow down, refusals slow down more, and what is no server of ours is not believed."""

import json
from pathlib import Path

import pytest

from tallystick.supervisor.relay import DeliveryError, Pace, Relay
from tallystick.testing.announced import Announcement


class TestPace:
    def test_the_first_try_is_at_once_and_pauses_grow_to_five_seconds(self) -> None:
        pace = Pace()
        assert pace.due == 0.0
        pauses = [pace.failed(1000.0) - 1000.0 for _ in range(12)]
        assert 0.07 < pauses[0] < 0.13
        assert all(3.7 < pause < 6.3 for pause in pauses[-4:])

    def test_a_refusal_waits_half_a_minute(self) -> None:
        assert 22 < Pace().failed(0.0, refused=True) < 38

    def test_success_starts_over(self) -> None:
        pace = Pace()
        for _ in range(5):
            pace.failed(0.0)
        pace.succeeded()
        assert pace.due == 0.0
        assert pace.failed(0.0) < 0.13

    def test_two_supervisors_do_not_come_back_at_the_same_moment(self) -> None:
        assert len({Pace().failed(0.0) for _ in range(20)}) > 1


class TestAddress:
    @pytest.mark.parametrize(
        "content",
        [None, "", "{", "[]", '{"url": 3}', '{"url": "http://127.0.0.1:99999"}', '{"url": "x"}'],
    )
    def test_a_server_file_that_says_nothing_is_a_failed_delivery(
        self, tmp_path: Path, content: str | None
    ) -> None:
        file = tmp_path / "server.json"
        if content is not None:
            file.write_text(content)
        relay = Relay(attempt="att_1", server_file=file, token="secret")
        with pytest.raises(DeliveryError) as caught:
            relay.metrics(b"", offset=0)
        assert not caught.value.refused
        assert "secret" not in str(caught.value)

    def test_a_token_that_cannot_be_sent_is_a_failed_delivery(self, tmp_path: Path) -> None:
        file = tmp_path / "server.json"
        announcement = Announcement(file, "http://127.0.0.1:9")
        with pytest.raises(DeliveryError):
            Relay(attempt="att_1", server_file=file, token="a\nb").metrics(b"", offset=0)
        announcement.withdraw()

    @pytest.mark.parametrize("pid", [0, 2**22 + 1, None, "1"])
    def test_a_server_file_of_a_process_that_is_gone_is_not_believed(
        self, tmp_path: Path, pid: object
    ) -> None:
        file = tmp_path / "server.json"
        announcement = Announcement(file, "http://127.0.0.1:9")
        file.write_text(json.dumps({"url": "http://127.0.0.1:9", "pid": pid}))
        with pytest.raises(DeliveryError) as caught:
            Relay(attempt="att_1", server_file=file, token="t").metrics(b"", offset=0)
        assert "refused" not in str(caught.value)  # nobody was called
        announcement.withdraw()

    def test_a_server_file_whose_lock_is_free_is_not_believed(self, tmp_path: Path) -> None:
        file = tmp_path / "server.json"
        Announcement(file, "http://127.0.0.1:9").withdraw()
        with pytest.raises(DeliveryError, match="not there"):
            Relay(attempt="att_1", server_file=file, token="t").metrics(b"", offset=0)
