"""What a command prints as metrics, when its run asks."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.intake import stdout
from tallystick.intake.batch import Batch


def points(text: str | bytes, *, final: bool = True) -> dict[str, list[tuple[Any, Any]]]:
    content = text.encode() if isinstance(text, str) else text
    return told(stdout.read(content, rows_before=0, final=final))


def told(batch: Batch) -> dict[str, list[tuple[Any, Any]]]:
    return {
        name: list(zip(column.steps, column.values, strict=True))
        for name, column in batch.columns.items()
    }


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("loss=0.25", {"loss": 0.25}),
        ("loss = 0.25 acc= 97", {"loss": 0.25, "acc": 97}),
        ("[12:01] INFO: train/loss=1e-3, val.acc=.5; lr=2.", {"train/loss": 1e-3, "val.acc": 0.5}),
        ("done (loss=-0.5).", {"loss": -0.5}),
        ("score=+3. That was it", {"score": 3.0}),
        ("\x1b[32mloss=0.5\x1b[0m", {"loss": 0.5}),
        ('{"loss": 0.5, "note": "x"}', {"loss": 0.5}),
        ("10%|#  | 1/10 [00:01, loss=9]\r20%|## | 2/10 [00:02, loss=8]\r", {"loss": 8}),
        ("loss=inf", {"loss": math.inf}),
        ("loss=-Infinity", {"loss": -math.inf}),
    ],
)
def test_a_line_of_metrics_is_a_row(line: str, row: dict[str, Any]) -> None:
    found = points(line + "\n")
    for name, value in row.items():
        assert found[name] == [(0, value)]
        assert type(found[name][0][1]) is type(value)


def test_nan_stays_nan() -> None:
    assert math.isnan(points("loss=nan\n")["loss"][0][1])


@pytest.mark.parametrize(
    "line",
    [
        "memory=12GB",
        "acc=97%",
        "speed=3it/s",
        "host=10.0.0.1",
        "date=2026-01-01",
        "version==1.5",
        "device=cuda:0",
        "x=",
        "python train.py --lr=0.1",
        "https://host/?page=3",
        "{not json, loss=",
        '["loss", 1]',
        '{"note": "no number"}',
        "a" * 70_000 + " loss=1",
    ],
)
def test_what_only_looks_like_a_metric_is_none(line: str) -> None:
    assert points(line + "\n") == {}


def test_a_step_is_taken_and_rows_without_one_are_counted() -> None:
    text = 'start\nstep=10 loss=1\nnothing\nloss=2\n{"step": 30, "loss": 3}\n'
    assert points(text) == {"loss": [(10, 1), (1, 2), (30, 3)]}


def test_a_line_that_is_not_whole_waits_for_its_end() -> None:
    batch = stdout.read(b"loss=1\nloss=2", rows_before=5, final=False)
    assert (batch.used, told(batch)) == (7, {"loss": [(5, 1)]})
    assert points("loss=1\nloss=2") == {"loss": [(0, 1), (1, 2)]}


@given(st.binary(max_size=400), st.booleans())
def test_noise_is_read_without_a_word(content: bytes, final: bool) -> None:
    batch = stdout.read(content, rows_before=0, final=final)
    assert (batch.used, batch.unread) == (
        len(content) if final else content.rfind(b"\n") + 1,
        0,
    )


@given(st.lists(st.one_of(st.floats(), st.integers(-(2**60), 2**60)), max_size=20))
def test_every_number_comes_back_as_it_was_printed(values: list[float]) -> None:
    lines = [
        f"step={step} loss={value!r}" if step % 2 else json.dumps({"step": step, "loss": value})
        for step, value in enumerate(values)
    ]
    found = points("\n".join(lines)).get("loss", [])
    assert [repr(value) for _, value in found] == [repr(value) for value in values]
    assert [step for step, _ in found] == list(range(len(values)))
