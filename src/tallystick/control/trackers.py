"""Other trackers' clients inside a job, pointed at this server by environment alone.

MLflow's client is pointed here unless the run's own environment names a tracker: what a person set
is never overruled.
"""

import json
from collections.abc import Mapping
from typing import Final

TRACKER_VARIABLES: Final = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_REGISTRY_URI")
"""Whoever sets one of them has a tracker of their own."""


def named_tracker(environment: Mapping[str, str], command: str) -> str | None:
    """The variable by which a run, or its command, says itself where MLflow's client goes."""
    for name in TRACKER_VARIABLES:
        if name in environment or f"{name}=" in command:
            return name
    return None


def mlflow_variables(run: str, *, url: str, token: str) -> dict[str, str]:
    """What makes MLflow's client tell this server, about this run."""
    return {
        "MLFLOW_TRACKING_URI": url,
        "MLFLOW_TRACKING_TOKEN": token,
        "MLFLOW_RUN_ID": run,
        "MLFLOW_RUN_CONTEXT": json.dumps({"tally.run": run}),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
