"""What a command says about its own GPUs, and what only a shell could tell."""

import pytest

from tallystick.errors import InvalidError
from tallystick.shell.pins import named, named_by, reconcile


@pytest.mark.parametrize(
    ("command", "devices"),
    [
        ("CUDA_VISIBLE_DEVICES=1 python train.py", ["1"]),
        ("  CUDA_VISIBLE_DEVICES=0,1 python train.py", ["0", "1"]),
        ("SEED=3 CUDA_VISIBLE_DEVICES='2, 3' python train.py", ["2", "3"]),
        ('CUDA_VISIBLE_DEVICES="2" python train.py', ["2"]),
        ("CUDA_VISIBLE_DEVICES=\\2 python train.py", ["2"]),
        ("CUDA_VISIBLE_DEVICES=01,1 python train.py", ["1"]),
        ("env CUDA_VISIBLE_DEVICES=1 SEED=3 python train.py", ["1"]),
        ("env 'CUDA_VISIBLE_DEVICES=1' python train.py", ["1"]),
        ("exec env CUDA_VISIBLE_DEVICES=1 nohup python train.py", ["1"]),
        ("export CUDA_VISIBLE_DEVICES=0,1; python train.py", ["0", "1"]),
        ("export CUDA_VISIBLE_DEVICES=0,1 && python train.py", ["0", "1"]),
        ("declare -x CUDA_VISIBLE_DEVICES=4\npython train.py", ["4"]),
        ("CUDA_VISIBLE_DEVICES=5; export CUDA_VISIBLE_DEVICES; python train.py", ["5"]),
        ("cd src && CUDA_VISIBLE_DEVICES=1 python train.py > log 2>&1", ["1"]),
        ("CUDA_VISIBLE_DEVICES=0 python a.py & CUDA_VISIBLE_DEVICES=1 python b.py & wait", "01"),
        ("bash -lc 'CUDA_VISIBLE_DEVICES=2 python train.py'", ["2"]),
        ("bash -c \"bash -c 'CUDA_VISIBLE_DEVICES=2 python train.py'\"", ["2"]),
        ("time CUDA_VISIBLE_DEVICES=1 python train.py", ["1"]),
        ("if true; then CUDA_VISIBLE_DEVICES=1 python train.py; fi", ["1"]),
        ("{ CUDA_VISIBLE_DEVICES=1 python train.py; }", ["1"]),
        ("(CUDA_VISIBLE_DEVICES=1 python train.py)", ["1"]),
        ("for s in 1 2; do CUDA_VISIBLE_DEVICES=3 python train.py --seed $s; done", ["3"]),
        ("CUDA_VISIBLE_DEVICES=1 python train.py --out run_$(date +%s)_`hostname`", ["1"]),
        ('CUDA_VISIBLE_DEVICES=1 python train.py --out "a $(echo "b c") d" ${X:-1}', ["1"]),
        ("CUDA_VISIBLE_DEVICES=1 diff <(echo 1) >(cat) <<< text", ["1"]),
        ("CUDA_VISIBLE_DEVICES=1 python train.py # not CUDA_VISIBLE_DEVICES=2", ["1"]),
        ("CUDA_VISIBLE_DEVICES=1 sh -c 'echo $CUDA_VISIBLE_DEVICES'", ["1"]),
        ("CUDA_VISIBLE_DEVICES=1 \\\n  python train.py", ["1"]),
        ("CUDA_VISIBLE_DEVICES=GPU-8932f937-d72c-4106-c12f-20bd9faed9f6 x",
         ["GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"]),
        ("CUDA_VISIBLE_DEVICES=0,-1,1 python train.py", ["0"]),
        ("CUDA_VISIBLE_DEVICES= python train.py", []),
        ("CUDA_VISIBLE_DEVICES='' python train.py", []),
        ("CUDA_VISIBLE_DEVICES=-1 python train.py", []),
        ("CUDA_VISIBLE_DEVICES=none python train.py", []),
    ],
)  # fmt: skip
def test_devices_that_the_command_names(command: str, devices: list[str] | str) -> None:
    assert named(command) == tuple(devices)


@pytest.mark.parametrize(
    "command",
    [
        "python train.py",
        "",
        "echo $CUDA_VISIBLE_DEVICES ${CUDA_VISIBLE_DEVICES:-none}",
        "# CUDA_VISIBLE_DEVICES=1\npython train.py",
        "python train.py; export CUDA_VISIBLE_DEVICES",
    ],
)
def test_a_command_that_sets_nothing_says_nothing(command: str) -> None:
    assert named(command) is None


@pytest.mark.parametrize(
    "command",
    [
        "CUDA_VISIBLE_DEVICES=$GPU python train.py",
        'CUDA_VISIBLE_DEVICES="${GPU}" python train.py',
        "CUDA_VISIBLE_DEVICES=$(pick) python train.py",
        "CUDA_VISIBLE_DEVICES={0,1} python train.py",
        "CUDA_VISIBLE_DEVICES+=,1 python train.py",
        "CUDA_VISIBLE_DEVICES=0x1 python train.py",
        "CUDA_VISIBLE_DEVICES=0 python a.py; CUDA_VISIBLE_DEVICES=$X python b.py",
        "for i in 0 1; do CUDA_VISIBLE_DEVICES=$i python train.py; done",
        "for CUDA_VISIBLE_DEVICES in 0 1; do python train.py; done",
        "read CUDA_VISIBLE_DEVICES < file; python train.py",
        "unset CUDA_VISIBLE_DEVICES; python train.py",
        "export -n CUDA_VISIBLE_DEVICES=1; python train.py",
        "env -u CUDA_VISIBLE_DEVICES python train.py",
        "env -i CUDA_VISIBLE_DEVICES=1 python train.py",
        "eval CUDA_VISIBLE_DEVICES=1 python train.py",
        "docker run -e CUDA_VISIBLE_DEVICES=1 image",
        "nohup CUDA_VISIBLE_DEVICES=1 python train.py",
        "python train.py CUDA_VISIBLE_DEVICES=1",
        "python train.py CUDA_'VISIBLE'_DEVICES=1 $CUDA_VISIBLE_DEVICES",
        "python -c \"import os; os.environ['CUDA_VISIBLE_DEVICES'] = '1'\"",
        'bash -c "CUDA_VISIBLE_DEVICES=$GPU python train.py"',
        "bash -c",
        "cat <<EOF\nCUDA_VISIBLE_DEVICES=1\nEOF",
        "CUDA_VISIBLE_DEVICES=1 python 'train.py",
        'CUDA_VISIBLE_DEVICES=1 python "train.py',
        "CUDA_VISIBLE_DEVICES=1 python $(train.py",
        "CUDA_VISIBLE_DEVICES=1 python `train.py",
        "CUDA_VISIBLE_DEVICES=1 python ${x/a/}}'} $'\\n'",
        "x=$(case a in b) ;; esac) CUDA_VISIBLE_DEVICES=1 python train.py",
        "CUDA_VISIBLE_DEVICES=1 " + "$(" * 50 + ")" * 50,
    ],
)
def test_what_only_a_shell_could_tell_is_not_guessed(command: str) -> None:
    assert named(command) is None


def test_scripts_within_scripts_are_read_so_deep_and_no_deeper() -> None:
    command = "CUDA_VISIBLE_DEVICES=1 x"
    depth = 0
    while named(command) is not None:
        depth += 1
        command = "bash -c '{}'".format(command.replace("'", "'\\''"))
    assert depth == 4
    assert named(command) is None


def test_a_long_command_is_read_in_a_moment() -> None:
    """A tenth of a megabyte of brackets, quotes and words, each read once."""
    command = "CUDA_VISIBLE_DEVICES=1 x " + '"a $(b)" ' * 14_000
    assert named(command) == ("1",)


@pytest.mark.parametrize(
    ("value", "devices"), [("1,0", ("1", "0")), ("", ()), ("-1", ()), ("$X", None)]
)
def test_a_value_by_itself_is_read_likewise(value: str, devices: tuple[str, ...] | None) -> None:
    assert named_by(value) == devices


@pytest.mark.parametrize(
    ("pins", "gpus", "asked"),
    [
        (None, None, None), (None, 2, 2), (None, 0, 0), (("1",), None, 1), ((), None, 0),
        (("0", "1"), 2, 2), ((), 0, 0),
    ],
)  # fmt: skip
def test_a_command_that_names_devices_asks_for_so_many(
    pins: tuple[str, ...] | None, gpus: int | None, asked: int | None
) -> None:
    assert reconcile(pins, gpus) == asked


@pytest.mark.parametrize(
    ("pins", "gpus", "words"),
    [
        (("1",), 2, "expected 1, because the command sets CUDA_VISIBLE_DEVICES to 1; found 2"),
        ((), 1, "expected 0, because the command sets CUDA_VISIBLE_DEVICES to no device; found 1"),
    ],
)
def test_a_command_and_a_number_that_contradict_each_other_are_refused(
    pins: tuple[str, ...], gpus: int, words: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        reconcile(pins, gpus)
    assert caught.value.code == "gpus_conflict"
    assert words in caught.value.detail
    assert "leave CUDA_VISIBLE_DEVICES out of the command" in (caught.value.hint or "")
