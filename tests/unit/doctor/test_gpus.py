"""The check of the GPUs, over what a driver can say."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.config import ExecutionSettings
from tallystick.doctor.finding import Finding, Verdict
from tallystick.doctor.gpus import looked_at
from tallystick.doctor.place import Place
from tallystick.execution.nvml import Answer, Card, Nvml, Use

GIB = 1024**3


class Saying(Nvml):
    """A library that always says the same."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer

    def read(self) -> Answer:
        return self.answer


def card(index: int, *uses: Use) -> Card:
    return Card(id=f"GPU-{index:08x}", index=index, name="H100", memory_mb=81_920, uses=uses)


@pytest.fixture
def host(place: Place, tmp_path: Path) -> Place:
    """A host whose kernel has a driver for two cards."""
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "proc/driver/nvidia/gpus" / name).mkdir(parents=True)
    return replace(place, proc=tmp_path / "proc")


def found(place: Place, answer: Answer, *, choice: str | None = None) -> Finding:
    settings = replace(place.settings, execution=ExecutionSettings(gpus=choice))
    return looked_at(replace(place, settings=settings), Saying(answer))


def test_cards_that_answer_and_are_free_are_well(host: Place) -> None:
    finding = found(host, Answer(cards=(card(0), card(1))))
    assert (finding.verdict, finding.found) == (Verdict.OK, "2 x H100")


def test_a_host_without_gpus_is_well(place: Place, tmp_path: Path) -> None:
    bare = replace(place, proc=tmp_path / "proc")
    assert (found(bare, Answer()).verdict, found(bare, Answer()).found) == (Verdict.OK, "none")
    finding = found(bare, Answer(trouble="Driver Not Loaded"))
    assert (finding.verdict, finding.found) == (Verdict.OK, "none (the driver: Driver Not Loaded)")


def test_a_driver_without_its_library_is_told_with_the_mend(host: Place) -> None:
    finding = found(host, Answer())
    assert finding.verdict is Verdict.WARN
    assert finding.found == (
        "the kernel has 2, and libnvidia-ml.so.1 is missing: none is handed out"
    )
    assert "NVIDIA_DRIVER_CAPABILITIES" in str(finding.mend)


def test_a_driver_that_does_not_answer_is_told(host: Place) -> None:
    finding = found(host, Answer(trouble="Unknown Error"))
    assert finding.verdict is Verdict.WARN
    assert finding.found == "the kernel has 2, and none is handed out: Unknown Error"
    assert "reboot" in str(finding.mend)


def test_a_card_that_does_not_answer_is_told(host: Place) -> None:
    finding = found(host, Answer(cards=(card(0),), failed={1: "GPU is lost"}))
    assert (finding.verdict, finding.found) == (Verdict.WARN, "1 x H100; GPU 1: GPU is lost")


def test_a_stranger_is_named_with_the_way_around_it(host: Place) -> None:
    use = Use(pid=4_000_000, memory_bytes=31 * GIB)
    finding = found(host, Answer(cards=(card(0, use), card(1))))
    assert finding.verdict is Verdict.WARN
    assert finding.found == (
        "2 x H100; GPU 0 is held by pid 4000000 (not visible from here), which holds 31 GiB"
    )
    assert "TALLY_EXECUTION_GPUS=1 tally up" in str(finding.mend)


def test_a_run_of_this_directory_is_no_stranger(host: Place) -> None:
    directory = host.runs_dir / "run_000000000001" / "att_000000000002"
    environment = {**os.environ, "TALLY_RUN_DIR": str(directory.resolve())}
    with subprocess.Popen(["sleep", "60"], env=environment) as process:
        use = Use(pid=process.pid, memory_bytes=GIB)
        finding = found(host, Answer(cards=(card(0, use),)))
        process.kill()
    assert finding.verdict is Verdict.OK


def test_a_choice_is_shown_and_one_that_is_not_there_is_told(host: Place) -> None:
    answer = Answer(cards=(card(0), card(1)))
    assert found(host, answer, choice="1").found == "1 x H100 (execution.gpus: 1)"
    assert found(host, answer, choice="none").verdict is Verdict.OK
    assert found(host, Answer(), choice="none").verdict is Verdict.OK
    absent = found(host, answer, choice="0,7")
    assert absent.verdict is Verdict.WARN
    assert "no GPU of this host is 7" in absent.found


def test_a_choice_that_the_server_would_refuse_fails(host: Place) -> None:
    finding = found(host, Answer(), choice="first")
    assert finding.verdict is Verdict.FAIL
    assert "execution.gpus" in finding.found
