"""What a run has measured and left, through the command line."""

import math
import sys
from pathlib import Path
from typing import Any

from pyarrow import parquet

from tallystick.testing.server import ServerProcess, eventually
from tests.e2e.test_cli import as_json, tally

JOB = """
import math, os, tallystick
for step in range(3000):
    tallystick.log({"loss": 1 / (step + 1), "odd": math.nan}, step=step)
tallystick.summary({"best": 0.5})
open(os.environ["TALLY_OUTPUT_DIR"] + "/model.bin", "wb").write(b"w" * 3_000_000)
"""


def finished(server: ServerProcess) -> str:
    (server.workspace / "job.py").write_text(JOB)
    run = str(server.run(server.sweep(), f"{sys.executable} job.py")["id"])
    assert server.ended(run)["status"] == "finished"
    return run


def test_metrics_are_shown_and_printed_as_csv(server: ServerProcess) -> None:
    run = finished(server)
    shown = tally(server, "metric", "show", run)
    loss, odd = (line.split() for line in shown.stdout.splitlines()[1:3])
    assert (loss[0], loss[1], loss[-1]) == ("loss", "2999", "1")
    assert odd == ["odd", "2999", "NaN"]
    told = as_json(tally(server, "metric", "show", run, "loss", "--json"))
    assert list(told["metricSeries"]) == ["loss"]
    printed = tally(server, "metric", "csv", run, "loss", "--buckets", "500")
    rows = [line.split(",") for line in printed.stdout.splitlines()]
    assert rows[0] == ["step", "value", "time"]
    assert [float(rows[1][1]), float(rows[-1][1])] == [1.0, 1 / 3000]
    assert all(math.isclose(float(row[1]), 1 / (int(row[0]) + 1)) for row in rows[1:])
    assert "lowest and its highest" in printed.stderr
    assert "no metric of that name" in tally(server, "metric", "show", run, "none").stderr


def test_files_are_listed_and_downloaded_whole(server: ServerProcess) -> None:
    run = finished(server)

    def listed() -> Any:
        return as_json(tally(server, "artifact", "list", run, "--json"))

    (kept,) = eventually(listed)
    assert (kept["path"], kept["bytes"]) == ("model.bin", 3_000_000)
    assert "1 unchanged" in tally(server, "artifact", "collect", run).stdout
    done = tally(server, "artifact", "get", run, "model.bin")
    assert done.returncode == 0, done.stderr
    assert Path(server.workspace, "model.bin").read_bytes() == b"w" * 3_000_000
    again = tally(server, "artifact", "get", run, "model.bin")
    assert (again.returncode, "--force" in again.stderr) == (1, True)
    assert tally(server, "artifact", "get", run, "model.bin", "--force").returncode == 0
    assert tally(server, "artifact", "get", run, "none").returncode == 1


def test_a_file_whose_bytes_have_changed_is_not_taken_for_it(server: ServerProcess) -> None:
    run = finished(server)

    def listed() -> Any:
        return as_json(tally(server, "artifact", "list", run, "--json"))

    (kept,) = eventually(listed)
    blob = server.data_dir / "blobs" / kept["sha256"][:2] / kept["sha256"][2:]
    blob.write_bytes(b"x" * 3_000_000)
    done = tally(server, "artifact", "get", run, "model.bin", "--out", "copy.bin")
    assert done.returncode != 0
    assert not Path(server.workspace, "copy.bin").exists()


def test_a_selection_is_written_as_a_table_annotated_and_compared(server: ServerProcess) -> None:
    sweep = server.sweep()
    command = "echo $x; exit $((x == 3))"
    runs = [
        str(server.run(sweep, command, params={"x": x, "seed": x}, env={"x": str(x)})["id"])
        for x in (1, 2, 3)
    ]
    for run in runs:
        server.ended(run)
    of_sweep = f"sweep:{sweep}"
    listed = tally(server, "run", "list", "--filter", f"{of_sweep} param.x>=2", "--json")
    assert {one["id"] for one in as_json(listed)} == set(runs[1:])
    written = tally(
        server, "run", "table", "-f", of_sweep, "--sort", "param.x", "-o", "all.parquet"
    )
    assert written.returncode == 0, written.stderr
    table = parquet.read_table(server.workspace / "all.parquet").to_pydict()
    assert (table["id"], table["param.x"]) == (runs, [1, 2, 3])
    assert table["status"] == ["finished", "finished", "failed"]
    columns = ("--columns", "id,exit", "--sort", "created", "--limit", "1")
    printed = tally(server, "run", "table", "-f", of_sweep, *columns)
    assert printed.stdout == f"id,exit\n{runs[0]},0\n"
    assert tally(server, "run", "annotate", runs[2], "--tag", "odd", "--star").returncode == 0
    found = as_json(tally(server, "run", "list", "-f", "tag:odd starred:true", "--json"))
    assert [one["id"] for one in found] == [runs[2]]
    told = tally(server, "compare", *runs)
    assert "param.x" in told.stdout
    assert as_json(tally(server, "compare", "-f", of_sweep, "--json"))["seeds"] == ["seed"]
    refused = tally(server, "run", "list", "-f", "statsu:failed")
    assert (refused.returncode, "status" in refused.stderr) == (1, True)


PRINTS = """
import json, math
for step in range(500):
    print(f"step={step}, loss={1 / (step + 1)!r} memory=12GB", flush=True)
    print(json.dumps({"step": step, "odd": math.nan, "count": step}))
"""


def test_what_a_run_prints_becomes_metrics_when_it_asks(server: ServerProcess) -> None:
    (server.workspace / "prints.py").write_text(PRINTS)
    sweep, command = server.sweep(), f"{sys.executable} prints.py"
    asks = str(server.run(sweep, command, env={"TALLY_METRICS_FROM_OUTPUT": "1"})["id"])
    silent = str(server.run(sweep, command)["id"])
    for run in (asks, silent):
        assert server.ended(run)["status"] == "finished"

    def told() -> Any:
        series = server.get(f"/runs/{asks}/metrics").get("metricSeries", {})
        return series if len(series.get("count", ())) == 500 else None

    series = eventually(told)
    values = [(point["step"], point["value"]) for point in series["loss"]]
    assert values == [(step, 1 / (step + 1)) for step in range(500)]
    assert {point["value"] for point in series["odd"]} == {"NaN"}
    assert "memory" not in series
    assert "loss" not in server.get(f"/runs/{silent}/metrics").get("metricSeries", {})
