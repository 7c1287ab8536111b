"""Filters and orders find the same runs on both databases, and what a plain reading would find."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tallystick.db.database import Transaction
from tallystick.domain import params
from tallystick.domain.ids import RunId, SessionId, SweepId, Text
from tallystick.domain.run import Run
from tallystick.domain.status import Outcome, Phase, Status
from tallystick.ledger import tables as ledger
from tallystick.projections import measured, runs, tables
from tallystick.projections.filters import parse, parse_sort
from tallystick.projections.runs import RunFilter
from tallystick.projections.selecting import Selection
from tallystick.testing.contract.database_home import DatabaseHome

NOW = 1_764_000_000_000
HOUR = 3_600_000

Values = dict[str, Any]

# Parameters, and the last, least and greatest value of metrics, of runs 0 to 7.
RUNS: list[tuple[Values, Values]] = [
    ({"lr": 0.1, "opt": "adam", "n": 5}, {"loss": [0.5, 0.4, 2.0], "val/loss": [0.1, 0.1, 0.1]}),
    ({"lr": 1e-05, "opt": "sgd", "n": "5"}, {"loss": ["NaN", 0.2, "Infinity"]}),
    ({"lr": "3d-unet", "opt": 'it\'s "it"'}, {"loss": [7, 7, 7], "é": [1, 1, 1]}),
    ({"lr": "2026-11-24", "amp": True}, {"loss": ["-Infinity", "-Infinity", 1]}),
    ({"lr": -3, "amp": False}, {"acc.top1": [0.9, 0.1, 0.9]}),
    ({"lr": 1_000_000, "amp": "true"}, {}),
    ({"lr": "1.2.3", "x:y": 1}, {"loss": [0.25, 0.25, 0.25]}),
    ({}, {}),
]
TEXTS = [
    ("resnet baseline", "python train.py --lr 0.1"),
    ("ResNet wide", "python train.py --wide"),
    ("unet", "python unet.py"),
    ("dated", "true"),
    ("negative", "python a.py 100%"),
    ("large", "true"),
    ("version", "true"),
    ("plain_name", "true"),
]


def commitment(number: int, which: int) -> Text:
    return Text(f"{number * 10 + which:064x}", 5)


def state(number: int) -> Run:
    run = Run(
        id=RunId(f"run_{number:012x}"),
        sweep=SweepId(f"swp_{number % 2:012x}"),
        session=SessionId("chat-1" if number < 4 else "chat_2"),
        name=commitment(number, 1),
        command=commitment(number, 2),
        workdir=commitment(number, 3),
        params=params.encode(RUNS[number][0]),
        tags=("best", "v2") if number == 1 else ("better",) if number == 2 else (),
        starred=number == 2,
        created_at=NOW - number * HOUR,
        created_seq=number + 1,
        created_by="agent",
        changed_seq=number + 1,
    )
    if number % 3:
        return run
    return replace(
        run,
        phase=Phase.ENDED,
        status=Status.FAILED if number else Status.FINISHED,
        outcome=Outcome.TIMED_OUT if number else Outcome.SUCCEEDED,
        exit_code=number,
        archived=number == 6,
        started_at=NOW - number * HOUR,
        ended_at=NOW - number * HOUR + number * 60_000,
    )


def fill(tx: Transaction) -> None:
    numbers = range(len(RUNS))
    tx.insert(tables.runs.table, [tables.runs.dump(state(number)) for number in numbers])
    rows = [
        {"c": commitment(number, which).c, "salt": b"s", "bytes": text.encode()}
        for number in numbers
        for which, text in enumerate(TEXTS[number], start=1)
    ]
    tx.insert(ledger.payloads, rows)
    measured.keep(
        tx,
        [
            measured.Measured(
                run=state(number).id,
                metrics="{}",
                ranges=json.dumps(RUNS[number][1], ensure_ascii=False),
                summary='{"best": 3}' if number == 0 else "{}",
                names=1,
                points=1,
            )
            for number in numbers
            if RUNS[number][1]
        ],
    )


@pytest.fixture
def filled(home: DatabaseHome) -> Any:
    database = home.open()
    database.create(ledger.metadata)
    database.create(tables.metadata)
    with database.write() as tx:
        fill(tx)
    return database


def found(database: Any, text: str, sort: str | None = None, *, limit: int = 100) -> str:
    """The runs as digits, page by page."""
    selection = Selection(parse(text), None if sort is None else parse_sort(sort), NOW)
    wanted = RunFilter(archived=None, selection=selection)
    digits, before = "", None
    with database.read() as tx:
        while page := runs.page(tx, wanted, limit=limit, before=before):
            digits += "".join(str(run.created_seq - 1) for run in page)
            before = page[-1].created_seq
    return digits


FILTERS = {
    "": "76543210",
    "status:failed": "63",
    "status:failed,finished": "630",
    "status!=ready": "630",
    "-status:ready": "630",
    "outcome:timed_out": "63",
    "-outcome:timed_out": "754210",
    "exit>=3": "63",
    "exit:0": "0",
    "exit!=0": "63",
    "sweep:swp_000000000001": "7531",
    "session:chat_2": "7654",
    "session~CHAT-": "3210",
    "session~_": "7654",
    "id:run_000000000004": "4",
    "tag:best": "1",
    "tag:bes": "",
    "tag!=best": "7654320",
    "tag:best,better": "21",
    "has:tag": "21",
    "starred:true": "2",
    "-starred:true": "7654310",
    "archived:true": "6",
    "archived:any": "76543210",
    "compliant:yes": "76543210",
    "param.lr:0.1": "0",
    "param.lr:1e-1": "0",
    "param.lr>=1e-3": "50",
    "param.lr<0": "4",
    "param.lr>-1e9": "5410",
    "param.lr:3d-unet": "2",
    "param.lr~UNET": "2",
    "param.lr:2026-11-24": "3",
    "param.lr!=0.1": "654321",
    "param.n:5": "10",
    "param.n>4": "0",
    "param.amp:true": "53",
    "param.amp:false": "4",
    "has:param.amp": "543",
    "-has:param.lr": "7",
    'param."x:y"=1': "6",
    "param.opt:adam,sgd": "10",
    "metric.loss<0.5": "63",
    "metric.loss<=0.5": "630",
    "metric.loss:nan": "1",
    "metric.loss:-inf": "3",
    "min.loss:0.2": "1",
    "max.loss:inf": "1",
    "max.loss>=2": "210",
    "metric.val/loss<0.2": "0",
    "metric.acc.top1>0.8": "4",
    "metric.é:1": "2",
    "has:metric.loss": "63210",
    "summary.best:3": "0",
    "created>=2025-11-24T14:00:00": "210",
    "age<90m": "10",
    "duration>5m": "6",
    '"resnet"': "10",
    "resnet wide": "1",
    "name~unet": "2",
    "name:resnet": "10",
    "command~unet.py": "2",
    '"100%"': "4",
    "plain_name": "7",
    "plainXname": "",
    "run_000000000005": "5",
    "-resnet": "765432",
    "status:failed param.lr~.2.": "6",
    "has:note": "",
}


@pytest.mark.parametrize("text", FILTERS)
def test_a_filter_finds_what_it_says(filled: Any, text: str) -> None:
    assert found(filled, text) == FILTERS[text]


SORTS = {
    "created": "01234567",
    "-created": "76543210",
    "ended": "63075421",
    "-duration": "63075421",
    "status": "63075421",
    "metric.loss": "36027541",
    "-metric.loss": "20637541",
    "min.loss": "31602754",
    "param.lr": "41056327",
    "-param.lr": "50142367",
    "param.opt": "02176543",
    "summary.best": "07654321",
}


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("sort", SORTS)
def test_an_order_holds_from_page_to_page(filled: Any, sort: str, limit: int) -> None:
    assert found(filled, "", sort, limit=limit) == SORTS[sort]


def test_an_order_of_what_was_filtered(filled: Any) -> None:
    assert found(filled, "metric.loss<100", "-metric.loss", limit=2) == "2063"
