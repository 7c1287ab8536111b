"""Tables of runs as files: CSV, JSON, Parquet."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tallystick.cli.output import UsageError

SUFFIXES = (".csv", ".json", ".parquet")


def csv_text(table: Mapping[str, Sequence[Any]]) -> str:
    """A table as CSV; lists as JSON, nothing for what is missing.

    Text that a spreadsheet would take for a formula has an apostrophe before it: names and notes
    are written by others.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([_cell(name) for name in table])
    for row in zip(*table.values(), strict=True):
        writer.writerow([_cell(value) for value in row])
    return written.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False)
    return _spelled(value)


def _spelled(value: Any) -> Any:
    """A value as JSON has it: what is not finite is a text, as everywhere in answers."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def as_json(table: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """A table for JSON, which has no NaN."""
    return {name: [_spelled(value) for value in column] for name, column in table.items()}


def check(path: Path) -> None:
    """Raises `UsageError` for a path that cannot be written; before anything is asked for."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"--out: expected a path that ends in {', '.join(SUFFIXES)}; found {path.name!r}",
            code="suffix_unknown",
        )
    if not path.parent.is_dir():
        raise UsageError(f"--out: there is no directory {str(path.parent)!r}", code="out_missing")
    if suffix == ".parquet" and find_spec("pyarrow") is None:
        raise UsageError(
            "--out: Parquet is written by pyarrow, which is not installed",
            code="extra_missing",
            hint="pip install 'tallystick[parquet]', or write .csv",
        )


def write(path: Path, table: Mapping[str, Sequence[Any]]) -> None:
    """Write a table to a path that was checked; whole, or not at all."""
    scratch = path.with_name(f".{path.name}.part")
    try:
        if path.suffix.lower() == ".csv":
            scratch.write_text(csv_text(table), encoding="utf-8")
        elif path.suffix.lower() == ".json":
            text = json.dumps(as_json(table), ensure_ascii=False)
            scratch.write_text(text + "\n", encoding="utf-8")
        else:
            _write_parquet(scratch, table)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _write_parquet(path: Path, table: Mapping[str, Sequence[Any]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    arrays = {name: pa.array(_of_one_type(column)) for name, column in table.items()}
    parquet.write_table(pa.table(arrays), path)


def _of_one_type(column: Sequence[Any]) -> list[Any]:
    """A column as Parquet can hold it: numbers stay numbers, a mixture becomes text."""
    kinds = {type(value) for value in column if value is not None}
    if len(kinds) <= 1:
        return list(column)
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in column]
    return [
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for value in column
    ]
