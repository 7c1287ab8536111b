"""Which devices may be handed out, which a bundle leases, and holders in words."""

import json
import os
from pathlib import Path

import pytest

from tallystick.domain.capacity import Device
from tallystick.errors import InvalidError
from tallystick.execution.devices import in_words, is_named, leased_to, parse_choice

DEVICE = Device(id="GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", index=2)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (None, None),
        ("all", None),
        ("none", ()),
        ("0", ("0",)),
        (" 1 , GPU-8932f937 ", ("1", "GPU-8932f937")),
    ],
)
def test_the_setting_names_all_none_or_some(
    choice: str | None, words: tuple[str, ...] | None
) -> None:
    assert parse_choice(choice) == words


@pytest.mark.parametrize("choice", ["", "0,", "first", "-1", "0-3", "GPU-", "GPU-x", "all,0", "²"])
def test_a_setting_that_names_nothing_is_refused_with_the_way_to_do_it(choice: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_choice(choice)
    assert caught.value.code == "setting_invalid"
    assert "nvidia-smi -L" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("word", "named"),
    [("2", True), ("02", True), ("1", False), (DEVICE.id, True), ("gpu-8932F937", True),
     ("GPU-8932e", False)],
)  # fmt: skip
def test_a_device_goes_by_its_index_and_by_the_beginning_of_its_id(word: str, named: bool) -> None:
    assert is_named(DEVICE, word) is named


def bundle(directory: Path, environment: object) -> Path:
    (directory / "bundle.json").write_text(json.dumps({"environment": environment}))
    return directory


def test_a_bundle_names_what_its_attempt_leases(tmp_path: Path) -> None:
    leased = bundle(tmp_path, {"CUDA_VISIBLE_DEVICES": f"{DEVICE.id},GPU-2"})
    assert leased_to(leased) == frozenset({DEVICE.id, "GPU-2"})
    assert leased_to(bundle(tmp_path, {"CUDA_VISIBLE_DEVICES": ""})) == frozenset()


@pytest.mark.parametrize("environment", [{}, [], None, {"CUDA_VISIBLE_DEVICES": 1}])
def test_a_bundle_that_does_not_speak_of_devices_restricts_nothing(
    tmp_path: Path, environment: object
) -> None:
    assert leased_to(bundle(tmp_path, environment)) is None


def test_a_bundle_that_a_command_has_put_a_pipe_in_place_of_holds_up_nobody(
    tmp_path: Path,
) -> None:
    assert leased_to(tmp_path) is None
    os.mkfifo(tmp_path / "bundle.json")
    assert leased_to(tmp_path) is None


def test_holders_are_told_in_one_line() -> None:
    assert in_words([]) is None
    assert in_words(["a"]) == "a"
    assert in_words(["a", "b"]) == "a; b"
    assert in_words(["a", "b", "c"]) == "a; b; and 1 more"
