"""Logs many metrics one by one, whatever becomes of the server meanwhile."""

import sys

import mlflow

with mlflow.start_run():
    for step in range(int(sys.argv[1])):
        mlflow.log_metric("loss", step / 7, step=step)
