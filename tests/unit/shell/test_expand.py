"""A loop over fixed values becomes its rounds; a line that is anything else stays one run."""

import os
import subprocess
from pathlib import Path

import pytest

from tallystick.shell.expand import expand
from tallystick.shell.values import MOST_VALUES


@pytest.mark.parametrize(
    ("line", "params", "commands"),
    [
        (
            "for lr in 0.1 1e-2; do python train.py --lr $lr; done",
            [{"lr": "0.1"}, {"lr": "1e-2"}],
            ["python train.py --lr 0.1", "python train.py --lr 1e-2"],
        ),
        (
            "cd src && for s in {1..2}; do python a.py --seed ${s} > log_$s.txt 2>&1; done",
            [{"s": "1"}, {"s": "2"}],
            [
                "cd src && { python a.py --seed 1 > log_1.txt 2>&1\n}",
                "cd src && { python a.py --seed 2 > log_2.txt 2>&1\n}",
            ],
        ),
        (
            "for a in x 'y z'\ndo\n  run \"$a\"\ndone",
            [{"a": "x"}, {"a": "y z"}],
            ['run "x"', "a='y z'; run \"$a\""],
        ),
        (
            "for a in 1 2; do for b in p q; do run $a $b; done; done",
            [{"a": a, "b": b} for a in "12" for b in "pq"],
            ["run 1 p", "run 1 q", "run 2 p", "run 2 q"],
        ),
        (
            'LRS="0.1 0.2"; for lr in $LRS; do run $lr; done',
            [{"lr": "0.1"}, {"lr": "0.2"}],
            ['LRS="0.1 0.2"; run 0.1', 'LRS="0.1 0.2"; run 0.2'],
        ),
        (
            "for s in $(seq 0 5 10); do run --seed=$s; done",
            [{"s": "0"}, {"s": "5"}, {"s": "10"}],
            ["run --seed=0", "run --seed=5", "run --seed=10"],
        ),
        (
            "for m in resnet{18,50}; do run $m; done",
            [{"m": "resnet18"}, {"m": "resnet50"}],
            ["run resnet18", "run resnet50"],
        ),
    ],
)  # fmt: skip
def test_rounds_have_their_values_and_read_like_what_was_typed(
    line: str, params: list[dict[str, str]], commands: list[str]
) -> None:
    found = expand(line)
    assert found is not None
    assert [point.params for point in found.points] == params
    assert [point.command for point in found.points] == commands
    assert found.names == tuple(params[0])
    assert (found.parallel, found.waits) == (False, True)


@pytest.mark.parametrize(
    "line",
    [
        "python train.py",
        "for lr in 0.1; do run $lr; done",
        "for f in *.yaml; do run $f; done",
        "for s in $(cat seeds); do run $s; done",
        "for s in $SEEDS; do run $s; done",
        "for s in 1 2; do run $s; done > all.log",
        "for s in 1 2; do run $s; done | tee all.log",
        "for s in 1 2; do run $s; done; python report.py",
        "python prepare.py; for s in 1 2; do run $s; done",
        "for s in 1 2; do run $s || break; done",
        "for s in 1 2; do [ $s = 2 ] && exit 3; run $s; done",
        "i=0; for s in 1 2; do i=$((i+1)); run $s $i; done",
        "for s in 1 2; do cd run_$s; run; cd ..; done",
        "set -e; for s in 1 2; do run $s; done",
        "for s in 1 2; do run $s & sleep 1; done; wait",
        "for s in 1 2; do run $s; done &",
        "while read s; do run $s; done < seeds",
        "for ((i=0; i<3; i++)); do run $i; done",
        "for s in 1 2; do run $s <<EOF\n$s\nEOF\ndone",
        "for s in 1 2; do run $s; [ $? = 0 ]; done",
        "for s in 01 02; do for s in 1 2; do run $s; done; done",
        "for s in {1..5000}; do run $s; done",
        "for s in 1 2; do run $s",
        "",
    ],
)
def test_what_a_round_could_not_do_alone_stays_one_run(line: str) -> None:
    assert expand(line) is None


def test_rounds_in_the_background_run_beside_each_other() -> None:
    waiting = expand("for s in 1 2; do run $s & done; wait")
    left = expand("for s in 1 2; do run $s & done")
    assert waiting is not None
    assert left is not None
    assert [point.command for point in waiting.points] == ["run 1", "run 2"]
    assert (waiting.parallel, waiting.waits) == (True, True)
    assert (left.parallel, left.waits) == (True, False)


def test_there_is_a_most_of_rounds() -> None:
    assert expand(f"for s in $(seq 1 {MOST_VALUES}); do run $s; done") is not None
    assert expand(f"for s in $(seq 1 {MOST_VALUES + 1}); do run $s; done") is None
    product = "for a in {1..40}; do for b in {1..40}; do run $a $b; done; done"
    assert expand(product) is None


@pytest.mark.parametrize(
    "line",
    [
        'for v in a \'b c\' "d\'e" f\\ g; do show "$v" \'$v\' ${v} "x${v}y"; done',
        "for v in 1 2; do show $v; show again ${v%1}; done",
        "cd / && for v in 1 2; do show $v; pwd; done",
        "export W=3; for v in {3..1}; do show $v $W; done",
        "for v in 1 2; do if [ $v = 2 ]; then show two; else show one; fi; done",
        "for v in 1 2; do x=$v; show $x $x; done",
        "for v in é 'ü $HOME'; do show \"$v\"; done",
        "for v in 1 2; do (cd /; show $v); pwd; done",
        "for a in 1 2; do for b in x y; do show $a-$b; done; done",
        "for v in 1 2; do show v $v # and $v\ndone",
    ],
)
def test_the_rounds_print_what_the_loop_prints(line: str, tmp_path: Path) -> None:
    found = expand(line)
    assert found is not None
    whole = printed(line, tmp_path)
    assert "".join(printed(point.command, tmp_path) for point in found.points) == whole
    assert whole


def printed(command: str, directory: Path) -> str:
    """What real bash prints; `show` prints each word that it was given."""
    script = f'show() {{ printf "<%s>" "$@"; echo; }}\n{command}\n'
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": "/h"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
