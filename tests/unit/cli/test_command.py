"""Words become the command, variables are chosen, parameters get the type they look like."""

import shlex
import subprocess

import pytest

from tallystick.cli.command import command_of, name_of, params_of, sent_environment
from tallystick.cli.output import UsageError


def test_one_word_is_a_shell_line_as_it_is() -> None:
    line = "cd /w && python a.py --lr 1e-2 | tee 'log file'"
    assert command_of([line]) == line


@pytest.mark.parametrize(
    "words",
    [
        ["python", "train.py", "--name", "a b"],
        ["echo", "$HOME", "`id`", "*", "a'b", 'a"b', ""],
        ["printf", "%s", "line\nbreak", "größe"],
        ["python", "-c", "print(1); print(2)"],
    ],
)
def test_several_words_reach_the_command_exactly(words: list[str]) -> None:
    assert shlex.split(command_of(words)) == words
    script = f'set -- {command_of(words)}; printf "%s\\0" "$@"'
    told = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    assert told.decode().split("\0")[:-1] == words


def test_a_command_is_required_and_the_error_shows_one() -> None:
    with pytest.raises(UsageError) as caught:
        command_of([])
    assert caught.value.next_actions[0].startswith("tally exec -- ")


def test_only_what_chooses_interpreter_and_libraries_goes_along() -> None:
    environment = {
        "PATH": "/venv/bin:/bin",
        "VIRTUAL_ENV": "/venv",
        "CONDA_PREFIX": "/conda",
        "PYTHONPATH": "src",
        "LD_LIBRARY_PATH": "/lib",
        "CUDA_HOME": "/usr/local/cuda",
        "CUDA_VISIBLE_DEVICES": "1",
        "OMP_NUM_THREADS": "4",
        "HOME": "/home/ana",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
        "TALLY_TOKEN": "t",
        "AUTH_TOKEN": "t",
        "TALLY_ADMIN_TOKEN": "t",
        "MY_PATH": "/x",
    }
    sent = sent_environment(environment, [])
    assert sorted(sent) == [
        "CONDA_PREFIX",
        "CUDA_HOME",
        "LD_LIBRARY_PATH",
        "OMP_NUM_THREADS",
        "PATH",
        "PYTHONPATH",
        "VIRTUAL_ENV",
    ]


def test_named_variables_are_taken_from_here_or_given() -> None:
    sent = sent_environment({"HF_HOME": "/hf"}, ["HF_HOME", "MODE=a=b", "EMPTY="])
    assert sent == {"HF_HOME": "/hf", "MODE": "a=b", "EMPTY": ""}


def test_which_gpus_is_sent_only_when_somebody_asks_for_it() -> None:
    environment = {"CUDA_VISIBLE_DEVICES": "1"}
    assert sent_environment(environment, []) == {}
    assert sent_environment(environment, ["CUDA_VISIBLE_DEVICES"]) == environment


def test_a_given_value_wins_over_what_goes_along() -> None:
    assert sent_environment({"PATH": "/bin"}, ["PATH=/mine"]) == {"PATH": "/mine"}


@pytest.mark.parametrize("name", ["TALLY_TOKEN", "AUTH_TOKEN", "TALLY_ADMIN_TOKEN"])
@pytest.mark.parametrize("suffix", ["", "=value"])
def test_a_token_of_the_server_is_never_given_to_a_run(name: str, suffix: str) -> None:
    with pytest.raises(UsageError) as caught:
        sent_environment({name: "secret-value"}, [name + suffix])
    assert caught.value.code == "env_refused"
    assert "secret-value" not in str(caught.value)


def test_a_variable_that_is_not_set_is_said() -> None:
    with pytest.raises(UsageError, match="NOWHERE: not set here"):
        sent_environment({}, ["NOWHERE"])
    with pytest.raises(UsageError, match="expected NAME or NAME=VALUE"):
        sent_environment({}, ["=x"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.01", 0.01),
        ("1e-2", 0.01),
        ("-3", -3),
        ("0", 0),
        ("128", 128),
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("adam", "adam"),
        ("007", "007"),
        ("1_000", "1_000"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("1e999", "1e999"),
        ("12345678901234567890", "12345678901234567890"),
        (".5", 0.5),
        ("-0.5e-3", -0.0005),
        ("e5", "e5"),
        (".", "."),
        ("", ""),
        ("a=b", "a=b"),
    ],
)
def test_a_parameter_gets_the_type_that_it_looks_like(text: str, value: object) -> None:
    found = params_of([f"x={text}"])["x"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("pair", ["lr", "=3", ""])
def test_a_parameter_needs_a_name_and_a_value(pair: str) -> None:
    with pytest.raises(UsageError, match="expected NAME=VALUE"):
        params_of([pair])


def test_the_name_is_the_beginning_of_the_first_line() -> None:
    assert name_of("python train.py --lr 1") == "python train.py --lr 1"
    assert name_of("\n  set -e\npython x.py") == "set -e"
    assert len(name_of("x" * 500)) == 60
    assert name_of("   ")
