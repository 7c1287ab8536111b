"""The backend contract over every implementation."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.domain.capacity import Capacity
from tallystick.execution.backend import Backend
from tallystick.execution.local import LocalBackend
from tallystick.testing.backend import FakeBackend, gpus
from tallystick.testing.contract.backend import ExecutionContract, PromiseContract, Rig


class TestFakeBackend(PromiseContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Rig:
        return Rig(FakeBackend(Capacity(slots=4, devices=gpus(2))), tmp_path)


class TestLocalBackend(ExecutionContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[Rig]:
        backend = LocalBackend()
        yield Rig(backend, tmp_path)
        backend.close()


def test_every_implementation_has_the_shape_of_the_seam() -> None:
    backends: list[Backend] = [FakeBackend(), LocalBackend()]
    for backend in backends:
        backend.close()


class TestAuditOfTheFake:
    def test_a_second_directory_for_one_attempt_fails_the_test(self, tmp_path: Path) -> None:
        rig, other = Rig(FakeBackend(), tmp_path / "a"), Rig(FakeBackend(), tmp_path / "b")
        rig.submit("true")
        with pytest.raises(AssertionError, match="was submitted from"):
            rig.backend.submit(other.prepare("true"))

    def test_a_submission_without_a_bundle_fails_the_test(self, tmp_path: Path) -> None:
        rig = Rig(FakeBackend(), tmp_path)
        submission = rig.prepare("true")
        (submission.directory / "bundle.json").unlink()
        with pytest.raises(FileNotFoundError):
            rig.backend.submit(submission)

    def test_use_after_close_fails_the_test(self, tmp_path: Path) -> None:
        rig = Rig(FakeBackend(), tmp_path)
        rig.backend.close()
        with pytest.raises(AssertionError, match="after it was closed"):
            rig.backend.observe([])
