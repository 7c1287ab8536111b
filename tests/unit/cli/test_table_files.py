"""What is written is what was found: by spreadsheets, by readers of Parquet, by eyes."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from tallystick.cli import table_files
from tallystick.cli.output import UsageError

TABLE: dict[str, list[Any]] = {
    "id": ["run_1", "run_2", "run_3"],
    "name": ['=cmd|"/c calc"!A1', "a,b\nc", None],
    "starred": [True, False, True],
    "tags": [["best", "v2"], [], []],
    "param.lr": [0.1, 1, None],
    "param.mixed": [1, "1", True],
    "metric.loss": [math.nan, -math.inf, 0.1 + 0.2],
}


def test_csv_has_every_cell_and_no_formula() -> None:
    rows = list(csv.DictReader(table_files.csv_text(TABLE).splitlines(keepends=True)))
    assert [row["name"] for row in rows] == ['\'=cmd|"/c calc"!A1', "a,b\nc", ""]
    assert [row["metric.loss"] for row in rows] == ["NaN", "-Infinity", "0.30000000000000004"]
    assert [row["param.lr"] for row in rows] == ["0.1", "1", ""]
    assert [json.loads(row["tags"]) for row in rows] == TABLE["tags"]
    assert [row["starred"] for row in rows] == ["true", "false", "true"]


@pytest.mark.parametrize("text", ["+1", "-x", "@a", "\tx", "=1"])
def test_a_name_that_a_spreadsheet_would_run_is_marked_as_text(text: str) -> None:
    assert next(csv.reader([table_files.csv_text({text: []})]))[0] == f"'{text}"


def test_parquet_comes_back_with_types(tmp_path: Path) -> None:
    path = tmp_path / "runs.parquet"
    table_files.write(path, TABLE)
    found = parquet.read_table(path).to_pydict()
    assert found["tags"] == TABLE["tags"]
    assert found["param.lr"] == [0.1, 1.0, None]
    assert found["param.mixed"] == ["1", "1", "true"]
    assert math.isnan(found["metric.loss"][0])
    assert found["metric.loss"][1:] == TABLE["metric.loss"][1:]
    assert found["name"] == TABLE["name"]


def test_json_has_no_number_that_json_has_not(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    table_files.write(path, TABLE)
    found = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert found["metric.loss"] == ["NaN", "-Infinity", 0.1 + 0.2]


def test_a_table_without_rows_is_written(tmp_path: Path) -> None:
    for suffix in table_files.SUFFIXES:
        table_files.write(tmp_path / f"none{suffix}", {"id": [], "param.lr": []})
    assert (tmp_path / "none.csv").read_text() == "id,param.lr\n"
    assert parquet.read_table(tmp_path / "none.parquet").num_rows == 0


def test_a_file_that_was_there_stays_whole_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("before")
    with pytest.raises(ValueError, match="shorter"):
        table_files.write(path, {"a": [1, 2], "b": [1]})
    assert [one.name for one in tmp_path.iterdir()] == ["runs.csv"]
    assert path.read_text() == "before"


def test_a_path_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    for path, code in (
        (tmp_path / "runs.xlsx", "suffix_unknown"),
        (tmp_path / "none" / "runs.csv", "out_missing"),
    ):
        with pytest.raises(UsageError) as refused:
            table_files.check(path)
        assert refused.value.code == code
