"""Keeps files with MLflow, lists them and reads them back."""

import json
import os
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient

with mlflow.start_run() as run, tempfile.TemporaryDirectory() as scratch:
    folder = Path(scratch)
    (folder / "model.bin").write_bytes(bytes(range(256)) * 40_000)
    (folder / "deep").mkdir()
    (folder / "deep" / "a b.txt").write_text("ä")
    mlflow.log_artifact(str(folder / "model.bin"), "models")
    mlflow.log_artifacts(str(folder / "deep"), "deep")
    mlflow.log_text("hello", "notes/hello.txt")
    mlflow.log_dict({"a": 1}, "config.json")
    client = MlflowClient()
    listed = {
        where: sorted([each.path, each.is_dir, each.file_size] for each in found)
        for where, found in (
            ("", client.list_artifacts(run.info.run_id)),
            ("models", client.list_artifacts(run.info.run_id, "models")),
        )
    }
    back = Path(
        client.download_artifacts(run.info.run_id, "models/model.bin", str(folder / "deep"))
    )
    print(
        json.dumps(
            {
                "listed": listed,
                "same": back.read_bytes() == (folder / "model.bin").read_bytes(),
                "text": mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/hello.txt"),
                "uri": run.info.artifact_uri,
                "pid": os.getpid() > 0,
            }
        )
    )
