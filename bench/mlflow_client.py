"""Times MLflow's own client against a server; run by a Python that has MLflow.

    python bench/mlflow_client.py URL COUNT

Prints JSON: milliseconds of each `create_run`, one after another, as a user's program would do it.
"""

import json
import sys
import time

from mlflow.tracking import MlflowClient


def main(url: str, count: int) -> None:
    """Create `count` runs in the default experiment."""
    client = MlflowClient(tracking_uri=url)
    client.create_run("0")
    spent = []
    for _ in range(count):
        at = time.perf_counter()
        client.create_run("0")
        spent.append((time.perf_counter() - at) * 1e3)
    sys.stdout.write(json.dumps(spent))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
