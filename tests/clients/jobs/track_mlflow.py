"""Logs with MLflow as training scripts do, and prints what it logged, one JSON object a line."""

import json
import math
import sys

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

logged = {}


def log(name, value, step):
    mlflow.log_metric(name, value, step=step)
    logged.setdefault(name, []).append([step, str(float(value))])


mlflow.set_experiment("whatever the script says")
with mlflow.start_run() as run:
    client = MlflowClient()
    mlflow.log_param("lr", 0.1)
    mlflow.log_params({f"param/{number}": number for number in range(150)})
    for step in range(30):
        log("loss", 1 / (step + 1), step)
    for step, value in ((5, 1.4), (2, 1e300), (5, -0.0), (9, 2**53 - 1), (0, 0.1 + 0.2)):
        log("out of order", value, step)
    for step, value in enumerate((math.nan, math.inf, -math.inf, 0.5)):
        log("odd", value, step)
    batch = [Metric("batch", float(step), 1_700_000_000_000 + step, step) for step in range(1_000)]
    client.log_batch(
        run.info.run_id, metrics=batch, params=[Param("p", "v")], tags=[RunTag("t", "w")]
    )
    logged["batch"] = [[step, str(float(step))] for step in range(1_000)]
    if hasattr(mlflow, "flush_async_logging"):
        for step in range(100):
            mlflow.log_metric("async", step / 3, step=step, synchronous=False)
        mlflow.flush_async_logging()
        logged["async"] = [[step, str(step / 3)] for step in range(100)]
    mlflow.set_tags({"kept": "1", "gone": "2"})
    mlflow.delete_tag("gone")
    with mlflow.start_run(nested=True, run_name="inner") as inner:
        mlflow.log_metric("loss", 42.0, step=7)
        mlflow.log_param("lr", "inner")
    own = client.get_run(run.info.run_id)
    history = client.get_metric_history(run.info.run_id, "out of order")
    found = client.search_runs([run.info.experiment_id], "metrics.loss > 40")
    listed = mlflow.search_runs([run.info.experiment_id], output_format="list")
    print(
        json.dumps(
            {
                "run": run.info.run_id,
                "experiment": run.info.experiment_id,
                "status": own.info.status,
                "params": own.data.params,
                "tags": own.data.tags,
                "last": {name: str(value) for name, value in own.data.metrics.items()},
                "history": [[point.step, str(point.value)] for point in history],
                "inner": inner.info.run_id,
                "found": [each.info.run_id for each in found],
                "listed": sorted(each.info.run_id for each in listed),
                "times": [
                    point.timestamp for point in client.get_metric_history(run.info.run_id, "batch")
                ][:2],
            }
        )
    )
with mlflow.start_run(run_name="second") as second:
    mlflow.log_metric("loss", 43.0)
print(json.dumps({"logged": logged, "second": second.info.run_id}))
sys.stdout.flush()
